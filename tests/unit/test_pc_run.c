/* SPDX-License-Identifier: MIT */
/* The turns of a PC's vCPUs: exits, HLT, timers, INIT and SIPI, and each way in which a guest ends. */
#include "tests/unit/pc_guest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void ports_are_the_boards(void **context)
{
	static const struct pc_op ops[] = {{OP_OUT, 0x402, 'o'}, {OP_OUT, 0x402, '\n'}, {OP_OUT, 0x70, 0x40},
					   {OP_OUT, 0x71, 0x5a}, {OP_IN, 0x71, 0x5a},   {OP_VMCALL, 0, 7},
					   {OP_OUT, 0x3F8, 'k'}, {OP_OUT, PC_EXIT, 0}};
	struct guest_report report = pc_play(&(struct pc_case){.vcpus = 1}, ops);

	(void)context;
	pc_passes(&report);
	assert_string_equal(pc_printed, "o\nk\n");
	assert_true(pc_script[0].saw_vmcall);
	assert_string_equal(report.reason, "exit with code 0");
}

static void each_end_has_its_word(void **context)
{
	static const struct {
		struct pc_op op;
		unsigned ending;
		const char *how;
	} rows[] = {
		{{OP_STOP, TL_EXIT_SHUTDOWN, 0}, GUEST_SHUTDOWN, "triple fault"},
		{{OP_STOP, TL_EXIT_STOPPED, TL_STOP_FETCH}, GUEST_STOP_FIRST + TL_STOP_FETCH, ""},
		{{OP_STOP, TL_EXIT_STOPPED, TL_STOP_UNSUPPORTED}, GUEST_STOP_FIRST + TL_STOP_UNSUPPORTED, ""},
		{{OP_STOP, TL_EXIT_NO_MEMORY, 0}, GUEST_EXIT, "the host ran out of memory"},
		{{OP_STOP, TL_EXIT_DRAIN, 0}, GUEST_EXIT, ""},
		{{OP_OUT, PC_EXIT, 0}, GUEST_EXIT, "exit with code 0"},
		{{OP_OUT, PC_EXIT, 3}, GUEST_EXIT, "exit with code 3"},
		{{OP_OUT, 0x64, 0xFE}, GUEST_RESET, "reset"},
		{{OP_OUT, 0x92, 1}, GUEST_RESET, "reset"},
		{{OP_HLT, 0, 0}, GUEST_HALT, "HLT"},
	};

	(void)context;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct pc_op ops[] = {rows[i].op, {OP_COMPUTE, 0, FOREVER}};
		struct guest_report report =
			pc_play(&(struct pc_case){.expect = rows[i].ending, .timeout = PC_HZ}, ops);
		bool fails = rows[i].ending == GUEST_EXIT && strcmp(rows[i].how, "exit with code 0") != 0;

		assert_int_equal(report.passed, !fails);
		assert_non_null(strstr(report.reason, rows[i].how));
		/* At once, not when its time was spent. */
		assert_in_range(report.ticks, 1, SHORTLY);
		/* And by nothing else. */
		report = pc_play(&(struct pc_case){.expect = GUEST_TIMEOUT, .timeout = PC_HZ}, ops);
		assert_false(report.passed);
		assert_non_null(strstr(report.reason, "where \"timeout\" was expected"));
	}
}

static void its_time_is_up_to_the_tick(void **context)
{
	static const struct pc_op busy[] = {{OP_COMPUTE, 0, FOREVER}};
	static const struct pc_op idle[] = {{OP_STI, 0, 0}, {OP_HLT, 0, 0}, {OP_STOP, TL_EXIT_SHUTDOWN, 0}};
	const struct pc_case how = {.expect = GUEST_TIMEOUT, .timeout = 5000000};
	const struct pc_op *const both[] = {busy, idle};

	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		struct guest_report report = pc_play(&how, both[i]);

		pc_passes(&report);
		assert_in_range(report.ticks, 4999900, 5000000);
	}
	assert_int_equal(pc_idles, 1);
}

/* ---- Interrupts and HLT ------------------------------------------------------------------------------------------ */

static void a_timer_ends_what_computes_and_what_halts(void **context)
{
	static const struct pc_op busy[] = {{OP_APIC_ON, 0, 0},
					    {OP_TIMER, VECTOR, 300000},
					    {OP_STI, 0, 0},
					    {OP_COMPUTE, 0, 1000000},
					    {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op idle[] = {
		{OP_APIC_ON, 0, 0}, {OP_TIMER, VECTOR, 300000}, {OP_STI, 0, 0}, {OP_HLT, 0, 0}, {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op late[] = {{OP_APIC_ON, 0, 0},       {OP_TIMER, VECTOR, 300000},
					    {OP_COMPUTE, 0, 1000000}, {OP_STI, 0, 0},
					    {OP_HLT, 0, 0},           {OP_OUT, PC_EXIT, 0}};
	static const struct {
		const struct pc_op *ops;
		uint64_t at;
		unsigned idles;
	} rows[] = {{busy, 300000, 0}, {idle, 300000, 1}, {late, 1000000, 0}};

	(void)context;
	for (unsigned i = 0; i < 3; i++) {
		struct guest_report report = pc_play(&(struct pc_case){.vcpus = 1}, rows[i].ops);

		pc_passes(&report);
		assert_int_equal(pc_script[0].nr_taken, 1);
		assert_int_equal(pc_script[0].taken[0].vector, VECTOR);
		/* From the store of the count on; a few ops came before. */
		assert_in_range(pc_script[0].taken[0].at, rows[i].at, rows[i].at + 20);
		assert_int_equal(pc_idles, rows[i].idles);
	}
}

static void a_tsc_deadline_and_a_periodic_timer(void **context)
{
	static const struct pc_op ops[] = {{OP_APIC_ON, 0, 0},
					   {OP_APIC, TIMER, TSC_DEADLINE | VECTOR},
					   {OP_MSR, MSR_TSC_DEADLINE, 777777},
					   {OP_STI, 0, 0},
					   {OP_HLT, 0, 0},
					   {OP_APIC, TIMER, PERIODIC | (VECTOR + 1)},
					   {OP_APIC, COUNT, 100000},
					   {OP_COMPUTE, 0, 450000},
					   {OP_OUT, PC_EXIT, 0}};
	struct guest_report report = pc_play(&(struct pc_case){.vcpus = 1}, ops);

	(void)context;
	pc_passes(&report);
	assert_int_equal(pc_script[0].nr_taken, 5);
	assert_int_equal(pc_script[0].taken[0].vector, VECTOR);
	assert_int_equal(pc_script[0].taken[0].at, 777777);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(pc_script[0].taken[i].vector, VECTOR + 1);
		assert_in_range(pc_script[0].taken[i].at, 777777 + i * 100000, 777777 + i * 100000 + 20);
	}
}

/* It leaves its guest for a device's timer, which it has just set sooner than what it was to be back for. */
static void a_device_ends_what_computes(void **context)
{
	static const struct pc_op ops[] = {{OP_APIC_ON, 0, 0},
					   {OP_APIC, LINT0, 7 << 8},
					   {OP_OUT, 0x21, 0xFE},
					   {OP_TIMER, VECTOR, 4 * MILLISECOND},
					   {OP_STI, 0, 0},
					   {OP_OUT, PIT_CONTROL, 0x30},
					   {OP_OUT, PIT_COUNTER, 1193 & 0xff},
					   {OP_OUT, PIT_COUNTER, 1193 >> 8},
					   {OP_COMPUTE, 0, 5 * MILLISECOND},
					   {OP_OUT, PC_EXIT, 0}};
	struct guest_report report = pc_play(&(struct pc_case){.vcpus = 1}, ops);

	(void)context;
	pc_passes(&report);
	assert_int_equal(pc_script[0].nr_taken, 2);
	assert_int_equal(pc_script[0].taken[0].vector, 8);
	assert_in_range(pc_script[0].taken[0].at, MILLISECOND - 1000, MILLISECOND);
	assert_int_equal(pc_script[0].taken[1].vector, VECTOR);
}

/* It is looked for a hundred times a second, whatever the guest does; what the port has no room for waits. */
static void what_is_typed_reaches_the_serial_port(void **context)
{
	static const struct pc_op ops[] = {{OP_COMPUTE, 0, PC_HZ / 50},
					   {OP_IN, 0x3F8, 'x'},
					   {OP_COMPUTE, 0, PC_HZ / 50},
					   {OP_IN, 0x3F8, 'y'},
					   {OP_OUT, PC_EXIT, 0}};
	struct guest_report report;

	(void)context;
	pc_typed = "xy";
	report = pc_play(&(struct pc_case){.vcpus = 1}, ops);
	pc_passes(&report);
}

/* Where the guest's clock ticks anyway, the looks need no leaving of the guest of their own. */
static void looks_are_made_with_the_ticks(void **context)
{
	static const struct pc_op ops[] = {
		{OP_APIC_ON, 0, 0},  {OP_APIC, TIMER, PERIODIC | VECTOR}, {OP_APIC, COUNT, 4 * MILLISECOND},
		{OP_STI, 0, 0},      {OP_COMPUTE, 0, 99 * MILLISECOND},   {OP_IN, 0x3F8, 'x'},
		{OP_OUT, PC_EXIT, 0}};
	struct guest_report report;

	(void)context;
	pc_typed = "x";
	report = pc_play(&(struct pc_case){.vcpus = 1}, ops);
	pc_passes(&report);
	assert_int_equal(pc_script[0].nr_taken, 24);
	/* And a kick; with looks of their own 34. */
	assert_in_range(pc_script[0].turns, 24, 25);
}

static char seen[2][8];

static void look_at_console(struct pc *pc, unsigned count)
{
	(void)pc;
	strncpy(seen[count - 1], pc_printed, sizeof(seen[0]) - 1);
}

/* A guest that never halts has its prompt seen: not at once, since its line may go on, but within two looks. */
/* Once nothing is added to it, and what comes behind it begins a line. */
static void what_it_wrote_is_seen_before_the_line_ends(void **context)
{
	static const struct pc_op ops[] = {
		{OP_OUT, 0x402, '#'}, {OP_COMPUTE, 0, PC_HZ / 80}, {OP_OUT, 0x402, '>'}, {OP_COMPUTE, 0, PC_HZ / 110},
		{OP_READY, 0, 0},     {OP_COMPUTE, 0, PC_HZ / 50}, {OP_READY, 0, 0},     {OP_OUT, PC_EXIT, 0}};
	struct guest_report report;

	(void)context;
	pc_typed = "";
	pc_on_ready = look_at_console;
	report = pc_play(&(struct pc_case){.vcpus = 1}, ops);
	pc_on_ready = NULL;
	pc_passes(&report);
	assert_string_equal(seen[0], "");
	assert_string_equal(seen[1], "#>");
	assert_string_equal(pc_printed, "#>\n");
}

static void its_exits_are_told_if_that_is_wanted(void **context)
{
	static const struct pc_op ops[] = {{OP_OUT, PC_EXIT, 0}};
	struct guest_report report;

	(void)context;
	report = pc_play(&(struct pc_case){.vcpus = 1}, ops);
	pc_passes(&report);
	assert_string_equal(pc_printed, "");
	report = pc_play(&(struct pc_case){.vcpus = 2, .slice = 100000, .exits = true}, ops);
	pc_passes(&report);
	assert_string_equal(pc_printed, "exits: 10 all\nexits: 4 external interrupt\nexits: 6 HLT\n");
}

#define TEST(name) cmocka_unit_test_setup(name, pc_scripts_start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_are_the_boards),
		TEST(each_end_has_its_word),
		TEST(its_time_is_up_to_the_tick),
		TEST(a_timer_ends_what_computes_and_what_halts),
		TEST(a_tsc_deadline_and_a_periodic_timer),
		TEST(a_device_ends_what_computes),
		TEST(what_is_typed_reaches_the_serial_port),
		TEST(looks_are_made_with_the_ticks),
		TEST(its_exits_are_told_if_that_is_wanted),
		TEST(what_it_wrote_is_seen_before_the_line_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
