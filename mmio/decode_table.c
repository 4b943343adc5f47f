/* SPDX-License-Identifier: MIT */
#include "mmio/decode_table.h"

#include "mmio/decode.h"

/* A row is a line. */
/* clang-format off */

#define PREFIX	     {.flags = FORM_PREFIX}
#define INVALID	     {.flags = FORM_MODRM | FORM_INVALID}
#define GROUP(which) {.op = INSN_GROUP, .flags = FORM_MODRM, .group = (which)}

/* The operation, its memory and register operands, an immediate operand, how they are encoded. */
#define FORM(what, m, r, i, how) \
	{.op = INSN_##what, .access = INSN_##what >= INSN_STORE ? INSN_WRITE : INSN_READ, .memory = SIZE_##m, .reg = SIZE_##r, .immediate = SIZE_##i, .flags = (how)}

const struct insn_form insn_one_byte[256] = {
	[0x26] = PREFIX, /* ES */
	[0x2e] = PREFIX, /* CS */
	[0x36] = PREFIX, /* SS */
	[0x3e] = PREFIX, /* DS */
	[0x63] = FORM(LOAD_SX, Z, V, NONE, FORM_MODRM | FORM_ONLY_64), /* MOVSXD Gv, Ez */
	[0x64] = PREFIX, /* FS */
	[0x65] = PREFIX, /* GS */
	[0x66] = PREFIX, /* operand size */
	[0x67] = PREFIX, /* address size */
	[0x88] = FORM(STORE, B, B, NONE, FORM_MODRM), /* MOV Eb, Gb */
	[0x89] = FORM(STORE, V, V, NONE, FORM_MODRM), /* MOV Ev, Gv */
	[0x8a] = FORM(LOAD, B, B, NONE, FORM_MODRM),  /* MOV Gb, Eb */
	[0x8b] = FORM(LOAD, V, V, NONE, FORM_MODRM),  /* MOV Gv, Ev */
	[0xa0] = FORM(LOAD, B, B, NONE, FORM_MOFFS),  /* MOV AL, Ob */
	[0xa1] = FORM(LOAD, V, V, NONE, FORM_MOFFS),  /* MOV rAX, Ov */
	[0xa2] = FORM(STORE, B, B, NONE, FORM_MOFFS), /* MOV Ob, AL */
	[0xa3] = FORM(STORE, V, V, NONE, FORM_MOFFS), /* MOV Ov, rAX */
	[0xc6] = GROUP(GROUP_11_BYTE),
	[0xc7] = GROUP(GROUP_11),
	[0xf0] = PREFIX, /* LOCK */
	[0xf2] = PREFIX, /* REPNE */
	[0xf3] = PREFIX, /* REP */
};

const struct insn_form insn_two_byte[256] = {
	[0xb6] = FORM(LOAD, B, V, NONE, FORM_MODRM),	/* MOVZX Gv, Eb */
	[0xb7] = FORM(LOAD, W, V, NONE, FORM_MODRM),	/* MOVZX Gv, Ew */
	[0xbe] = FORM(LOAD_SX, B, V, NONE, FORM_MODRM), /* MOVSX Gv, Eb */
	[0xbf] = FORM(LOAD_SX, W, V, NONE, FORM_MODRM), /* MOVSX Gv, Ew */
	[0xc3] = FORM(STORE, Y, Y, NONE, FORM_MODRM | FORM_MEMORY_ONLY | FORM_NO_PREFIX), /* MOVNTI My, Gy */
};

const struct insn_form insn_groups[NR_FORM_GROUPS][8] = {
	[GROUP_11_BYTE] = {
		FORM(STORE_IMM, B, NONE, B, FORM_MODRM), /* MOV Eb, Ib */
		INVALID, INVALID, INVALID, INVALID, INVALID, INVALID, INVALID,
	},
	[GROUP_11] = {
		FORM(STORE_IMM, V, NONE, Z, FORM_MODRM), /* MOV Ev, Iz */
		INVALID, INVALID, INVALID, INVALID, INVALID, INVALID, INVALID,
	},
};

const uint8_t form_sizes[NR_FORM_SIZES][3] = {
	[SIZE_B] = {1, 1, 1},
	[SIZE_W] = {2, 2, 2},
	[SIZE_V] = {2, 4, 8},
	[SIZE_Z] = {2, 4, 4},
	[SIZE_Y] = {4, 4, 8},
};
