/* SPDX-License-Identifier: MIT */
/*
 * The instruction forms that are emulated, one row a form, found by the opcode byte, its prefixes and ModRM.reg. SDM
 * vol. 2, appendix A. tools/instructions makes docs/instructions.md from the rows.
 */
#ifndef MMIO_DECODE_TABLE_H
#define MMIO_DECODE_TABLE_H

#include "mmio/insn.h"

/* An operand's size, named as in the SDM's opcode map (vol. 2, A.2.2) where it has a name. */
enum form_size {
	SIZE_NONE,
	SIZE_B,     /* 1 byte */
	SIZE_W,     /* 2 bytes */
	SIZE_D,     /* 4 bytes */
	SIZE_Q,     /* 8 bytes */
	SIZE_T,     /* 10 bytes */
	SIZE_O,     /* 16 bytes */
	SIZE_H,     /* 64 bytes */
	SIZE_V,     /* the operand size: 2, 4 or 8 bytes */
	SIZE_Z,     /* the operand size, but 4 bytes where that is 8 */
	SIZE_Y,     /* 4 bytes, or 8 with REX.W */
	SIZE_A,     /* two operands of the operand size, 2 or 4 bytes each */
	SIZE_P,     /* a far pointer: a selector behind an offset of the operand size */
	SIZE_S,     /* a limit before a base: 6 bytes, in 64-bit mode 10 */
	SIZE_X,     /* the vector length */
	SIZE_U,     /* VMOVDDUP's: 8 bytes, or the vector length if that is more than 16 */
	SIZE_ENTER, /* an immediate word and an immediate byte */
	NR_FORM_SIZES,
};

enum form_flags {
	FORM_PREFIX = 1 << 0,
	FORM_MODRM = 1 << 1,
	FORM_MOFFS = 1 << 2,        /* the operand's address follows the opcode; the register is the accumulator */
	FORM_ONLY_64 = 1 << 3,      /* another instruction outside 64-bit mode */
	FORM_NOT_64 = 1 << 4,       /* #UD in 64-bit mode */
	FORM_MEMORY_ONLY = 1 << 5,  /* #UD with a register in the place of the memory operand */
	FORM_NO_PREFIX = 1 << 6,    /* #UD with 66, F2 or F3: "NP" in the SDM */
	FORM_INVALID = 1 << 7,      /* #UD */
	FORM_LOCK = 1 << 8,         /* LOCK may stand before it; #UD elsewhere */
	FORM_TO_REGISTER = 1 << 9,  /* of two operands the register is the destination */
	FORM_SIGNED = 1 << 10,      /* the immediate byte is sign-extended to the operand size */
	FORM_DEFAULT_64 = 1 << 11,  /* in 64-bit mode the operand size is 64 bits, or 16 with 66 */
	FORM_FORCE_64 = 1 << 12,    /* in 64-bit mode the operand size is 64 bits whatever stands before */
	FORM_OPCODE_REG = 1 << 13,  /* the register is in the opcode */
	FORM_ACCUMULATOR = 1 << 14, /* the register is rAX */
	FORM_NO_MEMORY = 1 << 15,   /* has no memory operand but the stack or what rSI and rDI point to */
	FORM_STRING = 1 << 16,      /* REP, REPE, REPNE count */
	FORM_RELATIVE = 1 << 17,    /* the immediate is a displacement of RIP */
	FORM_NO_66 = 1 << 18,       /* 66 is no operand-size prefix here but a part of the opcode */
	FORM_ALIGNED = 1 << 19,     /* INSN_ALIGNED */
	FORM_VECTOR = 1 << 20,      /* the register is a vector register */
	FORM_ADDRESS_REG = 1 << 21, /* the register is of the address size */
	FORM_IMPLIED_RDI = 1 << 22, /* ModRM names two registers, and the memory operand is at rDI */
	FORM_ONLY_66 = 1 << 23,     /* #UD without 66, or with F2 or F3 */
	/* VEX and EVEX. */
	FORM_W0 = 1 << 24, /* only with this W */
	FORM_W1 = 1 << 25,
	FORM_L0 = 1 << 26, /* only with these lengths; none of them: whatever it is */
	FORM_L1 = 1 << 27,
	FORM_L2 = 1 << 28,
	FORM_VVVV = 1 << 29,   /* has a register in vvvv; else vvvv must be 1111b */
	FORM_MASKED = 1 << 30, /* may have an opmask */
};

/* In the place of an operation: the row is to be found elsewhere, by row.detail. */
enum {
	INSN_BY_REG = 0xff,    /* insn_groups[], by ModRM.reg */
	INSN_BY_PREFIX = 0xfe, /* insn_prefixed[], by the mandatory prefix: none, 66, F3, F2 */
};

enum form_group {
	GROUP_1_BYTE,
	GROUP_1,
	GROUP_1_SIGNED,
	GROUP_1A,
	GROUP_2_BYTE_IMM,
	GROUP_2_IMM,
	GROUP_2_BYTE_1,
	GROUP_2_1,
	GROUP_2_BYTE_CL,
	GROUP_2_CL,
	GROUP_3_BYTE,
	GROUP_3,
	GROUP_4,
	GROUP_5,
	GROUP_6,
	GROUP_7,
	GROUP_8,
	GROUP_9,
	GROUP_11_BYTE,
	GROUP_11,
	GROUP_15,
	GROUP_X87_D9,
	GROUP_X87_DB,
	GROUP_X87_DD,
	GROUP_X87_DF,
	NR_FORM_GROUPS,
};

enum form_prefixed {
	PREFIXED_10,
	PREFIXED_11,
	PREFIXED_12,
	PREFIXED_13,
	PREFIXED_16,
	PREFIXED_17,
	PREFIXED_28,
	PREFIXED_29,
	PREFIXED_2B,
	PREFIXED_6E,
	PREFIXED_6F,
	PREFIXED_7E,
	PREFIXED_7F,
	PREFIXED_B8,
	PREFIXED_BC,
	PREFIXED_BD,
	PREFIXED_C4,
	PREFIXED_D6,
	PREFIXED_E7,
	PREFIXED_F0,
	PREFIXED_F7,
	PREFIXED_38_F0,
	PREFIXED_38_F1,
	PREFIXED_38_F6,
	PREFIXED_38_F8,
	PREFIXED_38_F9,
	NR_FORM_PREFIXED,
};

/* A row of zeros is an instruction that is not emulated. */
struct insn_form {
	uint8_t op; /* enum insn_op, INSN_BY_REG or INSN_BY_PREFIX */
	uint8_t access;
	uint8_t memory, reg, immediate; /* enum form_size */
	uint8_t source;                 /* enum insn_source */
	uint8_t detail;                 /* insn.detail; or where to look */
	uint8_t element;                /* insn.element */
	uint32_t flags;
	uint32_t reserved; /* 16 bytes a row: found without a multiplication */
};

/* A form of VEX or EVEX. */
struct insn_vector_form {
	uint8_t map;    /* 1: 0F, 2: 0F 38, 3: 0F 3A */
	uint8_t prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
	uint8_t opcode;
	uint8_t reg; /* ModRM.reg, or ANY_REG */
	struct insn_form form;
};

enum { ANY_REG = 0xff };

extern const struct insn_form insn_one_byte[256];
extern const struct insn_form insn_two_byte[256];
extern const struct insn_form insn_three_byte_38[256];
extern const struct insn_form insn_three_byte_3a[256];
extern const struct insn_form insn_groups[NR_FORM_GROUPS][8];
extern const struct insn_form insn_prefixed[NR_FORM_PREFIXED][4];
extern const struct insn_vector_form insn_vex[], insn_evex[];
extern const unsigned insn_nr_vex, insn_nr_evex;

/* In bytes, by the operand size: 16, 32, 64 bits. Those of SIZE_S and on depend on more. */
extern const uint8_t form_sizes[NR_FORM_SIZES][3];

/*
 * Rows: FORM(operation, access, memory size, register size, immediate size, flags), and further fields where there are
 * some. The comment behind a row is what docs/instructions.md calls it; `;` stands between two names.
 */
#define READS  INSN_READ
#define WRITES INSN_WRITE
#define BOTH   (INSN_READ | INSN_WRITE)

#define FORM(what, how, m, r, i, ...)                                                                           \
	{                                                                                                       \
		.op = INSN_##what, .access = (how), .memory = SIZE_##m, .reg = SIZE_##r, .immediate = SIZE_##i, \
		__VA_ARGS__                                                                                     \
	}

/* The second operand is the register that ModRM names, or an immediate. */
#define FROM_REG .source = SOURCE_REGISTER
#define FROM_IMM .source = SOURCE_IMMEDIATE
#define FLAGS(f) .flags = FORM_MODRM | (f)
#define PLAIN    .flags = FORM_MODRM

#define PREFIX                       \
	{                            \
		.flags = FORM_PREFIX \
	}
#define INVALID                                    \
	{                                          \
		.flags = FORM_MODRM | FORM_INVALID \
	}
#define BY_REG(group)                                                           \
	{                                                                       \
		.op = INSN_BY_REG, .flags = FORM_MODRM, .detail = GROUP_##group \
	}
#define BY_PREFIX(number)                                                              \
	{                                                                              \
		.op = INSN_BY_PREFIX, .flags = FORM_MODRM, .detail = PREFIXED_##number \
	}

#endif
