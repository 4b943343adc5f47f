/* SPDX-License-Identifier: MIT */
#include "tests/unit/decode_strings.h"

#include <stdlib.h>

static uint64_t seed = 0x9e3779b97f4a7c15;

uint32_t decode_random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) * n >> 32);
}

unsigned long decode_nr_strings(unsigned long otherwise)
{
	const char *text = getenv("TRAPLINE_STRINGS");

	return text ? strtoul(text, NULL, 0) : otherwise;
}

static unsigned put_prefixes(uint8_t *bytes)
{
	static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48};
	unsigned at = 0, count = decode_random_below(16) ? decode_random_below(3) : decode_random_below(15);

	while (at < count) {
		uint8_t prefix = prefixes[decode_random_below(sizeof(prefixes))];

		/* LOCK makes nearly everything invalid: not too often. */
		bytes[at++] = prefix == 0xf0 && decode_random_below(4) ? 0x66 : prefix;
	}
	if (decode_random_below(2))
		bytes[at++] = (uint8_t)(0x40 | decode_random_below(16));
	return at;
}

/* vvvv is 1111b as a rule, or few forms would be valid. */
static uint8_t vvvv(void)
{
	return decode_random_below(3) ? 0x78 : (uint8_t)(decode_random_below(16) << 3);
}

static unsigned put_vex(uint8_t *bytes, unsigned at)
{
	if (decode_random_below(3) == 0) {
		bytes[at++] = 0xc5;
		bytes[at++] = (uint8_t)(decode_random_below(2) << 7 | vvvv() | decode_random_below(8));
		return at;
	}
	bytes[at++] = 0xc4;
	bytes[at++] = (uint8_t)(decode_random_below(8) << 5 |
				(decode_random_below(16) ? 1 + decode_random_below(3) : decode_random_below(32)));
	bytes[at++] = (uint8_t)(decode_random_below(2) << 7 | vvvv() | decode_random_below(8));
	return at;
}

static unsigned put_evex(uint8_t *bytes, unsigned at)
{
	bytes[at++] = 0x62;
	bytes[at++] = (uint8_t)(decode_random_below(16) << 4 | (1 + decode_random_below(3)));
	bytes[at++] = (uint8_t)(decode_random_below(2) << 7 | vvvv() | 4 | decode_random_below(4));
	bytes[at++] = (uint8_t)(decode_random_below(8) == 0 ? decode_random_below(256)
							    : decode_random_below(3) << 5 | 8 | decode_random_below(8));
	return at;
}

void decode_next_string(uint8_t bytes[DECODE_STRING_BYTES])
{
	/* Opcodes of the vector moves, among all the others of their maps. */
	static const uint8_t moves[] = {0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x20, 0x21, 0x22,
					0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2e, 0x38, 0x39, 0x58, 0x59, 0x5a, 0x6e,
					0x6f, 0x78, 0x79, 0x7e, 0x7f, 0x8c, 0x8e, 0x90, 0x91, 0xae, 0xc4, 0xd6,
					0xe7, 0xf0, 0xf2, 0xf3, 0xf5, 0xf6, 0xf7, 0x14, 0x15};
	unsigned at, map;

	for (unsigned i = 0; i < DECODE_STRING_BYTES; i++)
		bytes[i] = (uint8_t)decode_random_below(256);
	map = decode_random_below(16);
	if (map < 4) {
		at = decode_random_below(8) ? 0 : put_prefixes(bytes);
		at = map < 2 ? put_vex(bytes, at) : put_evex(bytes, at);
		if (decode_random_below(4))
			bytes[at] = moves[decode_random_below(sizeof(moves))];
		at++;
	} else {
		at = put_prefixes(bytes);
		if (map < 9) {
			bytes[at++] = 0x0f;
			if (map < 6)
				bytes[at++] = map == 4 ? 0x38 : 0x3a;
			if (map < 6 && decode_random_below(2))
				bytes[at] = moves[decode_random_below(sizeof(moves))];
		}
		at++;
	}
	if (at < DECODE_STRING_BYTES && decode_random_below(2))
		bytes[at] &= 0xc7;
}
