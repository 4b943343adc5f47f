/* SPDX-License-Identifier: MIT */
/*
 * What test_native_alu cannot ask of every CPU: the values that Intel's give to flags and results the SDM calls
 * undefined, conditions one by one, and that an instruction which raises an exception changes nothing.
 */
#include "mmio/alu.h"
#include "mmio/alu_flags.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { CF = RFLAGS_CF, PF = RFLAGS_PF, AF = RFLAGS_AF, ZF = RFLAGS_ZF, SF = RFLAGS_SF, OF = RFLAGS_OF };
enum { ALL = RFLAGS_STATUS, DF = 1 << 10, DE_VECTOR = 0, BR_VECTOR = 5 };

static void conditions(void **state)
{
	/* Of each even condition: does it hold with these flags? The odd one after it is the opposite. */
	static const struct {
		uint8_t condition;
		uint32_t flags;
		bool holds;
	} rows[] = {
		{0x0, OF, true},       {0x0, ALL & ~OF, false},    {0x2, CF, true},  {0x2, ALL & ~CF, false},
		{0x4, ZF, true},       {0x4, ALL & ~ZF, false},    {0x6, CF, true},  {0x6, ZF, true},
		{0x6, CF | ZF, true},  {0x6, SF | OF, false},      {0x8, SF, true},  {0x8, ALL & ~SF, false},
		{0xa, PF, true},       {0xa, ALL & ~PF, false},    {0xc, SF, true},  {0xc, OF, true},
		{0xc, SF | OF, false}, {0xc, CF | ZF, false},      {0xe, ZF, true},  {0xe, SF, true},
		{0xe, OF, true},       {0xe, SF | OF | CF, false}, {0xe, ALL, true},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(alu_condition(rows[i].condition, rows[i].flags), rows[i].holds);
		assert_int_equal(alu_condition(rows[i].condition | 1u, rows[i].flags), !rows[i].holds);
	}
}

/* op m, imm or op reg, m: of a memory operand of `size` bytes, with RCX the register. */
struct row {
	uint8_t op; /* enum insn_op */
	uint8_t size;
	uint64_t memory, reg, imm; /* RDX:RAX of the multiplications and divisions is 0:reg */
	uint32_t flags;            /* before */
	uint64_t result;           /* memory, or the register where access has no INSN_WRITE */
	uint32_t flags_after;
};

/* Flags all set or all clear before, so that "unchanged" and "cleared" differ. */
static const struct row undefined[] = {
	{INSN_AND, 1, 0x18, 0x0f, 0, ALL, 0x08, 0},
	{INSN_XOR, 4, 0x80000000, 1, 0, ALL, 0x80000001, SF},
	/* OF as after a shift by 1: here bits 7 and 6 of the operand differ, or not. */
	{INSN_SHL, 1, 0x40, 0, 4, 0, 0x00, OF | ZF | PF},
	{INSN_SHL, 1, 0xc0, 0, 2, ALL, 0x00, CF | ZF | PF},
	{INSN_SHL, 1, 0x11, 0, 4, ALL, 0x10, CF},
	{INSN_SHL, 1, 0xff, 0, 9, ALL, 0x00, ZF | PF},
	{INSN_SHL, 1, 0x01, 0, 8, 0, 0x00, CF | ZF | PF},
	{INSN_SHR, 1, 0x80, 0, 3, 0, 0x10, OF},
	{INSN_SHR, 2, 0x4000, 0, 17, ALL, 0x0000, ZF | PF},
	{INSN_SAR, 1, 0x80, 0, 3, ALL, 0xf0, SF | PF},
	{INSN_SAR, 1, 0x80, 0, 31, 0, 0xff, SF | PF | CF},
	{INSN_ROL, 1, 0x40, 0, 4, 0, 0x04, OF},
	{INSN_ROL, 1, 0x81, 0, 8, 0, 0x81, OF | CF},
	{INSN_ROR, 1, 0x01, 0, 4, AF | ZF, 0x10, OF | AF | ZF},
	{INSN_ROR, 1, 0x81, 0, 8, OF, 0x81, CF},
	{INSN_RCL, 1, 0x40, 0, 3, CF, 0x05, OF},
	{INSN_RCL, 1, 0x40, 0, 9, CF | PF, 0x40, CF | PF},
	{INSN_RCR, 1, 0x80, 0, 3, 0, 0x10, OF},
	{INSN_RCR, 1, 0x80, 0, 3, CF, 0x30, 0},
	{INSN_RCR, 2, 0x1234, 0, 17, OF | CF, 0x1234, OF | CF},
	{INSN_SHLD, 4, 0x40000000, 0xf0000000, 4, ALL, 0x0000000f, OF | PF},
	{INSN_SHRD, 4, 0x80000000, 0, 4, ALL, 0x08000000, OF | PF},
	{INSN_SHRD, 4, 0x80000000, 1, 4, ALL, 0x18000000, PF},
	/* destination:source:destination << 20, and the same >> 20 */
	{INSN_SHLD, 2, 0x1234, 0x5678, 20, ALL, 0x6781, CF | PF},
	{INSN_SHRD, 2, 0x1234, 0x5678, 20, 0, 0x4567, CF},
	{INSN_BT, 4, 8, 0, 3, OF | ZF | PF, 8, OF | ZF | PF | CF},
	{INSN_BTS, 4, 0, 0, 35, ALL, 8, ALL & ~CF},
	{INSN_BSF, 4, 0x60, 7, 0, ALL, 5, PF},
	{INSN_BSR, 4, 0x80, 7, 0, ALL, 7, 0},
	{INSN_BSF, 4, 0, 0x1122334455667788, 0, ALL, 0x1122334455667788, ZF | PF},
	{INSN_TZCNT, 4, 0x80, 0, 0, ALL, 7, 0},
	{INSN_TZCNT, 2, 0, 0, 0, 0, 16, CF},
	{INSN_LZCNT, 4, 0x80000000, 0, 0, ALL, 0, ZF | PF},
	{INSN_LZCNT, 4, 0x00800000, 0, 0, ALL, 8, 0},
	{INSN_IMUL_TO_REGISTER, 4, 3, 0xfffffffd, 0, ALL, 0xfffffff7, SF},
	{INSN_IMUL_TO_REGISTER, 4, 0x10000, 0x10000, 0, 0, 0, CF | OF | PF},
};

static struct insn insn_of(const struct row *row)
{
	struct insn insn = {
		.op = row->op,
		.access = INSN_READ,
		.memory_size = row->size,
		.register_size = row->size,
		.reg = TL_RCX,
		.base = INSN_NO_REGISTER,
		.index = INSN_NO_REGISTER,
		.reg2 = INSN_NO_REGISTER,
		.source = row->imm ? SOURCE_IMMEDIATE : SOURCE_REGISTER,
		.imm = row->imm,
	};

	if (row->op == INSN_BT || row->op >= INSN_BSF)
		return insn;
	insn.access = INSN_READ | INSN_WRITE;
	return insn;
}

static void undefined_flags_are_intels(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(undefined) / sizeof(undefined[0]); i++) {
		const struct row *row = &undefined[i];
		struct insn insn = insn_of(row);
		uint64_t gpr[INSN_NR_GPRS] = {[TL_RCX] = row->reg};
		uint64_t rflags = row->flags | DF, memory[2] = {row->memory, 0};
		bool in_register = row->op >= INSN_BSF;

		assert_int_equal(alu_execute(&insn, gpr, &rflags, memory), ALU_OK);
		if ((in_register ? gpr[TL_RCX] : memory[0]) != row->result || rflags != (row->flags_after | DF))
			fail_msg("row %u: %lx, flags %lx", i, in_register ? gpr[TL_RCX] : memory[0], rflags);
	}
}

/* The one-operand multiplications: SF and PF of the low half, ZF and AF 0. */
static void multiplication_flags_are_intels(void **state)
{
	static const struct {
		uint8_t op; /* enum insn_op */
		uint64_t a, b, flags, rax, rdx;
	} rows[] = {
		{INSN_MUL, 0x80000000, 1, SF | PF, 0x80000000, 0},
		{INSN_MUL, 0x80000000, 2, CF | OF | PF, 0, 1},
		{INSN_IMUL, 0xffffffff, 3, SF, 0xfffffffd, 0xffffffff},
		{INSN_IMUL, 0, 3, PF, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct insn insn = {.op = rows[i].op, .access = INSN_READ, .memory_size = 4, .reg = INSN_NO_REGISTER};
		uint64_t gpr[INSN_NR_GPRS] = {[TL_RAX] = rows[i].a}, rflags = AF | ZF, memory[2] = {rows[i].b, 0};

		assert_int_equal(alu_execute(&insn, gpr, &rflags, memory), ALU_OK);
		assert_int_equal(gpr[TL_RAX], rows[i].rax);
		assert_int_equal(gpr[TL_RDX], rows[i].rdx);
		assert_int_equal(rflags, rows[i].flags);
	}
}

static void an_exception_changes_nothing(void **state)
{
	static const struct {
		uint8_t op; /* enum insn_op */
		uint8_t size;
		uint64_t memory, rax, rdx;
		int vector;
	} rows[] = {
		{INSN_DIV, 1, 0, 5, 0, DE_VECTOR},
		{INSN_DIV, 1, 1, 0x100, 0, DE_VECTOR},
		{INSN_DIV, 8, 1, 0, 1, DE_VECTOR},
		{INSN_IDIV, 4, 0xffffffff, 0x80000000, 0xffffffff, DE_VECTOR},
		{INSN_IDIV, 8, 1, 1ull << 63, 0, DE_VECTOR},
		{INSN_IDIV, 8, 0, 1, 0, DE_VECTOR},
		{INSN_BOUND, 8, 5ull << 32 | 1, 0, 0, BR_VECTOR},
		{INSN_BOUND, 8, 0xffffffffull << 32 | 0xfffffff0, 0, 0, BR_VECTOR},
		{INSN_BOUND, 4, 5u << 16 | 0xffff, 0, 0, ALU_OK},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct insn insn = {.op = rows[i].op, .access = INSN_READ, .memory_size = rows[i].size, .reg = TL_RAX};
		uint64_t gpr[INSN_NR_GPRS] = {[TL_RAX] = rows[i].rax, [TL_RDX] = rows[i].rdx}, before[INSN_NR_GPRS];
		uint64_t rflags = ALL | DF, memory[2] = {rows[i].memory, 0};

		insn.register_size = rows[i].size / 2;
		memcpy(before, gpr, sizeof(gpr));
		assert_int_equal(alu_execute(&insn, gpr, &rflags, memory), rows[i].vector);
		assert_memory_equal(gpr, before, sizeof(gpr));
		assert_int_equal(rflags, ALL | DF);
		assert_int_equal(memory[0], rows[i].memory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions),
		cmocka_unit_test(undefined_flags_are_intels),
		cmocka_unit_test(multiplication_flags_are_intels),
		cmocka_unit_test(an_exception_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
