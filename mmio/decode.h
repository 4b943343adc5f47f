/* SPDX-License-Identifier: MIT */
/* Decoding of one instruction with a memory operand: bytes in, values out, no guest state. */
#ifndef MMIO_DECODE_H
#define MMIO_DECODE_H

#include <stdint.h>

enum {
	INSN_MAX_LENGTH = 15, /* SDM vol. 2, 2.3.11 */
	/*
	 * "No register". A register file has INSN_NR_GPRS entries, in the hardware's numbering, and its last one is
	 * always 0, so that base and index are added without a test.
	 */
	INSN_NO_REGISTER = 16,
	INSN_NR_GPRS = 17,
};

/* What is done with the memory operand. Everything from INSN_STORE on writes it. */
enum insn_op {
	INSN_NONE,
	INSN_LOAD,    /* zero-extended where the register is wider */
	INSN_LOAD_SX, /* sign-extended to the register's size */
	INSN_STORE,
	INSN_STORE_IMM,
};

struct insn {
	uint8_t length;
	uint8_t op;            /* enum insn_op */
	uint8_t memory_size;   /* of the memory operand, in bytes */
	uint8_t register_size; /* of the register operand, in bytes; 0 without one */
	uint8_t reg;           /* INSN_NO_REGISTER without one */
	uint8_t high_byte;     /* reg is 0 to 3 and means AH, CH, DH, BH */
	uint8_t base, index;
	uint8_t scale;        /* the index is shifted left by this, 0 to 3 */
	uint8_t segment;      /* enum tl_segment_name: the override, else SS or DS by the base */
	uint8_t address_size; /* 2, 4 or 8 bytes */
	uint8_t rip_relative; /* disp counts from the next instruction; base and index are none */
	int64_t disp;         /* sign-extended, but for moffs: there it is the whole address */
	uint64_t imm;         /* truncated to memory_size; 0 without one */
};

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
