/* SPDX-License-Identifier: MIT */
/* Instructions in registers (mmio/step.h) against this machine's CPU, one by one and in rows; and those left out. */
#include "mmio/step.h"

#include "mmio/alu.h"
#include "mmio/alu_flags.h"
#include "tests/unit/hosted.h"
#include "tests/unit/native_case.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum {
	ROW = 6,
	ROW_BYTES = 26 /* that native_run() takes */,
	STEP_BYTES = 15,
	ROWS = 60000,
	STRINGS = 2000000,
	NR_OPS = STEP_JCC + 1,
	STACK_PAGE = 3
};

/* Any bytes, but REX and the escape often. */
static void random_bytes(uint8_t bytes[STEP_BYTES])
{
	unsigned at = 0;

	for (unsigned i = 0; i < STEP_BYTES; i++)
		bytes[i] = (uint8_t)random_next();
	if (random_below(2))
		bytes[at++] = (uint8_t)(0x40 | random_below(16));
	if (random_below(8) == 0) {
		bytes[at++] = 0x0f;
		bytes[at] = (uint8_t)(0xb6 | random_below(2));
	}
	/* ModRM that names a register. */
	if (random_below(2))
		bytes[at + 1] |= 0xc0;
}

static bool is_jump(const struct step *step)
{
	return step->op == STEP_JMP || step->op == STEP_JCC;
}

static void random_step(uint8_t bytes[STEP_BYTES], struct step *step)
{
	do
		random_bytes(bytes);
	while (!step_decode(bytes, STEP_BYTES, step) || is_jump(step));
}

struct row {
	struct native cpu;
	uint64_t gpr[INSN_NR_GPRS];
	struct step_flags flags;
	uint8_t bytes[ROW_BYTES];
	unsigned length;
	uint64_t undefined; /* of the flags */
};

static void begin(struct row *row)
{
	memset(row, 0, sizeof(*row));
	for (unsigned i = 0; i < INSN_NO_REGISTER; i++)
		row->gpr[i] = random_operand();
	row->gpr[TL_RSP] = (uintptr_t)native_memory + STACK_PAGE * 4096;
	row->flags.rflags = 0x202 | (random_next() & RFLAGS_STATUS);
	memcpy(row->cpu.gpr, row->gpr, sizeof(row->cpu.gpr));
	row->cpu.rflags = row->flags.rflags;
}

/* As fast as it may be. */
static bool execute(const struct step *step, uint64_t gpr[INSN_NR_GPRS], struct step_flags *flags)
{
	return step_is_slow(step) ? step_execute(step, gpr, flags, true) : step_execute(step, gpr, flags, false);
}

static void append_step(struct row *row, const uint8_t *bytes, unsigned length, const struct step *step)
{
	memcpy(row->bytes + row->length, bytes, length);
	row->length += length;
	if (step->op == STEP_AND || step->op == STEP_OR || step->op == STEP_XOR || step->op == STEP_TEST)
		row->undefined = RFLAGS_AF;
	else if (step->kind)
		row->undefined = 0;
}

static void append(struct row *row, unsigned long count[NR_OPS])
{
	uint8_t bytes[STEP_BYTES];
	struct step step;

	do
		random_step(bytes, &step);
	while (step.length > ROW_BYTES - row->length);
	count[step.op]++;
	append_step(row, bytes, step.length, &step);
	assert_false(step_execute(&step, row->gpr, &row->flags, true));
}

static void fail_row(const struct row *row, const char *what)
{
	for (unsigned i = 0; i < row->length; i++)
		fprintf(stderr, "%02x ", row->bytes[i]);
	fail_msg("%s differ", what);
}

static void compare(struct row *row)
{
	uint64_t end = native_code() + row->length;

	native_run(&row->cpu, row->bytes, row->length);
	if (row->cpu.fault != NATIVE_NO_FAULT || row->cpu.rip != end)
		fail_row(row, "the ends");
	if (memcmp(row->cpu.gpr, row->gpr, sizeof(row->cpu.gpr)) != 0 || row->gpr[INSN_NO_REGISTER])
		fail_row(row, "registers");
	step_settle(&row->flags);
	if ((row->cpu.rflags ^ row->flags.rflags) & RFLAGS_STATUS & ~row->undefined)
		fail_row(row, "flags");
}

static void rows_do_what_the_cpu_does(void **context)
{
	unsigned long count[NR_OPS] = {0};

	(void)context;
	native_start();
	random_seed(1);
	for (unsigned i = 0; i < ROWS * native_rounds(); i++) {
		struct row row;

		begin(&row);
		for (unsigned n = (unsigned)random_below(ROW) + 1; n && row.length < ROW_BYTES; n--)
			append(&row, count);
		compare(&row);
	}
	for (unsigned op = STEP_MOV; op < STEP_JMP; op++)
		assert_true(count[op] >= 100);
}

/* A jump asks for flags that are not settled, and leaves them as they are; fused or not. */
static void conditions_see_the_flags_of_before(void **context)
{
	unsigned long count[NR_OPS] = {0}, jumped = 0, fused = 0;

	(void)context;
	native_start();
	random_seed(2);
	for (unsigned i = 0; i < ROWS * native_rounds(); i++) {
		const uint8_t jump_bytes[] = {(uint8_t)(0x70 | random_below(16)), 0};
		uint8_t bytes[STEP_BYTES];
		struct step step, jump;
		struct row row;
		bool jumps;

		assert_true(step_decode(jump_bytes, sizeof(jump_bytes), &jump));
		begin(&row);
		append(&row, count);
		random_step(bytes, &step);
		if (step.length > ROW_BYTES - row.length)
			continue;
		append_step(&row, bytes, step.length, &step);
		if (step_fuse(&step, &jump)) {
			jumps = execute(&step, row.gpr, &row.flags);
			fused++;
		} else {
			assert_false(step_execute(&step, row.gpr, &row.flags, true));
			jumps = execute(&jump, row.gpr, &row.flags);
		}
		jumped += jumps;
		compare(&row);
		if (jumps != alu_condition(jump.condition, row.cpu.rflags))
			fail_row(&row, "conditions");
	}
	assert_true(jumped > ROWS / 4 && jumped < native_rounds() * ROWS / 4ul * 3);
	assert_true(fused > ROWS / 4);
}

/* Every jump, by its bytes: where it goes, and when. */
static void jumps_are_decoded(void **context)
{
	static const uint8_t jz_8[] = {0x74, 0xfa}, jnz_32[] = {0x0f, 0x85, 0x00, 0x01, 0x00, 0x00};
	static const uint8_t jmp_8[] = {0xeb, 0x10}, jmp_32[] = {0xe9, 0xfe, 0xff, 0xff, 0xff};
	struct step_flags flags = {.rflags = RFLAGS_ZF};
	uint64_t gpr[INSN_NR_GPRS] = {0};
	struct step step;

	(void)context;
	assert_true(step_decode(jz_8, sizeof(jz_8), &step));
	assert_int_equal(step.length, 2);
	assert_int_equal(step.target, -6);
	assert_true(step_execute(&step, gpr, &flags, true));
	assert_true(step_decode(jnz_32, sizeof(jnz_32), &step));
	assert_int_equal(step.length, 6);
	assert_int_equal(step.target, 0x100);
	assert_false(step_execute(&step, gpr, &flags, true));
	assert_true(step_decode(jmp_8, sizeof(jmp_8), &step));
	assert_int_equal(step.target, 0x10);
	assert_true(step_execute(&step, gpr, &flags, true));
	assert_true(step_decode(jmp_32, sizeof(jmp_32), &step));
	assert_int_equal(step.target, -2);
	assert_int_equal(step.length, 5);
}

/* What is accepted needs all of its bytes, and none behind them. */
static void bytes_behind_the_end_do_not_matter(void **context)
{
	(void)context;
	random_seed(3);
	for (unsigned i = 0; i < STRINGS; i++) {
		uint8_t bytes[STEP_BYTES];
		struct step whole, cut;

		random_bytes(bytes);
		if (!step_decode(bytes, STEP_BYTES, &whole))
			continue;
		assert_true(whole.length >= 1 && whole.length <= STEP_BYTES);
		assert_true(step_decode(bytes, whole.length, &cut));
		assert_memory_equal(&whole, &cut, sizeof(whole));
		assert_false(step_decode(bytes, whole.length - 1u, &cut));
	}
}

static void assert_refused(const char *bytes, unsigned length)
{
	struct step step;

	assert_false(step_decode((const uint8_t *)bytes, length, &step));
}

static void others_are_refused(void **context)
{
	(void)context;
	assert_refused("\x8b\x03", 2);                     /* mov eax, [rbx] */
	assert_refused("\x89\x03", 2);                     /* mov [rbx], eax */
	assert_refused("\xc7\x03\x01\x00\x00\x00", 6);     /* mov dword [rbx], 1 */
	assert_refused("\x85\x03", 2);                     /* test [rbx], eax */
	assert_refused("\xff\x03", 2);                     /* inc dword [rbx] */
	assert_refused("\xff\xd0", 2);                     /* call rax */
	assert_refused("\xff\xe0", 2);                     /* jmp rax */
	assert_refused("\xff\xf0", 2);                     /* push rax */
	assert_refused("\x48\x89\xc4", 3);                 /* mov rsp, rax */
	assert_refused("\x48\x83\xec\x08", 4);             /* sub rsp, 8 */
	assert_refused("\x48\x8d\x44\x24\x08", 5);         /* lea rax, [rsp + 8] */
	assert_refused("\x48\x8d\x05\x00\x00\x00\x00", 7); /* lea rax, [rip] */
	assert_refused("\x48\x8d\xc0", 3);                 /* lea of a register: #UD */
	assert_refused("\x88\xe0", 2);                     /* mov al, ah */
	assert_refused("\x11\xd8", 2);                     /* adc eax, ebx */
	assert_refused("\x66\x01\xd8", 3);                 /* add ax, bx */
	assert_refused("\xf0\x01\xd8", 3);                 /* lock: #UD */
	assert_refused("\x49\x90", 2);                     /* xchg rax, r8 */
	assert_refused("\xf3\xc3", 2);                     /* rep ret */
	assert_refused("\xf3\x48\x90", 3);
	assert_refused("\xf4", 1);     /* hlt */
	assert_refused("\xfb", 1);     /* sti */
	assert_refused("\x9d", 1);     /* popf */
	assert_refused("\x0f\x30", 2); /* wrmsr */
	assert_refused("\x0f\x0b", 2); /* ud2 */
	assert_refused("\xe2\xfe", 2); /* loop */
}

/* Of each length that an assembler uses. */
static void nops_and_pause_are_nops(void **context)
{
	static const char *const nops[] = {
		"\x90",
		"\x66\x90",
		"\x0f\x1f\x00",
		"\x0f\x1f\x40\x00",
		"\x0f\x1f\x44\x00\x00",
		"\x66\x0f\x1f\x44\x00\x00",
		"\x0f\x1f\x80\x00\x00\x00\x00",
		"\x0f\x1f\x84\x00\x00\x00\x00\x00",
		"\x66\x0f\x1f\x84\x00\x00\x00\x00\x00",
		"\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00",
	};
	struct step step;

	(void)context;
	for (unsigned i = 0; i < sizeof(nops) / sizeof(nops[0]); i++) {
		assert_true(step_decode((const uint8_t *)nops[i], i + 1, &step));
		assert_int_equal(step.op, STEP_NOP);
		assert_int_equal(step.length, i + 1);
	}
	assert_true(step_decode((const uint8_t *)"\xf3\x90", 2, &step));
	assert_int_equal(step.op, STEP_NOP);
	assert_int_equal(step.length, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_do_what_the_cpu_does), cmocka_unit_test(conditions_see_the_flags_of_before),
		cmocka_unit_test(jumps_are_decoded),         cmocka_unit_test(bytes_behind_the_end_do_not_matter),
		cmocka_unit_test(others_are_refused),        cmocka_unit_test(nops_and_pause_are_nops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
