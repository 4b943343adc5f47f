/* SPDX-License-Identifier: MIT */
/* Decoding of one instruction with a memory operand: bytes in, values out, no guest state. */
#ifndef MMIO_DECODE_H
#define MMIO_DECODE_H

#include "mmio/insn.h"

enum decode_status {
	DECODE_OK,
	DECODE_TOO_LONG,    /* more than 15 bytes: #GP(0) */
	DECODE_INVALID,     /* #UD */
	DECODE_UNSUPPORTED, /* has no memory operand, or is not emulated */
	DECODE_MORE,        /* needs a byte at or beyond `available` */
};

/*
 * Decodes the instruction at `bytes`. Never reads at or past bytes + available; with INSN_MAX_LENGTH bytes or more
 * the answer is never DECODE_MORE. code_bits is 16, 32 or 64: CS.L and CS.D, or real mode (16).
 * *insn is complete on DECODE_OK only.
 */
enum decode_status insn_decode(const uint8_t *bytes, unsigned available, unsigned code_bits, struct insn *insn);

#endif
