/* SPDX-License-Identifier: MIT */
/* Decode against Zydis, a second decoder: the same instruction, or a refusal by both. Needs libzydis-dev. */
#ifndef UNIT_DECODE_ZYDIS_H
#define UNIT_DECODE_ZYDIS_H

#include "tests/unit/decode_strings.h"
#include <Zydis/Zydis.h>
#include <stdbool.h>

/* 64-, 32- and 16-bit code. */
enum { DECODE_ZYDIS_MODES = 3 };

struct decode_zydis {
	unsigned long same, refused, other;
	unsigned long seen[ZYDIS_MNEMONIC_MAX_VALUE + 1]; /* of those decoded alike */
};

extern struct decode_zydis decode_zydis;

/* The mnemonics that are emulated, of instructions that access memory. */
extern const bool decode_zydis_emulated[ZYDIS_MNEMONIC_MAX_VALUE + 1];

void decode_zydis_start(void);

/* Fails the test, or ends the process, if the two decode the string differently. */
void decode_zydis_check(unsigned mode, const uint8_t bytes[DECODE_STRING_BYTES]);

#endif
