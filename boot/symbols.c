/* SPDX-License-Identifier: MIT */
#include "boot/symbols.h"

const char *symbol_find(uint64_t address, uint64_t *offset)
{
	size_t low = 0, high = symbol_count;

	/* Invariant: rows below `low` are at or below the address, rows from `high` on are above it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbol_table[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || low == symbol_count)
		return NULL;
	*offset = address - symbol_table[low - 1].address;
	return symbol_table[low - 1].name;
}
