/* SPDX-License-Identifier: MIT */
/*
 * Moves and integer arithmetic against this machine's CPU: every form that the decoder accepts, with random and extreme
 * operands. What the SDM calls undefined may differ: native_undefined.c has each of these by name.
 */
#include "mmio/alu.h"
#include "mmio/alu_flags.h"
#include "tests/unit/hosted.h"
#include "tests/unit/native_case.h"
#include "tests/unit/native_undefined.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { GP_VECTOR = 13, RUNS = 6 };

static struct form_count count;
static unsigned long invalid, not_run;
static const char *lacks[INSN_NR_OPS];

/* Changes a register that the instruction's address does not depend on. */
static void set_register(struct native_case *c, unsigned reg, uint64_t value)
{
	if (reg < INSN_NO_REGISTER && reg != c->insn.base && reg != c->insn.index)
		c->gpr[reg] = c->form->code_bits == 64 ? value : (uint32_t)value;
}

/* Operands that a random choice rarely gives. */
static void refine(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t value[2] = {random_operand(), random_operand()};
	bool pair = insn->op == INSN_CMPXCHG_PAIR, wide = pair && insn->memory_size == 16;

	switch (insn->op) {
	case INSN_CMPXCHG:
	case INSN_CMPXCHG_PAIR:
		value[0] = pair && !wide ? c->gpr[TL_RDX] << 32 | (uint32_t)c->gpr[TL_RAX] : c->gpr[TL_RAX];
		value[1] = c->gpr[TL_RDX];
		break;
	case INSN_DIV: /* the quotient just fits, or just not */
		set_register(c, TL_RDX, random_below(2) ? random_below(3) : value[0] - random_below(2));
		break;
	case INSN_IDIV:
		set_register(c, TL_RDX, (uint64_t)((int64_t)c->gpr[TL_RAX] >> 63));
		break;
	case INSN_BEXTR:
	case INSN_BZHI:
		set_register(c, insn->reg2, random_below(70) | random_below(70) << 8);
		break;
	default:
		break;
	}
	native_case_set_memory(c, value, sizeof(value));
}

/* As the engine does it: the operand is read, the instruction executed, the operand written. */
static void emulate(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t address = insn->op == INSN_XLAT ? 0 : insn_effective_address(insn, c->gpr, c->rip);
	uint64_t memory[2] = {0x5555555555555555, 0xaaaaaaaaaaaaaaaa};
	uint8_t *operand;

	memcpy(c->emulated_gpr, c->gpr, sizeof(c->gpr));
	c->emulated_rflags = c->rflags;
	c->emulated_fault = NATIVE_NO_FAULT;
	if (insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->source == SOURCE_REGISTER) {
		int64_t bit = alu_extend(c->gpr[insn->reg], insn->memory_size);

		address += (uint64_t)(bit >> 3) & ~(uint64_t)(insn->memory_size - 1);
	}
	if (insn->op == INSN_XLAT)
		address = (c->gpr[TL_RBX] + (c->gpr[TL_RAX] & 0xff)) & insn_mask[insn->address_size];
	operand = native_mirror(address, insn->memory_size);
	if (!operand) {
		native_case_fail(c, "the address");
		return;
	}
	if (insn->flags & INSN_ALIGNED && address & (insn->memory_size - 1u)) {
		c->emulated_fault = GP_VECTOR;
		return;
	}
	if (insn->access & INSN_READ) {
		memset(memory, 0, sizeof(memory));
		memcpy(memory, operand, insn->memory_size);
	}
	c->emulated_fault = alu_execute(insn, c->emulated_gpr, &c->emulated_rflags, memory);
	if (c->emulated_fault == ALU_OK && insn_is_write(insn))
		memcpy(operand, memory, insn->memory_size);
	assert_int_equal(c->emulated_gpr[INSN_NO_REGISTER], 0);
}

static void run_once(const struct native_form *form, bool refined)
{
	struct native_case c;

	if (!native_case_begin(&c, form))
		return;
	if (refined)
		refine(&c);
	native_case_run(&c);
	emulate(&c);
	form_count_add(&count, &c.insn);
	native_case_compare(&c);
}

static void visit(const struct native_form *form)
{
	const char *missing;

	if (form->status == DECODE_INVALID) {
		invalid += native_invalid_run(form);
		return;
	}
	if (insn_unit(&form->insn) > UNIT_ALU)
		return;
	missing = native_lacks(form);
	if (missing) {
		lacks[form->insn.op] = missing;
		not_run++;
		return;
	}
	count.forms++;
	for (unsigned i = 0; i < RUNS * native_rounds(); i++)
		run_once(form, i & 1);
}

static void run_forms(enum form_set set)
{
	native_start();
	native_forms(set, visit);
	assert_int_equal(native_case_failures(), 0);
	assert_true(native_mirror_holds());
}

static void legacy_forms(void **state)
{
	(void)state;
	run_forms(FORMS_LEGACY);
}

static void vex_forms(void **state)
{
	(void)state;
	run_forms(FORMS_VEX);
}

static void forms_of_32_bit_code(void **state)
{
	(void)state;
	native_start();
	if (!native_runs_32()) {
		printf("not run: 32-bit code, which this kernel does not allow\n");
		skip();
	}
	run_forms(FORMS_LEGACY_32);
}

static void every_operation_was_run(void **state)
{
	bool all = true;

	(void)state;
	for (unsigned op = INSN_LOAD; op <= INSN_XLAT; op++) {
		bool only_32 = op == INSN_ARPL || op == INSN_BOUND;

		if (count.runs[op])
			continue;
		printf("not run: %s%s%s\n", op_name(op), lacks[op] ? ": this CPU lacks " : "",
		       lacks[op] ? lacks[op] : "");
		if (!lacks[op] && !(only_32 && !native_runs_32()))
			all = false;
	}
	assert_true(all);
}

static int report(void **state)
{
	(void)state;
	printf("%lu forms, %lu runs, %u distinct (operation, size, encoding); %lu invalid ones #UD; %lu not run\n",
	       count.forms, count.total, count.distinct, invalid, not_run);
	native_undefined_report();
	native_extensions_report();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_forms),
		cmocka_unit_test(vex_forms),
		cmocka_unit_test(forms_of_32_bit_code),
		cmocka_unit_test(every_operation_was_run),
	};

	return cmocka_run_group_tests(tests, NULL, report);
}
