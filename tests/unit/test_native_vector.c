/* SPDX-License-Identifier: MIT */
/*
 * Vector, MMX, opmask and x87 moves against this machine's CPU: every form that the decoder accepts, with the whole
 * XSAVE state random before and compared after. test_vector and test_x87_native go deeper into each operation; this one
 * finds what the decoder takes for another instruction than the CPU does.
 */
#include "mmio/emulate.h"
#include "mmio/vector.h"
#include "mmio/x87.h"
#include "tests/unit/hosted.h"
#include "tests/unit/native_case.h"
#include "tests/unit/native_xstate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { GP_VECTOR = 13, MF_VECTOR = 16, RUNS = 2, INVALID_SAMPLE = 16 };

static struct form_count count;
static unsigned long invalid, not_run;
static const char *lacks[INSN_NR_OPS];
static struct native_image before, by_cpu, emulated;

static bool is_vector(unsigned op)
{
	return op >= INSN_VECTOR_LOAD && op <= INSN_X87_STORE;
}

/* The bytes of `operand` that the mask has become those of data. */
static void store_masked(uint8_t *operand, const uint8_t *data, unsigned size, uint64_t mask)
{
	for (unsigned i = 0; i < size; i++) {
		if (mask >> i & 1)
			operand[i] = data[i];
	}
}

/* Returns a vector or NATIVE_NO_FAULT. */
static int emulate_vector(const struct insn *insn, struct xstate *xstate, uint8_t *operand)
{
	uint64_t mask = vector_mask(insn, xstate);
	uint8_t data[64] = {0};
	int fault;

	if (insn_is_write(insn)) {
		vector_store(insn, xstate, data);
		store_masked(operand, data, insn->memory_size, mask);
		return NATIVE_NO_FAULT;
	}
	store_masked(data, operand, insn->memory_size, mask);
	fault = vector_load(insn, xstate, data);
	return fault < 0 ? NATIVE_NO_FAULT : fault;
}

static int emulate_x87(const struct native_case *c, struct xstate *xstate, uint8_t *operand)
{
	const struct insn *insn = &c->insn;
	unsigned at = c->form->opcode_at;
	struct x87_pointers pointers = {
		.ip = c->rip,
		.dp = c->operand,
		.opcode = (uint16_t)((c->bytes[at] & 7) << 8 | c->bytes[at + 1]),
	};
	uint8_t data[16] = {0};

	if (insn_is_write(insn)) {
		if (x87_store(insn, xstate, &pointers, data))
			memcpy(operand, data, insn->memory_size);
		return NATIVE_NO_FAULT;
	}
	memcpy(data, operand, insn->memory_size);
	x87_load(insn, xstate, &pointers, data);
	return NATIVE_NO_FAULT;
}

static void emulate(struct native_case *c)
{
	const struct insn *insn = &c->insn;
	uint64_t address = insn_effective_address(insn, c->gpr, c->rip);
	uint8_t *operand = native_mirror(address, insn->memory_size);
	struct xstate xstate = native_xstate(&emulated);

	memcpy(c->emulated_gpr, c->gpr, sizeof(c->gpr));
	c->emulated_rflags = c->rflags;
	if (!operand)
		native_case_fail(c, "the address");
	else if (x87_waits(insn) && x87_is_pending(&xstate))
		c->emulated_fault = MF_VECTOR;
	else if (insn->flags & INSN_ALIGNED && address & (insn->memory_size - 1u))
		c->emulated_fault = GP_VECTOR;
	else if (insn_unit(insn) == UNIT_VECTOR)
		c->emulated_fault = emulate_vector(insn, &xstate, operand);
	else
		c->emulated_fault = emulate_x87(c, &xstate, operand);
}

static void run_once(const struct native_form *form)
{
	uint64_t operand[8];
	struct native_case c;
	const char *difference;

	if (!native_case_begin(&c, form))
		return;
	for (unsigned i = 0; i < 8; i++)
		operand[i] = random_next();
	if (c.insn.op == INSN_LDMXCSR && random_below(2))
		operand[0] &= 0xffff;
	native_case_set_memory(&c, operand, sizeof(operand));
	native_image_random(&before);
	memcpy(&emulated, &before, sizeof(before));
	c.cpu.xsave_before = before.bytes;
	c.cpu.xsave_after = by_cpu.bytes;
	emulate(&c);
	native_case_run(&c);
	form_count_add(&count, &c.insn);
	native_case_compare(&c);
	difference = native_image_difference(&by_cpu, &emulated, native_image_has_pointers(&by_cpu, &c.insn));
	if (difference && c.cpu.fault == c.emulated_fault)
		native_case_fail(&c, difference);
}

static void visit(const struct native_form *form)
{
	const char *missing;

	if (form->status == DECODE_INVALID) {
		if (form->encoding != ENCODING_LEGACY && random_below(INVALID_SAMPLE) == 0)
			invalid += native_invalid_run(form);
		return;
	}
	if (!is_vector(form->insn.op))
		return;
	missing = native_lacks(form);
	if (missing) {
		lacks[form->insn.op] = missing;
		not_run++;
		return;
	}
	count.forms++;
	for (unsigned i = 0; i < RUNS * native_rounds(); i++)
		run_once(form);
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

static void evex_forms(void **state)
{
	(void)state;
	run_forms(FORMS_EVEX);
}

static void every_operation_was_run(void **state)
{
	bool all = true;

	(void)state;
	for (unsigned op = 0; op < INSN_NR_OPS; op++) {
		if (!is_vector(op) || count.runs[op])
			continue;
		printf("not run: %s%s%s\n", op_name(op), lacks[op] ? ": this CPU lacks " : "",
		       lacks[op] ? lacks[op] : "");
		if (!lacks[op])
			all = false;
	}
	assert_true(all);
}

static int report(void **state)
{
	(void)state;
	printf("%lu forms, %lu runs, %u distinct (operation, size, encoding); %lu invalid ones #UD; %lu not run\n",
	       count.forms, count.total, count.distinct, invalid, not_run);
	native_extensions_report();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_forms),
		cmocka_unit_test(vex_forms),
		cmocka_unit_test(evex_forms),
		cmocka_unit_test(every_operation_was_run),
	};

	return cmocka_run_group_tests(tests, NULL, report);
}
