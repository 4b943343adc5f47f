/* SPDX-License-Identifier: MIT */
#include "boot/guests.h"

#include <stdatomic.h>

#include "boot/attend.h"
#include "boot/console.h"
#include "boot/guest_list.h"
#include "boot/hooks.h"
#include "boot/input.h"
#include "boot/libc.h"
#include "boot/memory.h"
#include "boot/paging.h"
#include "boot/print.h"
#include "boot/smp.h"
#include "boot/trace_out.h"
#include "boot/tsc.h"
#include "guest/guest.h"
#include "guest/profile.h"

/* Only the image of the system tests has it (tests/system/corrupt_ept.c). */
extern bool test_corrupt_ept(struct tl_vm *vm, uint64_t gpa, unsigned level, uint64_t keep, uint64_t set)
	__attribute__((weak));
/* Only the image of the nested figures has it (tests/bench/bare_exit.c). */
extern bool test_bare_exits(bool bare) __attribute__((weak));

/* The TSC at the image's start (boot/start.asm). */
extern uint64_t boot_first_tsc;

static struct guest_list list;

bool guests_init(const struct boot_info *info, const struct boot_options *options, char *reason, size_t size)
{
	size_t selected = 0;

	if (options->together && (options->trace || options->profile)) {
		print_to_buffer(reason, size, "%s shows one guest after the other; leave out %s or together.",
				options->trace ? "trace" : "profile", options->trace ? "trace" : "profile");
		return false;
	}
	if (options->together && options->screen == BOOT_SCREEN_USE_DASHBOARD) {
		print_to_buffer(reason, size,
				"screen=dashboard shows one guest after the other; leave out that word or together.");
		return false;
	}
	if (options->trace && options->profile) {
		print_to_buffer(reason, size, "a profile is made of a trace of its own; leave out trace or profile.");
		return false;
	}
	if (!info->nr_modules) {
		print_to_buffer(reason, size,
				"the loader gave no modules, so there is no guest; add them to its entry.");
		return false;
	}
	if (!guest_list_read(&list, info, reason, size) || !guest_list_check_named(&list, options, reason, size))
		return false;
	if (!hand_check(options->ranges, options->nr_ranges, paging_limit(), reason, size) ||
	    !hand_check_memory(options->ranges, options->nr_ranges, options->memory, reason, size))
		return false;
	for (size_t i = 0; i < list.nr_guests; i++)
		selected += guest_selected(&list.guest[i], options);
	if (!selected)
		print_to_buffer(reason, size, "every module is a manual guest; name one with guest=.");
	return selected > 0;
}

static void print_head(void)
{
	host_print("%-18s %9s %9s %8s %8s %8s %8s %6s %12s  %s\n", "guest", "accesses", "fresh", "stale", "retried",
		   "zapped", "commits", "wraps", "ticks/access", "result");
}

static void print_row(const char *name, const struct guest_report *report)
{
	const struct tl_stats *s = &report->stats;

	console_lock();
	host_print("%-18s %9llu %9llu %8llu %8llu %8llu %8llu %6llu %12llu  ", name,
		   (unsigned long long)report->accesses, (unsigned long long)s->fresh, (unsigned long long)s->stale,
		   (unsigned long long)s->retried, (unsigned long long)s->zapped, (unsigned long long)s->commits,
		   (unsigned long long)s->wraps,
		   (unsigned long long)(report->accesses ? report->ticks / report->accesses : 0));
	if (report->passed)
		host_print("pass\n");
	else
		host_print("FAIL: %s\n", report->reason);
	console_unlock();
}

/* A run, as all CPUs that have a part in it see it. */
struct run {
	const struct boot_options *options;
	struct guest_services services;
	unsigned nr_guests; /* to be run */
	_Atomic size_t next;
	_Atomic unsigned passed, failed;
	_Atomic uint64_t first_began; /* the TSC before the first guest; 0: none has run */
};

/* Takes one guest after the other until there are no more. */
static void run_share(void *context)
{
	struct run *run = context;
	size_t i;

	/* relaxed: the guests were listed before any CPU was given its share. */
	while (!attend_wants_end() &&
	       (i = atomic_fetch_add_explicit(&run->next, 1, memory_order_relaxed)) < list.nr_guests) {
		struct guest_report report = {0};
		uint64_t none = 0;

		if (!guest_selected(&list.guest[i], run->options))
			continue;
		profile_reset();
		if (run->options->trace_to == BOOT_TRACE_TO_DEBUGCON)
			trace_out_guest(list.guest[i].name);
		attend_guest(1 + run->passed + run->failed, run->nr_guests);
		guest_run(&list.guest[i], &run->services, &report);
		attend_guest(0, 0);
		/* relaxed: a number, which orders nothing. */
		atomic_compare_exchange_strong_explicit(&run->first_began, &none, report.began, memory_order_relaxed,
							memory_order_relaxed);
		print_row(list.guest[i].name, &report);
		profile_show(host_print);
		atomic_fetch_add_explicit(report.passed ? &run->passed : &run->failed, 1, memory_order_relaxed);
	}
}

/* Each CPU runs guests of its own, several virtual machines at once, instead of all CPUs the vCPUs of one. */
static void run_together(struct run *run)
{
	run->services.nr_cpus = 1;
	for (unsigned cpu = 1; cpu < smp_nr_cpus(); cpu++)
		smp_start(cpu, run_share, run);
	run_share(run);
	for (unsigned cpu = 1; cpu < smp_nr_cpus(); cpu++)
		smp_wait(cpu);
}

/* A trace that is asked for goes to the console or to the debug console; a profile is made of one. */
static void choose_trace(const struct boot_options *options, struct guest_services *services)
{
	services->trace_events = options->profile ? PROFILE_EVENTS : (uint32_t)options->trace;
	services->take_trace = trace_out_text;
	if (options->profile)
		services->take_trace = profile_add;
	else if (options->trace_to == BOOT_TRACE_TO_DEBUGCON)
		services->take_trace = trace_out_debugcon;
}

void guests_run(const struct boot_options *options, unsigned *passed, unsigned *failed)
{
	struct run run = {
		.options = options,
		.services =
			{
				.alloc_pages = host_hooks.alloc_pages,
				.free_pages = host_hooks.free_pages,
				.print = host_print,
				.tag_bits = (unsigned)options->tag_bits,
				.mmio_level = (unsigned)options->mmio_level,
				.first_generation = options->generation,
				.invalidate = options->invalidate ? (enum tl_invalidate)(options->invalidate - 1)
								  : TL_INVALIDATE_RANGE,
				.memory = options->memory,
				.vcpus = (unsigned)options->vcpus,
				.ranges = options->ranges,
				.nr_ranges = options->nr_ranges,
				.nr_cpus = smp_nr_cpus(),
				.start_cpu = smp_start,
				.wait_cpu = smp_wait,
				.read_typed = input_read,
				.attend = attend,
				.attend_ticks = attend_is_wanted(options) ? attend_ticks() : 0,
				.idle_ticks = attend_ticks(),
				.idle_cpu = smp_idle,
				.wake_cpu = smp_wake,
				.quiet = options->quiet,
				.tsc_hz = tsc_hz(),
				.corrupt_ept = test_corrupt_ept,
				.bare_exits = test_bare_exits,
			},
	};

	attend_init(options);
	for (size_t i = 0; i < list.nr_guests; i++)
		run.nr_guests += guest_selected(&list.guest[i], options);
	choose_trace(options, &run.services);
	print_head();
	if (options->together)
		run_together(&run);
	else
		run_share(&run);
	if (!options->quiet && run.first_began)
		host_print("boot: %llu ticks from the first instruction to the first guest\n",
			   (unsigned long long)(run.first_began - boot_first_tsc));
	*passed = run.passed;
	*failed = run.failed;
}
