/* SPDX-License-Identifier: MIT */
/* A guest's vCPUs on the host's CPUs: whose turn it is, where, for how long, and that nobody runs twice at once. */
#include "guest/platform_view.h"
#include "guest/schedule.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vcpu_platform.h"
#include "vmx/cpu.h"
#include "vmx/vcpu.h"
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MANY_TURNS = 3000 };

/* ---- On one CPU, in turn ---- */

static unsigned order[32], nr_turns;

/* The first one starts the others; then each takes turns until there have been enough. */
static enum tl_exit_reason take_turns(struct platform_vcpu *vcpu)
{
	static unsigned next;

	if (!nr_turns && vcpu->index == 0 && next < platform->nr_vcpus - 1)
		return guest_call(vcpu, HC_START, ++next, 0x1234);
	if (nr_turns == sizeof(order) / sizeof(order[0]))
		return guest_call(vcpu, HC_EXIT, 7, 0);
	next = 0;
	order[nr_turns++] = vcpu->index;
	return TL_EXIT_BUDGET;
}

static void vcpus_that_share_a_cpu_take_turns(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 3, .slice = 100}, 1);
	nr_turns = 0;
	guest_step = take_turns;
	schedule_run(platform);
	assert_int_equal(platform->end.ending, GUEST_EXIT);
	assert_int_equal(platform->end.code, 7);
	for (unsigned i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_int_equal(order[i], i % 3);
	platform_stop();
}

static uint64_t slices[8];
static unsigned nr_slices;

static enum tl_exit_reason spend(struct platform_vcpu *vcpu)
{
	assert_true(nr_slices < 8);
	slices[nr_slices++] = vcpu->slice;
	return TL_EXIT_BUDGET;
}

static void time_is_spent_by_slices(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 1, .roam = true, .slice = 100, .timeout = 250}, 1);
	nr_slices = 0;
	guest_step = spend;
	schedule_run(platform);
	assert_int_equal(platform->end.ending, GUEST_TIMEOUT);
	assert_int_equal(nr_slices, 3);
	assert_int_equal(slices[0], 100);
	assert_int_equal(slices[1], 100);
	assert_int_equal(slices[2], 50);
	platform_stop();
	/* A vCPU with a CPU to itself has no slices. */
	platform_start(&(struct guest_options){.vcpus = 1, .slice = 100, .timeout = 250}, 1);
	nr_slices = 0;
	schedule_run(platform);
	assert_int_equal(platform->end.ending, GUEST_TIMEOUT);
	assert_int_equal(nr_slices, 1);
	assert_int_equal(slices[0], 0);
	platform_stop();
}

/* ---- Starting and halting ---- */

static unsigned script_at;
static uint64_t results[8];

/* vCPU 1 halts at once whenever it is started. */
static enum tl_exit_reason start_and_halt(struct platform_vcpu *vcpu)
{
	if (vcpu->index == 1)
		return TL_EXIT_HLT;
	results[script_at++] = guest_result(vcpu);
	switch (script_at) {
	case 1:
		return guest_call(vcpu, HC_START, 2, 0); /* there is none */
	case 2:
		return guest_call(vcpu, HC_START, 0, 0); /* the caller */
	case 3:
	case 4: /* when it has had no turn yet */
		return guest_call(vcpu, HC_START, 1, 0x5000);
	case 5:
		return TL_EXIT_BUDGET;
	case 6:
		return guest_call(vcpu, HC_START, 1, 0x6000); /* it has halted */
	default:
		return TL_EXIT_HLT;
	}
}

static void what_halted_is_started_again_and_the_last_one_ends_the_guest(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 2, .slice = 100}, 1);
	script_at = 0;
	guest_step = start_and_halt;
	schedule_run(platform);
	assert_int_equal(results[1], HC_FAILED);
	assert_int_equal(results[2], HC_NOT_YET);
	assert_int_equal(results[3], 0);
	assert_int_equal(results[4], HC_NOT_YET);
	assert_int_equal(results[6], 0);
	assert_int_equal(platform->end.ending, GUEST_HALT);
	assert_ptr_equal(platform->end.vcpu, &platform->vcpu[1]);
	assert_int_equal(platform->nr_awake, 0);
	platform_stop();
}

/* ---- From CPU to CPU ---- */

static unsigned nr_moves;
static uint64_t how_to_leave;

static enum tl_exit_reason move_on(struct platform_vcpu *vcpu)
{
	static unsigned before;

	if (nr_moves && platform->nr_cpus > 1)
		assert_int_not_equal(vcpu->ran_on, before);
	if (nr_moves)
		assert_int_equal(guest_result(vcpu), before);
	if (nr_moves++ == MANY_TURNS)
		return guest_call(vcpu, HC_EXIT, 0, 0);
	before = vcpu->ran_on;
	return guest_call(vcpu, HC_YIELD, how_to_leave, 0);
}

static void who_leaves_a_cpu_goes_on_on_another(void **context)
{
	(void)context;
	guest_step = move_on;
	for (unsigned cpus = 1; cpus <= 2; cpus++)
		for (how_to_leave = YIELD_LEAVE; how_to_leave <= YIELD_LEAVE_LOADED; how_to_leave++) {
			platform_start(&(struct guest_options){.vcpus = 1, .roam = true}, cpus);
			nr_moves = 0;
			schedule_run(platform);
			assert_int_equal(platform->end.ending, GUEST_EXIT);
			assert_int_equal(nr_moves, MANY_TURNS + 1);
			platform_stop();
		}
	platform_start(&(struct guest_options){.vcpus = 1}, 1);
	assert_int_equal(schedule_yield(&platform->vcpu[0], YIELD_REBORN + 1), HC_FAILED);
	platform_stop();
}

/* What only the CPU that runs the vCPU touches: plain, so that two at once are a data race. */
static struct {
	unsigned turns, entered;
} mine[ABI_VCPUS];
static _Atomic unsigned nr_satisfied;

static enum tl_exit_reason roam(struct platform_vcpu *vcpu)
{
	if (vcpu->index + 1 < platform->nr_vcpus && mine[vcpu->index].turns == 0) {
		mine[vcpu->index].turns = 1;
		return guest_call(vcpu, HC_START, vcpu->index + 1, 0);
	}
	assert_int_equal(mine[vcpu->index].entered++, 0);
	if (++mine[vcpu->index].turns == MANY_TURNS / 10)
		atomic_fetch_add(&nr_satisfied, 1);
	mine[vcpu->index].entered--;
	return atomic_load(&nr_satisfied) == platform->nr_vcpus ? guest_call(vcpu, HC_EXIT, 0, 0) : TL_EXIT_BUDGET;
}

/* And nobody is forgotten, or it does not end. */
static void each_runs_on_one_cpu_at_a_time(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 5, .slice = 100}, 3);
	memset(mine, 0, sizeof(mine));
	atomic_store(&nr_satisfied, 0);
	guest_step = roam;
	schedule_run(platform);
	assert_int_equal(platform->end.ending, GUEST_EXIT);
	platform_stop();
}

static _Atomic unsigned nr_met;
static unsigned nr_started;

/* The first one starts the others at once; then each stays in its guest until all are in theirs. */
static enum tl_exit_reason meet(struct platform_vcpu *vcpu)
{
	if (vcpu->index == 0 && nr_started > 0)
		assert_int_equal(guest_result(vcpu), 0);
	if (vcpu->index == 0 && nr_started + 1 < platform->nr_vcpus)
		return guest_call(vcpu, HC_START, ++nr_started, 0);
	atomic_fetch_add(&nr_met, 1);
	while (atomic_load(&nr_met) < platform->nr_vcpus) {
		tl_cpu_poll(); /* a kick's exit */
		sched_yield();
	}
	return guest_call(vcpu, HC_EXIT, 0, 0);
}

/* With a CPU for each nobody waits for a turn: a wake that is lost would leave one out for ever. */
static void all_run_at_once_where_there_is_a_cpu_for_each(void **context)
{
	(void)context;
	guest_step = meet;
	for (unsigned i = 0; i < MANY_TURNS / 10; i++) {
		platform_start(&(struct guest_options){.vcpus = 4}, 4);
		atomic_store(&nr_met, 0);
		nr_started = 0;
		schedule_run(platform);
		assert_int_equal(platform->end.ending, GUEST_EXIT);
		platform_stop();
	}
}

static enum tl_exit_reason never(struct platform_vcpu *vcpu)
{
	(void)vcpu;
	fail_msg("the guest is entered");
	return TL_EXIT_HLT;
}

static void one_that_does_not_run_ends_the_guest(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 1}, 1);
	guest_step = never;
	tl_vcpu_unload(platform->vcpu[0].vcpu);
	vmx_cpu[0].up = false;
	schedule_run(platform);
	vmx_cpu[0].up = true;
	assert_string_equal(platform->end.how, "not run");
	assert_non_null(strstr(platform->fault, "vCPU 0 does not run: "));
	platform->fault[0] = '\0';
	platform_stop();
}

static atomic_uint looks[TL_MAX_CPUS];

static void count_looks(const struct guest_view *view)
{
	(void)view;
	atomic_fetch_add(&looks[hosted_cpu], 1);
}

/* It goes on until the CPU that is left over has looked. */
static enum tl_exit_reason wait_for_a_look(struct platform_vcpu *vcpu)
{
	while (platform->nr_cpus < platform_services.nr_cpus && !platform->view.keeps_text && !atomic_load(&looks[1]))
		sched_yield();
	return guest_call(vcpu, HC_EXIT, 0, 0);
}

static void run_watched(const struct guest_options *options, unsigned cpus)
{
	platform_start(options, cpus);
	platform_view_init(platform, options, 0);
	platform_services.attend = count_looks;
	atomic_store(&looks[1], 0);
	guest_step = wait_for_a_look;
	schedule_watch(platform);
	schedule_run(platform);
	schedule_unwatch(platform);
	platform_services.attend = NULL;
	assert_int_equal(platform->end.ending, GUEST_EXIT);
	platform_stop();
}

static void a_cpu_that_is_left_over_looks(void **context)
{
	(void)context;
	run_watched(&(struct guest_options){.vcpus = 1}, 2);
	assert_true(atomic_load(&looks[1]) > 0);
	/* Not where a guest is measured; and where no CPU is left over nothing waits for one. */
	run_watched(&(struct guest_options){.vcpus = 1, .manual = true}, 2);
	assert_int_equal(atomic_load(&looks[1]), 0);
	run_watched(&(struct guest_options){.vcpus = 1}, 1);
	assert_int_equal(atomic_load(&looks[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpus_that_share_a_cpu_take_turns),
		cmocka_unit_test(time_is_spent_by_slices),
		cmocka_unit_test(what_halted_is_started_again_and_the_last_one_ends_the_guest),
		cmocka_unit_test(who_leaves_a_cpu_goes_on_on_another),
		cmocka_unit_test(each_runs_on_one_cpu_at_a_time),
		cmocka_unit_test(all_run_at_once_where_there_is_a_cpu_for_each),
		cmocka_unit_test(one_that_does_not_run_ends_the_guest),
		cmocka_unit_test(a_cpu_that_is_left_over_looks),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
