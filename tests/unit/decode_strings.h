/* SPDX-License-Identifier: MIT */
/* Byte strings that are instructions more often than chance would have it. */
#ifndef UNIT_DECODE_STRINGS_H
#define UNIT_DECODE_STRINGS_H

#include <stdint.h>

enum { DECODE_STRING_BYTES = 24 };

/* Below n; the same sequence in every run. */
uint32_t decode_random_below(uint32_t n);

/* Fills in the next string: prefixes, an opcode of any map, VEX or EVEX, and random bytes behind. */
void decode_next_string(uint8_t bytes[DECODE_STRING_BYTES]);

/* How many to try: the environment's TRAPLINE_STRINGS, or `otherwise`. */
unsigned long decode_nr_strings(unsigned long otherwise);

#endif
