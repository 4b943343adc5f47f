/* SPDX-License-Identifier: MIT */
/* A fetch of the log meets a way that is just being opened: the moments at which they meet are held fast. */
#define _GNU_SOURCE /* REG_EFL */
#include "mmu/ept_protect.h"
#include "mmu/hooks.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/stepping.h"
#include "tests/unit/vm_fixture.h"
#include "tests/unit/write_tlb.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

enum { NR_PAGES = 512, TF = 0x100, WRITTEN = 3, NEXT = 4, OTHER = 5 };

/* A vCPU that exits for a write to `page`, and is held in its exit as soon as `until` is true. */
struct writer {
	struct grace_reader reader;
	pthread_t thread;
	unsigned cpu;
	uint64_t page;
	bool (*until)(void);
	_Atomic bool held, may_go_on;
};

static uint64_t log_words[NR_PAGES / 64], fetched[NR_PAGES / 64];
static _Thread_local struct writer *stepped;

static void step(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (!stepped->until())
		return;
	atomic_store(&stepped->held, true);
	while (!atomic_load(&stepped->may_go_on))
		sched_yield();
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TF;
}

static ept_slot_t *directory_entry(void)
{
	ept_slot_t *table = phys_to_host(atomic_load(&vm->root[0]) & EPT_ADDRESS);

	return phys_to_host(atomic_load(&table[0]) & EPT_ADDRESS);
}

static bool is_open(unsigned page)
{
	ept_slot_t *table = phys_to_host(atomic_load(directory_entry()) & EPT_ADDRESS);

	return atomic_load(&table[page]) & EPT_WRITE;
}

static bool is_marked(void)
{
	return atomic_load((_Atomic uint64_t *)(void *)log_words) >> WRITTEN & 1;
}

/* The table's entries have been closed up to there, and the pointer to it is not open yet. */
static bool has_closed_next(void)
{
	return atomic_load(directory_entry()) & EPT_OPENING && !is_open(NEXT);
}

static void fault_on(uint64_t page)
{
	const struct map_range *range;
	struct ept_walk walk = walk_to(page * PAGE_SIZE);

	mmu_fault(vm, map_now(), page * PAGE_SIZE, MMU_WRITE, &walk, &range);
}

/* The number of exits until the calling CPU may write. */
static unsigned guest_write(uint64_t page)
{
	unsigned exits = 0;

	for (; !may_write(page * PAGE_SIZE) && exits < 8; exits++)
		fault_on(page);
	return exits;
}

static void *exit_held(void *context)
{
	struct writer *w = context;

	hosted_cpu = w->cpu;
	stepped = w;
	grace_enter(&w->reader, w->cpu);
	STEPPING_BEGIN();
	fault_on(w->page);
	STEPPING_END();
	grace_announce(&w->reader);
	grace_leave(&w->reader, w->cpu);
	return NULL;
}

/* Returns when it is held. */
static void start_writer(struct writer *w)
{
	grace_reader_add(&w->reader, vm);
	assert_int_equal(pthread_create(&w->thread, NULL, exit_held, w), 0);
	while (!atomic_load(&w->held))
		sched_yield();
}

static void end_writer(struct writer *w)
{
	atomic_store(&w->may_go_on, true);
	pthread_join(w->thread, NULL);
	grace_reader_remove(&w->reader);
}

static void *fetch_log(void *id)
{
	hosted_cpu = 3;
	return tl_dirty_fetch(vm, *(tl_range_id *)id, fetched, NULL) == TL_OK ? NULL : id;
}

static pthread_t start_fetch(tl_range_id *id)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, fetch_log, id), 0);
	return thread;
}

static void end_fetch(pthread_t thread)
{
	void *failed;

	pthread_join(thread, &failed);
	assert_null(failed);
}

/* A fetch raises the round when it has closed the range. False: it has not for a while. */
static bool has_closed(uint64_t round_before)
{
	for (unsigned i = 0; i < 200; i++) {
		if (atomic_load(&vm->round) != round_before)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return false;
}

/*
 * The first writer has found the way open and is about to open its page. A fetch closes the way. The second writer
 * opens it again, and has just closed all pages below when the first one opens its page, marks it and is done; so the
 * first fetch ends, and the next one takes that mark. It must not end before the way has been opened and is closed
 * again: else the page stays open, and what is written there from now on is not in the log.
 */
static void a_fetch_waits_for_who_opens_the_way(void **context)
{
	struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	static struct writer first = {.cpu = 1, .page = WRITTEN, .until = is_marked},
			     second = {.cpu = 2, .page = OTHER, .until = has_closed_next};
	tl_range_id id = range_add(ram_range(0, NR_PAGES * PAGE_SIZE));
	pthread_t fetch;
	uint64_t round;

	(void)context;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	hosted.on_flush = flush_write_tlb;
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	guest_write(NEXT);
	assert_true(is_open(NEXT));

	start_writer(&first);
	round = atomic_load(&vm->round);
	fetch = start_fetch(&id);
	assert_true(has_closed(round));
	start_writer(&second);
	assert_false(is_open(WRITTEN));
	end_writer(&first);
	end_fetch(fetch);
	assert_true(is_open(WRITTEN));
	assert_false(atomic_load(directory_entry()) & EPT_WRITE);

	round = atomic_load(&vm->round);
	fetch = start_fetch(&id);
	assert_false(has_closed(round));
	end_writer(&second);
	end_fetch(fetch);
	assert_true(fetched[0] >> WRITTEN & 1);

	hosted_cpu = 1;
	flush_write_tlb(vm);
	guest_write(WRITTEN);
	hosted_cpu = 0;
	assert_true(is_marked());
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_fetch_waits_for_who_opens_the_way, vm_setup, vm_teardown),
	};

	/* A wait that never ends is a failure, too. */
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
