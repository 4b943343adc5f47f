/* SPDX-License-Identifier: MIT */
/* One-byte and two-byte opcodes. */
#include "mmio/decode_table.h"

/* A row is a line. */
/* clang-format off */

/* The eight operations of opcodes 00 to 3D, six forms each; the accumulator's has no memory operand. */
#define ARITHMETIC(first, what) \
	[first] = FORM(what, BOTH, B, B, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* what Eb, Gb */ \
	[first + 1] = FORM(what, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* what Ev, Gv */ \
	[first + 2] = FORM(what, READS, B, B, NONE, FROM_REG, FLAGS(FORM_TO_REGISTER)), /* what Gb, Eb */ \
	[first + 3] = FORM(what, READS, V, V, NONE, FROM_REG, FLAGS(FORM_TO_REGISTER)) /* what Gv, Ev */

#define STACK .flags = FORM_NO_MEMORY | FORM_DEFAULT_64
#define STACK_NOT_64 .flags = FORM_NO_MEMORY | FORM_NOT_64

#define PUSH_SEGMENT(name) FORM(PUSH, 0, NONE, NONE, NONE, .source = SOURCE_SEGMENT, .detail = name, STACK_NOT_64)
#define POP_SEGMENT(name) FORM(POP, 0, NONE, NONE, NONE, .source = SOURCE_SEGMENT, .detail = name, STACK_NOT_64)
#define PUSH_REG FORM(PUSH, 0, NONE, V, NONE, FROM_REG, .flags = FORM_NO_MEMORY | FORM_DEFAULT_64 | FORM_OPCODE_REG)
#define POP_REG FORM(POP, 0, NONE, V, NONE, FROM_REG, .flags = FORM_NO_MEMORY | FORM_DEFAULT_64 | FORM_OPCODE_REG)
#define STRING(what, how, m, r) FORM(what, how, m, r, NONE, .flags = FORM_NO_MEMORY | FORM_STRING)

enum { ES, CS, SS, DS, FS, GS };

const struct insn_form insn_one_byte[256] = {
	ARITHMETIC(0x00, ADD),
	[0x06] = PUSH_SEGMENT(ES), /* PUSH ES */
	[0x07] = POP_SEGMENT(ES), /* POP ES */
	ARITHMETIC(0x08, OR),
	[0x0e] = PUSH_SEGMENT(CS), /* PUSH CS */
	ARITHMETIC(0x10, ADC),
	[0x16] = PUSH_SEGMENT(SS), /* PUSH SS */
	[0x17] = POP_SEGMENT(SS), /* POP SS */
	ARITHMETIC(0x18, SBB),
	[0x1e] = PUSH_SEGMENT(DS), /* PUSH DS */
	[0x1f] = POP_SEGMENT(DS), /* POP DS */
	ARITHMETIC(0x20, AND),
	[0x26] = PREFIX, /* ES */
	ARITHMETIC(0x28, SUB),
	[0x2e] = PREFIX, /* CS */
	ARITHMETIC(0x30, XOR),
	[0x36] = PREFIX, /* SS */
	[0x38] = FORM(CMP, READS, B, B, NONE, FROM_REG, PLAIN), /* CMP Eb, Gb */
	[0x39] = FORM(CMP, READS, V, V, NONE, FROM_REG, PLAIN), /* CMP Ev, Gv */
	[0x3a] = FORM(CMP, READS, B, B, NONE, FROM_REG, FLAGS(FORM_TO_REGISTER)), /* CMP Gb, Eb */
	[0x3b] = FORM(CMP, READS, V, V, NONE, FROM_REG, FLAGS(FORM_TO_REGISTER)), /* CMP Gv, Ev */
	[0x3e] = PREFIX, /* DS */
	[0x50] = PUSH_REG, PUSH_REG, PUSH_REG, PUSH_REG, PUSH_REG, PUSH_REG, PUSH_REG, PUSH_REG, /* PUSH Zv */
	[0x58] = POP_REG, POP_REG, POP_REG, POP_REG, POP_REG, POP_REG, POP_REG, POP_REG, /* POP Zv */
	[0x60] = FORM(PUSHA, 0, NONE, NONE, NONE, STACK_NOT_64), /* PUSHA; PUSHAD */
	[0x61] = FORM(POPA, 0, NONE, NONE, NONE, STACK_NOT_64), /* POPA; POPAD */
	[0x62] = FORM(BOUND, READS, A, Z, NONE, FROM_REG, FLAGS(FORM_NOT_64)), /* BOUND Gv, Ma */
	[0x63] = FORM(LOAD_SX, READS, Z, V, NONE, FLAGS(FORM_ONLY_64)), /* MOVSXD Gv, Ez */
	[0x64] = PREFIX, /* FS */
	[0x65] = PREFIX, /* GS */
	[0x66] = PREFIX, /* operand size */
	[0x67] = PREFIX, /* address size */
	[0x68] = FORM(PUSH, 0, NONE, NONE, Z, FROM_IMM, STACK), /* PUSH Iz */
	[0x69] = FORM(IMUL_TO_REGISTER, READS, V, V, Z, FROM_IMM, FLAGS(FORM_TO_REGISTER)), /* IMUL Gv, Ev, Iz */
	[0x6a] = FORM(PUSH, 0, NONE, NONE, B, FROM_IMM, .flags = FORM_NO_MEMORY | FORM_DEFAULT_64 | FORM_SIGNED), /* PUSH Ib */
	[0x6b] = FORM(IMUL_TO_REGISTER, READS, V, V, B, FROM_IMM, FLAGS(FORM_TO_REGISTER | FORM_SIGNED)), /* IMUL Gv, Ev, Ib */
	[0x6c] = STRING(INS, WRITES, B, NONE), /* INS Yb, DX */
	[0x6d] = STRING(INS, WRITES, Z, NONE), /* INS Yz, DX */
	[0x6e] = STRING(OUTS, READS, B, NONE), /* OUTS DX, Xb */
	[0x6f] = STRING(OUTS, READS, Z, NONE), /* OUTS DX, Xz */
	[0x80] = BY_REG(1_BYTE),
	[0x81] = BY_REG(1),
	[0x82] = {.op = INSN_BY_REG, .flags = FORM_MODRM | FORM_NOT_64, .detail = GROUP_1_BYTE},
	[0x83] = BY_REG(1_SIGNED),
	[0x84] = FORM(TEST, READS, B, B, NONE, FROM_REG, PLAIN), /* TEST Eb, Gb */
	[0x85] = FORM(TEST, READS, V, V, NONE, FROM_REG, PLAIN), /* TEST Ev, Gv */
	[0x86] = FORM(XCHG, BOTH, B, B, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* XCHG Eb, Gb */
	[0x87] = FORM(XCHG, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* XCHG Ev, Gv */
	[0x88] = FORM(STORE, WRITES, B, B, NONE, PLAIN), /* MOV Eb, Gb */
	[0x89] = FORM(STORE, WRITES, V, V, NONE, PLAIN), /* MOV Ev, Gv */
	[0x8a] = FORM(LOAD, READS, B, B, NONE, PLAIN), /* MOV Gb, Eb */
	[0x8b] = FORM(LOAD, READS, V, V, NONE, PLAIN), /* MOV Gv, Ev */
	[0x8c] = FORM(STORE_SEGMENT, WRITES, W, NONE, NONE, .source = SOURCE_SEGMENT, PLAIN), /* MOV Ew, Sw */
	[0x8e] = FORM(LOAD_SEGMENT, READS, W, NONE, NONE, .source = SOURCE_SEGMENT, PLAIN), /* MOV Sw, Ew */
	[0x8f] = BY_REG(1A),
	[0x9c] = FORM(PUSHF, 0, NONE, NONE, NONE, STACK), /* PUSHF */
	[0x9d] = FORM(POPF, 0, NONE, NONE, NONE, STACK), /* POPF */
	[0xa0] = FORM(LOAD, READS, B, B, NONE, .flags = FORM_MOFFS), /* MOV AL, Ob */
	[0xa1] = FORM(LOAD, READS, V, V, NONE, .flags = FORM_MOFFS), /* MOV rAX, Ov */
	[0xa2] = FORM(STORE, WRITES, B, B, NONE, .flags = FORM_MOFFS), /* MOV Ob, AL */
	[0xa3] = FORM(STORE, WRITES, V, V, NONE, .flags = FORM_MOFFS), /* MOV Ov, rAX */
	[0xa4] = STRING(MOVS, BOTH, B, NONE), /* MOVS Yb, Xb */
	[0xa5] = STRING(MOVS, BOTH, V, NONE), /* MOVS Yv, Xv */
	[0xa6] = STRING(CMPS, READS, B, NONE), /* CMPS Xb, Yb */
	[0xa7] = STRING(CMPS, READS, V, NONE), /* CMPS Xv, Yv */
	[0xaa] = STRING(STOS, WRITES, B, NONE), /* STOS Yb, AL */
	[0xab] = STRING(STOS, WRITES, V, NONE), /* STOS Yv, rAX */
	[0xac] = STRING(LODS, READS, B, NONE), /* LODS AL, Xb */
	[0xad] = STRING(LODS, READS, V, NONE), /* LODS rAX, Xv */
	[0xae] = STRING(SCAS, READS, B, NONE), /* SCAS AL, Yb */
	[0xaf] = STRING(SCAS, READS, V, NONE), /* SCAS rAX, Yv */
	[0xc0] = BY_REG(2_BYTE_IMM),
	[0xc1] = BY_REG(2_IMM),
	[0xc2] = FORM(RET, 0, NONE, NONE, W, FROM_IMM, .flags = FORM_NO_MEMORY | FORM_FORCE_64), /* RET Iw */
	[0xc3] = FORM(RET, 0, NONE, NONE, NONE, .flags = FORM_NO_MEMORY | FORM_FORCE_64), /* RET */
	[0xc4] = FORM(LOAD_FAR, READS, P, Z, NONE, .detail = ES, FLAGS(FORM_NOT_64)), /* LES Gz, Mp */
	[0xc5] = FORM(LOAD_FAR, READS, P, Z, NONE, .detail = DS, FLAGS(FORM_NOT_64)), /* LDS Gz, Mp */
	[0xc6] = BY_REG(11_BYTE),
	[0xc7] = BY_REG(11),
	[0xc8] = FORM(ENTER, 0, NONE, NONE, ENTER, FROM_IMM, STACK), /* ENTER Iw, Ib */
	[0xc9] = FORM(LEAVE, 0, NONE, NONE, NONE, STACK), /* LEAVE */
	[0xd0] = BY_REG(2_BYTE_1),
	[0xd1] = BY_REG(2_1),
	[0xd2] = BY_REG(2_BYTE_CL),
	[0xd3] = BY_REG(2_CL),
	[0xd7] = FORM(XLAT, READS, B, NONE, NONE, .flags = FORM_NO_MEMORY), /* XLAT */
	[0xd9] = BY_REG(X87_D9),
	[0xdb] = BY_REG(X87_DB),
	[0xdd] = BY_REG(X87_DD),
	[0xdf] = BY_REG(X87_DF),
	[0xe8] = FORM(CALL, 0, NONE, NONE, Z, FROM_IMM, .flags = FORM_NO_MEMORY | FORM_FORCE_64 | FORM_RELATIVE), /* CALL Jz */
	[0xf0] = PREFIX, /* LOCK */
	[0xf2] = PREFIX, /* REPNE */
	[0xf3] = PREFIX, /* REP */
	[0xf6] = BY_REG(3_BYTE),
	[0xf7] = BY_REG(3),
	[0xfe] = BY_REG(4),
	[0xff] = BY_REG(5),
};

#define SETCC(n) FORM(SETCC, WRITES, B, NONE, NONE, .detail = n, PLAIN)
#define CMOVCC(n) FORM(CMOVCC, READS, V, V, NONE, .detail = n, FLAGS(FORM_TO_REGISTER))
#define PUSH_FAR_SEGMENT(name) FORM(PUSH, 0, NONE, NONE, NONE, .source = SOURCE_SEGMENT, .detail = name, STACK)
#define POP_FAR_SEGMENT(name) FORM(POP, 0, NONE, NONE, NONE, .source = SOURCE_SEGMENT, .detail = name, STACK)

const struct insn_form insn_two_byte[256] = {
	[0x00] = BY_REG(6),
	[0x01] = BY_REG(7),
	[0x02] = FORM(LAR, READS, W, V, NONE, FLAGS(FORM_TO_REGISTER)), /* LAR Gv, Ew */
	[0x03] = FORM(LSL, READS, W, V, NONE, FLAGS(FORM_TO_REGISTER)), /* LSL Gv, Ew */
	[0x10] = BY_PREFIX(10),
	[0x11] = BY_PREFIX(11),
	[0x12] = BY_PREFIX(12),
	[0x13] = BY_PREFIX(13),
	[0x16] = BY_PREFIX(16),
	[0x17] = BY_PREFIX(17),
	[0x28] = BY_PREFIX(28),
	[0x29] = BY_PREFIX(29),
	[0x2b] = BY_PREFIX(2B),
	[0x40] = CMOVCC(0), CMOVCC(1), CMOVCC(2), CMOVCC(3), CMOVCC(4), CMOVCC(5), CMOVCC(6), CMOVCC(7), /* CMOVcc Gv, Ev */
	[0x48] = CMOVCC(8), CMOVCC(9), CMOVCC(10), CMOVCC(11), CMOVCC(12), CMOVCC(13), CMOVCC(14), CMOVCC(15), /* CMOVcc Gv, Ev */
	[0x6e] = BY_PREFIX(6E),
	[0x6f] = BY_PREFIX(6F),
	[0x7e] = BY_PREFIX(7E),
	[0x7f] = BY_PREFIX(7F),
	[0x90] = SETCC(0), SETCC(1), SETCC(2), SETCC(3), SETCC(4), SETCC(5), SETCC(6), SETCC(7), /* SETcc Eb */
	[0x98] = SETCC(8), SETCC(9), SETCC(10), SETCC(11), SETCC(12), SETCC(13), SETCC(14), SETCC(15), /* SETcc Eb */
	[0xa0] = PUSH_FAR_SEGMENT(FS), /* PUSH FS */
	[0xa1] = POP_FAR_SEGMENT(FS), /* POP FS */
	[0xa3] = FORM(BT, READS, V, V, NONE, FROM_REG, PLAIN), /* BT Ev, Gv */
	[0xa4] = FORM(SHLD, BOTH, V, V, B, FROM_IMM, PLAIN), /* SHLD Ev, Gv, Ib */
	[0xa5] = FORM(SHLD, BOTH, V, V, NONE, .source = SOURCE_CL, PLAIN), /* SHLD Ev, Gv, CL */
	[0xa8] = PUSH_FAR_SEGMENT(GS), /* PUSH GS */
	[0xa9] = POP_FAR_SEGMENT(GS), /* POP GS */
	[0xab] = FORM(BTS, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* BTS Ev, Gv */
	[0xac] = FORM(SHRD, BOTH, V, V, B, FROM_IMM, PLAIN), /* SHRD Ev, Gv, Ib */
	[0xad] = FORM(SHRD, BOTH, V, V, NONE, .source = SOURCE_CL, PLAIN), /* SHRD Ev, Gv, CL */
	[0xae] = BY_REG(15),
	[0xaf] = FORM(IMUL_TO_REGISTER, READS, V, V, NONE, FROM_REG, FLAGS(FORM_TO_REGISTER)), /* IMUL Gv, Ev */
	[0xb0] = FORM(CMPXCHG, BOTH, B, B, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* CMPXCHG Eb, Gb */
	[0xb1] = FORM(CMPXCHG, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* CMPXCHG Ev, Gv */
	[0xb2] = FORM(LOAD_FAR, READS, P, V, NONE, .detail = SS, FLAGS(FORM_MEMORY_ONLY)), /* LSS Gv, Mp */
	[0xb3] = FORM(BTR, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* BTR Ev, Gv */
	[0xb4] = FORM(LOAD_FAR, READS, P, V, NONE, .detail = FS, FLAGS(FORM_MEMORY_ONLY)), /* LFS Gv, Mp */
	[0xb5] = FORM(LOAD_FAR, READS, P, V, NONE, .detail = GS, FLAGS(FORM_MEMORY_ONLY)), /* LGS Gv, Mp */
	[0xb6] = FORM(LOAD, READS, B, V, NONE, PLAIN), /* MOVZX Gv, Eb */
	[0xb7] = FORM(LOAD, READS, W, V, NONE, PLAIN), /* MOVZX Gv, Ew */
	[0xb8] = BY_PREFIX(B8),
	[0xba] = BY_REG(8),
	[0xbb] = FORM(BTC, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* BTC Ev, Gv */
	[0xbc] = BY_PREFIX(BC),
	[0xbd] = BY_PREFIX(BD),
	[0xbe] = FORM(LOAD_SX, READS, B, V, NONE, PLAIN), /* MOVSX Gv, Eb */
	[0xbf] = FORM(LOAD_SX, READS, W, V, NONE, PLAIN), /* MOVSX Gv, Ew */
	[0xc0] = FORM(XADD, BOTH, B, B, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* XADD Eb, Gb */
	[0xc1] = FORM(XADD, BOTH, V, V, NONE, FROM_REG, FLAGS(FORM_LOCK)), /* XADD Ev, Gv */
	[0xc3] = FORM(STORE, WRITES, Y, Y, NONE, FLAGS(FORM_MEMORY_ONLY | FORM_NO_PREFIX)), /* MOVNTI My, Gy */
	[0xc4] = BY_PREFIX(C4),
	[0xc7] = BY_REG(9),
	[0xd6] = BY_PREFIX(D6),
	[0xe7] = BY_PREFIX(E7),
	[0xf0] = BY_PREFIX(F0),
	[0xf7] = BY_PREFIX(F7),
};

const uint8_t form_sizes[NR_FORM_SIZES][3] = {
	[SIZE_B] = {1, 1, 1},
	[SIZE_W] = {2, 2, 2},
	[SIZE_D] = {4, 4, 4},
	[SIZE_Q] = {8, 8, 8},
	[SIZE_T] = {10, 10, 10},
	[SIZE_O] = {16, 16, 16},
	[SIZE_H] = {64, 64, 64},
	[SIZE_V] = {2, 4, 8},
	[SIZE_Z] = {2, 4, 4},
	[SIZE_Y] = {4, 4, 8},
	[SIZE_A] = {4, 8, 8},
	[SIZE_P] = {4, 6, 10},
};
