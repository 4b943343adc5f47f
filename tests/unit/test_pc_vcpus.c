/* SPDX-License-Identifier: MIT */
/* Several vCPUs of a PC: INIT, SIPI and NMI, turns on one CPU of the host, and when nothing is left to go on. */
#include "tests/unit/pc_guest.h"
#include <pthread.h> /* CPUs are threads (pc_host.c): it runs under the thread sanitizer, too */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HALTS = 40, ROUNDS = 20 };

/* ---- Several vCPUs ----------------------------------------------------------------------------------------------- */

/* Started, stopped while it computes, started elsewhere, and once more from a HLT that nothing else ends. */
static void init_and_sipi(void **context)
{
	static const struct pc_op first[] = {{OP_APIC_ON, 0, 0},
					     {OP_SEND, 1, SEND_STARTUP | 0x10},
					     {OP_AWAIT, 0, 1},
					     /* One that runs takes no notice. */
					     {OP_SEND, 1, SEND_STARTUP | 0x11},
					     {OP_COMPUTE, 0, 100000},
					     {OP_SEND, 1, SEND_INIT},
					     {OP_COMPUTE, 0, 3000000},
					     {OP_SEND, 1, SEND_STARTUP | 0x11},
					     {OP_AWAIT, 0, 2},
					     {OP_COMPUTE, 0, 100000},
					     {OP_SEND, 1, SEND_STARTUP | 0x10},
					     {OP_COMPUTE, 0, 100000},
					     {OP_SEND, 1, SEND_INIT},
					     {OP_SEND, 1, SEND_STARTUP | 0x10},
					     {OP_AWAIT, 0, 3},
					     {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op at_10[] = {{OP_READY, 0, 0}, {OP_COMPUTE, 0, FOREVER}};
	static const struct pc_op at_11[] = {{OP_READY, 0, 0}, {OP_HLT, 0, 0}, {OP_STOP, TL_EXIT_SHUTDOWN, 0}};
	struct guest_report report;

	(void)context;
	pc_started[0x10] = at_10;
	pc_started[0x11] = at_11;
	report = pc_play(&(struct pc_case){.vcpus = 2, .slice = 20000}, first);
	pc_passes(&report);
	assert_int_equal(pc_script[1].starts, 3);
	assert_int_equal(pc_script[1].vector, 0x10);
	/* Not in the three million for which it waited. */
	assert_in_range(pc_script[1].ran, 40000, 300000);
}

static void an_init_of_the_first_processor_is_a_reset(void **context)
{
	static const struct pc_op ops[] = {{OP_APIC_ON, 0, 0}, {OP_SEND, 0, SEND_INIT}, {OP_COMPUTE, 0, FOREVER}};
	struct guest_report report = pc_play(&(struct pc_case){.expect = GUEST_RESET, .timeout = PC_HZ}, ops);

	(void)context;
	pc_passes(&report);
	assert_in_range(report.ticks, 1, SHORTLY);
}

/* An NMI ends a HLT with interrupts off, waits for room, and is nothing to who waits for a SIPI. */
static void nmis(void **context)
{
	static const struct pc_op first[] = {
		{OP_APIC_ON, 0, 0}, {OP_SEND, 1, SEND_NMI}, {OP_SEND, 1, SEND_STARTUP | 0x20},
		{OP_AWAIT, 0, 1},   {OP_COMPUTE, 0, 50000}, {OP_SEND, 1, SEND_NMI},
		{OP_AWAIT, 0, 2},   {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op second[] = {
		{OP_READY, 0, 0}, {OP_HLT, 0, 0}, {OP_COMPUTE, 0, 1000}, {OP_READY, 0, 0}, {OP_HLT, 0, 0}};
	const struct pc_case how = {.vcpus = 2, .slice = 20000};
	struct guest_report report;

	(void)context;
	pc_started[0x20] = second;
	for (unsigned refused = 0; refused < 3; refused++) {
		pc_script[1].refuse_nmis = refused;
		report = pc_play(&how, first);
		pc_passes(&report);
		assert_int_equal(pc_script[1].nr_taken, 1);
		assert_int_equal(pc_script[1].taken[0].vector, 2);
	}
}

/* Two that come while another vCPU has the CPU are two, and three are two: one is handled, and one is held meanwhile.
 */
static void nmis_in_anothers_turn(void **context)
{
	static const struct pc_op second[] = {{OP_READY, 0, 0}, {OP_HLT, 0, 0}, {OP_COMPUTE, 0, 1000},
					      {OP_READY, 0, 0}, {OP_HLT, 0, 0}, {OP_HLT, 0, 0}};
	struct pc_op first[9] = {
		{OP_APIC_ON, 0, 0}, {OP_SEND, 1, SEND_STARTUP | 0x20}, {OP_AWAIT, 0, 1}, {OP_COMPUTE, 0, 50000}};

	(void)context;
	pc_started[0x20] = second;
	for (unsigned count = 1; count <= 3; count++) {
		struct guest_report report;

		for (unsigned i = 0; i < count; i++)
			first[4 + i] = (struct pc_op){OP_SEND, 1, SEND_NMI};
		first[4 + count] = (struct pc_op){OP_AWAIT, 0, 2};
		first[5 + count] = (struct pc_op){OP_OUT, PC_EXIT, 0};
		report = pc_play(&(struct pc_case){.vcpus = 2, .slice = 20000}, first);
		pc_passes(&report);
		assert_int_equal(pc_script[1].nr_taken, count > 1 ? 2 : 1);
	}
}

/* What shares a CPU has it in turns; a timer that comes in another's turn is taken at the start of the own one. */
static void turns_and_the_time_of_others(void **context)
{
	static const struct pc_op first[] = {{OP_APIC_ON, 0, 0},
					     {OP_SEND, 1, SEND_STARTUP | 0x30},
					     {OP_SEND, 2, SEND_STARTUP | 0x31},
					     {OP_COMPUTE, 0, 3000000},
					     {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op second[] = {
		{OP_APIC_ON, 0, 0}, {OP_TIMER, VECTOR, 30000}, {OP_STI, 0, 0}, {OP_COMPUTE, 0, FOREVER}};
	static const struct pc_op third[] = {{OP_COMPUTE, 0, FOREVER}};
	struct guest_report report;
	uint64_t at;

	(void)context;
	pc_started[0x30] = second;
	pc_started[0x31] = third;
	report = pc_play(&(struct pc_case){.vcpus = 3, .slice = 100000}, first);
	pc_passes(&report);
	/* To each a third, a turn more or less. */
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(pc_script[i].ran, 2899000, 3101000);
	assert_in_range(pc_script[1].turns, 29, 32);
	assert_int_equal(pc_script[1].nr_taken, 1);
	at = pc_script[1].taken[0].at;
	assert_in_range(at, 130000, 131000);
	/* The guest's time is the host's, whoever has it. */
	assert_in_range(report.ticks, 8900000, 9200000);
}

/* They take no turn from the others, and none is lost as long as turns are shorter. */
static void ticks_of_a_pit_in_others_turns(void **context)
{
	static const struct pc_op first[] = {{OP_APIC_ON, 0, 0},
					     {OP_APIC, LINT0, 7 << 8},
					     {OP_OUT, 0x21, 0xFE},
					     {OP_SEND, 1, SEND_STARTUP | 0x32},
					     {OP_OUT, PIT_CONTROL, 0x34},
					     {OP_OUT, PIT_COUNTER, 1193 & 0xff},
					     {OP_OUT, PIT_COUNTER, 1193 >> 8},
					     {OP_STI, 0, 0},
					     {OP_COMPUTE, 0, 20 * MILLISECOND},
					     {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op second[] = {{OP_COMPUTE, 0, FOREVER}};
	struct guest_report report;

	(void)context;
	pc_started[0x32] = second;
	report = pc_play(&(struct pc_case){.vcpus = 2, .slice = MILLISECOND / 10}, first);
	pc_passes(&report);
	assert_in_range(report.ticks, 39 * MILLISECOND, 41 * MILLISECOND);
	assert_in_range(pc_script[0].nr_taken, report.ticks / MILLISECOND - 1, report.ticks / MILLISECOND + 1);
	for (unsigned i = 0; i < pc_script[0].nr_taken; i++)
		assert_int_equal(pc_script[0].taken[i].vector, 8);
}

/* A HLT of another CPU's that each interrupt ends, posted or not; with interrupts off up to it, so that none is early.
 */
static void a_halt_that_others_end(void **context)
{
	static const struct pc_op second[] = {{OP_APIC_ON, 0, 0}, {OP_CLI, 0, 0}, {OP_READY, 0, 0},
					      {OP_STI, 0, 0},     {OP_HLT, 0, 0}, {OP_JUMP, 0, 1}};
	static const uint32_t features[] = {0, TL_APIC_TPR | TL_APIC_INTERRUPTS,
					    TL_APIC_TPR | TL_APIC_INTERRUPTS | TL_APIC_POSTED};
	struct pc_op first[2 * HALTS + 4] = {{OP_APIC_ON, 0, 0}, {OP_SEND, 1, SEND_STARTUP | 0x33}};
	struct guest_report report;

	(void)context;
	for (unsigned i = 0; i < HALTS; i++) {
		first[2 * i + 2] = (struct pc_op){OP_AWAIT, 0, i + 1};
		first[2 * i + 3] = (struct pc_op){OP_SEND, 1, VECTOR};
	}
	first[2 * HALTS + 2] = (struct pc_op){OP_AWAIT, 0, HALTS + 1};
	first[2 * HALTS + 3] = (struct pc_op){OP_OUT, PC_EXIT, 0};
	pc_started[0x33] = second;
	for (unsigned i = 0; i < 3 * ROUNDS; i++) {
		pc_apic_features = features[i % 3];
		report = pc_play(&(struct pc_case){.vcpus = 2, .cpus = 2}, first);
		pc_passes(&report);
		assert_int_equal(pc_script[1].nr_taken, HALTS);
	}
	pc_apic_features = 0;
}

/* ---- A HLT that nothing ends ------------------------------------------------------------------------------------- */

static void halted(const struct pc_case *how, const struct pc_op *ops)
{
	struct guest_report report = pc_play(how, ops);

	pc_passes(&report);
	assert_in_range(report.ticks, 1, SHORTLY);
}

static void a_machine_that_nothing_wakes_has_halted(void **context)
{
	static const struct pc_op alone[] = {{OP_APIC_ON, 0, 0}, {OP_TIMER, VECTOR, MILLISECOND}, {OP_HLT, 0, 0}};
	static const struct pc_op both[] = {
		{OP_APIC_ON, 0, 0}, {OP_SEND, 1, SEND_STARTUP | 0x40}, {OP_AWAIT, 0, 1}, {OP_HLT, 0, 0}};
	static const struct pc_op second[] = {{OP_READY, 0, 0}, {OP_HLT, 0, 0}};
	struct pc_case how = {.expect = GUEST_HALT, .timeout = PC_HZ, .slice = 1000};

	(void)context;
	halted(&how, alone);
	/* Those that wait for a SIPI get none any more. */
	how.vcpus = 3;
	halted(&how, alone);
	pc_started[0x40] = second;
	how.vcpus = 2;
	halted(&how, both);
}

/* On CPUs of their own, whoever is the last; over and over, since they race for it. */
static void nor_do_its_cpus_one_another(void **context)
{
	static const struct pc_op first[] = {{OP_APIC_ON, 0, 0},
					     {OP_SEND, 1, SEND_STARTUP | 0x41},
					     {OP_SEND, 2, SEND_STARTUP | 0x41},
					     {OP_AWAIT, 0, 2},
					     {OP_HLT, 0, 0}};
	static const struct pc_op other[] = {{OP_READY, 0, 0}, {OP_AWAIT, 0, 2}, {OP_HLT, 0, 0}};
	/* The first one goes last, and by an NMI wakes the other in vain. */
	static const struct pc_op waking[] = {{OP_APIC_ON, 0, 0},
					      {OP_SEND, 1, SEND_STARTUP | 0x42},
					      {OP_AWAIT, 0, 1},
					      {OP_SEND, 1, SEND_NMI},
					      {OP_HLT, 0, 0}};
	static const struct pc_op woken[] = {{OP_READY, 0, 0}, {OP_HLT, 0, 0}, {OP_READY, 0, 0}, {OP_HLT, 0, 0}};
	struct pc_case how = {.vcpus = 3, .cpus = 3, .expect = GUEST_HALT};

	(void)context;
	pc_started[0x41] = other;
	pc_started[0x42] = woken;
	for (unsigned i = 0; i < 100; i++) {
		struct guest_report report = pc_play(&how, first);

		pc_passes(&report);
	}
	how.vcpus = how.cpus = 2;
	for (unsigned i = 0; i < 100; i++) {
		struct guest_report report = pc_play(&how, waking);

		pc_passes(&report);
		assert_int_equal(pc_ready, 2);
	}
}

/* A PIT whose interrupt is an NMI, by the I/O APIC or by LINT0, wakes what has its interrupts off. */
static void an_nmi_of_a_timer_may_still_come(void **context)
{
	static const struct pc_op ops[] = {{OP_APIC_ON, 0, 0},
					   {OP_APIC, LINT0, SEND_NMI},
					   {OP_OUT, 0x21, 0xFE},
					   {OP_OUT, PIT_CONTROL, 0x30},
					   {OP_OUT, PIT_COUNTER, 1193 & 0xff},
					   {OP_OUT, PIT_COUNTER, 1193 >> 8},
					   {OP_HLT, 0, 0},
					   {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op by_io_apic[] = {{OP_APIC_ON, 0, 0},
						  {OP_IO_APIC, 0x15, 0},
						  {OP_IO_APIC, 0x14, SEND_NMI},
						  {OP_OUT, PIT_CONTROL, 0x30},
						  {OP_OUT, PIT_COUNTER, 1193 & 0xff},
						  {OP_OUT, PIT_COUNTER, 1193 >> 8},
						  {OP_HLT, 0, 0},
						  {OP_OUT, PC_EXIT, 0}};
	const struct pc_op *const both[] = {ops, by_io_apic};

	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		struct guest_report report = pc_play(&(struct pc_case){.timeout = PC_HZ}, both[i]);

		pc_passes(&report);
		assert_int_equal(pc_script[0].nr_taken, 1);
		assert_in_range(pc_script[0].taken[0].at, MILLISECOND - 1000, MILLISECOND + SHORTLY);
	}
}

/* ---- Held from outside ------------------------------------------------------------------------------------------- */

/* The second vCPU is held from its start on, until its timer has long been due: whether it was, and what waits then. */
static unsigned nr_held, nr_waiting;

static void hold_second(struct pc *pc, unsigned count)
{
	if (count == 2)
		pc->view.hold(&pc->view, 1, true);
	if (count <= 2)
		return;
	nr_held += pc->view.is_held(&pc->view, 1);
	nr_waiting += local_apic_pending(&pc->vcpu[1].apic);
	pc->view.hold(&pc->view, 1, false);
}

/* Who is stepped would have an interrupt at each step. */
static void the_timer_of_who_is_held_waits(void **context)
{
	static const struct pc_op first[] = {{OP_APIC_ON, 0, 0},
					     {OP_SEND, 1, SEND_STARTUP | 0x20},
					     {OP_AWAIT, 0, 1},
					     {OP_READY, 0, 0},
					     {OP_COMPUTE, 0, 10 * MILLISECOND},
					     {OP_READY, 0, 0},
					     {OP_AWAIT, 0, 4},
					     {OP_OUT, PC_EXIT, 0}};
	static const struct pc_op second[] = {
		{OP_APIC_ON, 0, 0},      {OP_TIMER, VECTOR, MILLISECOND},  {OP_STI, 0, 0},
		{OP_READY, 0, 0},        {OP_COMPUTE, 0, 5 * MILLISECOND}, {OP_READY, 0, 0},
		{OP_COMPUTE, 0, FOREVER}};
	struct guest_report report;

	(void)context;
	pc_started[0x20] = second;
	pc_on_ready = hold_second;
	nr_held = nr_waiting = 0;
	report = pc_play(&(struct pc_case){.vcpus = 2, .slice = 20000}, first);
	pc_on_ready = NULL;
	pc_passes(&report);
	assert_int_equal(nr_held, 1);
	assert_int_equal(nr_waiting, 0);
	assert_int_equal(pc_script[1].nr_taken, 1);
	assert_true(pc_script[1].taken[0].at >= 10 * MILLISECOND);
}

#define TEST(name) cmocka_unit_test_setup(name, pc_scripts_start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(init_and_sipi),
		TEST(an_init_of_the_first_processor_is_a_reset),
		TEST(nmis),
		TEST(nmis_in_anothers_turn),
		TEST(turns_and_the_time_of_others),
		TEST(ticks_of_a_pit_in_others_turns),
		TEST(a_halt_that_others_end),
		TEST(a_machine_that_nothing_wakes_has_halted),
		TEST(nor_do_its_cpus_one_another),
		TEST(an_nmi_of_a_timer_may_still_come),
		TEST(the_timer_of_who_is_held_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
