/* SPDX-License-Identifier: MIT */
/* The instruction forms that are emulated, one row a form, indexed by the opcode byte. SDM vol. 2, appendix A. */
#ifndef MMIO_DECODE_TABLE_H
#define MMIO_DECODE_TABLE_H

#include <stdint.h>

/* An operand's size, named as in the SDM's opcode map (vol. 2, A.2.2). */
enum form_size {
	SIZE_NONE,
	SIZE_B, /* 1 byte */
	SIZE_W, /* 2 bytes */
	SIZE_V, /* the operand size: 2, 4 or 8 bytes */
	SIZE_Z, /* the operand size, but 4 bytes where that is 8 */
	SIZE_Y, /* 4 bytes, or 8 with REX.W */
	NR_FORM_SIZES,
};

enum form_flags {
	FORM_PREFIX = 1 << 0,
	FORM_MODRM = 1 << 1,
	FORM_MOFFS = 1 << 2,       /* the operand's address follows the opcode; the register is the accumulator */
	FORM_ONLY_64 = 1 << 3,     /* another instruction outside 64-bit mode */
	FORM_MEMORY_ONLY = 1 << 4, /* #UD with a register in the place of the memory operand */
	FORM_NO_PREFIX = 1 << 5,   /* #UD with 66, F2 or F3: "NP" in the SDM */
	FORM_INVALID = 1 << 6,     /* #UD */
};

/* In the place of an operation: insn_groups[row.group], by the reg field of ModRM, has the row. */
enum { INSN_GROUP = 0xff };

enum form_group { GROUP_11_BYTE, GROUP_11, NR_FORM_GROUPS };

/* A row of zeros is an instruction that is not emulated. */
struct insn_form {
	uint8_t op; /* enum insn_op, or INSN_GROUP */
	uint8_t flags;
	uint8_t memory, reg, immediate; /* enum form_size */
	uint8_t group;                  /* enum form_group */
	uint8_t access;                 /* enum insn_access */
	uint8_t reserved;               /* 8 bytes a row: found without a multiplication */
};

extern const struct insn_form insn_one_byte[256];
extern const struct insn_form insn_two_byte[256];
extern const struct insn_form insn_groups[NR_FORM_GROUPS][8];

/* In bytes, by the operand size: 16, 32, 64 bits. */
extern const uint8_t form_sizes[NR_FORM_SIZES][3];

#endif
