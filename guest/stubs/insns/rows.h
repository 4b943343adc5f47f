/* SPDX-License-Identifier: MIT */
/* The programs, and what each of them starts from. */
#ifndef GUEST_STUBS_INSNS_ROWS_H
#define GUEST_STUBS_INSNS_ROWS_H

#include "guest/stubs/insns/machine.h"

/* As rows.asm has them. */
enum row_traits {
	ROW_CPL0 = 1 << 0,
	ROW_STACK = 1 << 1, /* rSP points into the window, before or, with ROW_PUSHES, behind a place of interest */
	ROW_PUSHES = 1 << 2,
	ROW_COUNT = 1 << 3,     /* rCX is small */
	ROW_BITS = 1 << 4,      /* rDX is small, positive or negative */
	ROW_STATE = 1 << 5,     /* it uses x87, MMX or vector registers: they begin random and are compared */
	ROW_TABLE = 1 << 6,     /* rBX points at the operand */
	ROW_DIVIDES = 1 << 7,   /* half of the time rDX:rAX is small */
	ROW_STRING = 1 << 8,    /* DF is random, and either of rSI and rDI may point at RAM */
	ROW_NO_DEVICE = 1 << 9, /* it faults before it reaches memory */
	ROW_NOT_REAL = 1 << 10,
	ROW_PARTIAL = 1 << 11, /* the CPU may have stored some of it before it faults */
	ROW_MASKED = 1 << 13,  /* as MASKMOVQ: the CPU may touch bytes that are masked out */
	ROW_NO_AC = 1 << 12,   /* the CPUs differ in what they call unaligned */
	ROW_ENDS = 1 << 14,    /* SP points about the ends of a 16-bit stack segment, which both are devices' */
};

/* What stands at the operand: at rDI, or where the stack begins. */
enum row_fill {
	FILL_NONE,
	FILL_CODE, /* an address of code */
	FILL_FAR_CODE,
	FILL_FAR_DATA,
	FILL_SELECTOR,
	FILL_GDT,
	FILL_IDT,
	FILL_LDT,
	FILL_TSS,
	FILL_MSW,
	FILL_FLAGS,
	FILL_EQUAL,  /* rDX:rAX, half of the time */
	FILL_SAME,   /* bytes that are mostly equal to AL and to those at rSI */
	FILL_BOUNDS, /* two bounds, half of the time about rDX */
	FILL_MXCSR,
	FILL_FLOAT, /* a number, as x87 has them */
};

/* What the CPU must have. */
enum row_feature {
	FEATURE_NONE,
	FEATURE_SSE3,
	FEATURE_SSE41,
	FEATURE_SSE42,
	FEATURE_MOVBE,
	FEATURE_POPCNT,
	FEATURE_AVX,
	FEATURE_AVX2,
	FEATURE_BMI1,
	FEATURE_BMI2,
	FEATURE_LZCNT,
	FEATURE_ADX,
	FEATURE_AVX512F,
	FEATURE_AVX512BW,
	FEATURE_AVX512DQ,
	FEATURE_MOVDIRI,
	FEATURE_MOVDIR64B,
	NR_FEATURES,
};

struct row {
	const char *name; /* the instruction, as it stands in the source */
	const uint8_t *code;
	uint32_t traits;
	uint32_t undefined; /* flags that the SDM calls undefined */
	uint8_t length;
	uint8_t width; /* of the operand, in bytes */
	uint8_t fill;
	uint8_t feature;
	uint8_t reserved[4];
};

_Static_assert(sizeof(struct row) == 32, "as rows.asm has it");

extern const struct row rows16[], rows16_end[], rows32[], rows32_end[], rows64[], rows64_end[];

#endif
