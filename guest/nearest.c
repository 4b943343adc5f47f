/* SPDX-License-Identifier: MIT */
#include "guest/nearest.h"

#include <stdint.h>

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

unsigned nearest_distance(const char *from, size_t length, const char *to)
{
	unsigned rows[3][NEAREST_LENGTH + 1];
	size_t to_length = length_of(to);

	if (length > NEAREST_LENGTH || to_length > NEAREST_LENGTH)
		return UINT32_MAX;
	for (unsigned k = 0; k <= to_length; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= length; i++) {
		unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t k = 1; k <= to_length; k++) {
			row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (from[i - 1] != to[k - 1]));
			if (i > 1 && k > 1 && from[i - 1] == to[k - 2] && from[i - 2] == to[k - 1])
				row[k] = least(row[k], two_above[k - 2] + 1);
		}
	}
	return rows[length % 3][to_length];
}

unsigned nearest_limit(size_t length)
{
	return (unsigned)length / 2 + 1;
}
