/* SPDX-License-Identifier: MIT */
/*
 * Do lookups scale? Two threads look up fresh MMIO entries as exits do, against one that does, while a third commits a
 * thousand times a second. Prints `NAME VALUE` lines. The ratio is that of lookups in the threads' own time, so that
 * what else the machine runs does not count; by the clock it is the same where two processors have nothing else to do.
 */
#define _GNU_SOURCE
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { NR_PAGES = 64, PAIRS = 9, COMMITS_A_SECOND = 1000, NS = 1000000000 };

#define DEVICE_AT     0x10000000ull
#define OTHER_AT      0x20000000ull
#define PHASE_NS      (NS / 5)
#define BETWEEN_LOOKS 1024

static struct tl_vm *vm;
static _Atomic bool phase_over, all_over;
static _Atomic uint64_t nr_commits;

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "scaling: %s\n", what);
	exit(1);
}

/* ---- Lookups ---- */

struct looker {
	struct grace_reader reader;
	pthread_t thread;
	unsigned cpu;
	uint64_t lookups, stale, nanoseconds;
} __attribute__((aligned(128)));

/* exit_ept_misconfig_uncached(): the map pointer once, the walk, the check; then vcpu_before_entry(). */
static void look_up(struct looker *looker, gpa_t gpa)
{
	const struct map *map = atomic_load_explicit(&vm->map, memory_order_acquire);
	const struct map_range *range;
	struct ept_walk walk;

	ept_descend(vm, gpa, &walk);
	if (unlikely(check_mmio_spte(map, walk.entry, &range) != MMIO_EMULATE)) {
		mmu_fault(vm, map, gpa, MMU_READ, &walk, &range);
		looker->stale++;
	}
	if (unlikely(atomic_load_explicit(&vm->round, memory_order_acquire) != looker->reader.entry_round))
		grace_announce(&looker->reader);
}

static void *look(void *context)
{
	struct looker *looker = context;
	uint64_t began;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(looker->cpu, &set);
	/* Where that is refused the scheduler decides. */
	sched_setaffinity(0, sizeof(set), &set);
	hosted_cpu = looker->cpu;
	grace_enter(&looker->reader, looker->cpu);
	began = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
	while (!atomic_load_explicit(&phase_over, memory_order_relaxed)) {
		for (unsigned i = 0; i < BETWEEN_LOOKS; i++)
			look_up(looker, DEVICE_AT + (i % NR_PAGES) * PAGE_SIZE);
		looker->lookups += BETWEEN_LOOKS;
	}
	looker->nanoseconds = nanoseconds(CLOCK_THREAD_CPUTIME_ID) - began;
	grace_leave(&looker->reader, looker->cpu);
	return NULL;
}

struct rate {
	double by_clock, by_cpu_time;
};

/* Lookups a second of `count` threads together. */
static struct rate measure(unsigned count)
{
	static struct looker lookers[2];
	struct rate rate = {0};
	uint64_t began, took;

	atomic_store(&phase_over, false);
	began = nanoseconds(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < count; i++) {
		lookers[i] = (struct looker){.cpu = i};
		grace_reader_add(&lookers[i].reader, vm);
		require(pthread_create(&lookers[i].thread, NULL, look, &lookers[i]) == 0, "no thread");
	}
	nanosleep(&(struct timespec){.tv_nsec = PHASE_NS}, NULL);
	atomic_store(&phase_over, true);
	took = nanoseconds(CLOCK_MONOTONIC) - began;
	for (unsigned i = 0; i < count; i++) {
		pthread_join(lookers[i].thread, NULL);
		grace_reader_remove(&lookers[i].reader);
		require(lookers[i].stale < NR_PAGES + lookers[i].lookups / 100, "the entries are not fresh");
		rate.by_clock += (double)lookers[i].lookups / (double)took;
		rate.by_cpu_time += (double)lookers[i].lookups / (double)lookers[i].nanoseconds;
	}
	return rate;
}

/* ---- Commits: another device comes, moves and goes ---- */

static void commit_once(tl_range_id *id, unsigned turn)
{
	struct tl_range range = {.kind = TL_RANGE_MMIO, .start = OTHER_AT, .size = PAGE_SIZE};
	struct tl_edit *edit = tl_map_edit(vm);

	switch (turn % 3) {
	case 0:
		tl_map_add(edit, &range, id);
		break;
	case 1:
		tl_map_move(edit, *id, OTHER_AT + PAGE_SIZE);
		break;
	default:
		tl_map_remove(edit, *id);
	}
	require(tl_map_commit(edit) == TL_OK, "a commit was refused");
	atomic_fetch_add(&nr_commits, 1);
}

static void *commit(void *context)
{
	uint64_t next = nanoseconds(CLOCK_MONOTONIC);
	tl_range_id id = TL_HOLE;

	(void)context;
	hosted_cpu = 2;
	for (unsigned turn = 0; !atomic_load(&all_over); turn++) {
		struct timespec until;

		commit_once(&id, turn);
		next += NS / COMMITS_A_SECOND;
		until = (struct timespec){.tv_sec = (time_t)(next / NS), .tv_nsec = (long)(next % NS)};
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return NULL;
}

static int ascending(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double values[PAIRS])
{
	qsort(values, PAIRS, sizeof(values[0]), ascending);
	return values[PAIRS / 2];
}

int main(void)
{
	double by_clock[PAIRS], by_cpu_time[PAIRS], single[PAIRS];
	struct tl_range range = {.kind = TL_RANGE_MMIO, .start = DEVICE_AT, .size = NR_PAGES * PAGE_SIZE};
	enum tl_status status;
	struct tl_edit *edit;
	uint64_t began;
	pthread_t writer;

	hosted_start();
	vm = tl_vm_create(&(struct tl_vm_config){.mmio_level = 1}, &status);
	require(vm != NULL, "no VM");
	edit = tl_map_edit(vm);
	tl_map_add(edit, &range, NULL);
	require(tl_map_commit(edit) == TL_OK, "the device is refused");
	require(pthread_create(&writer, NULL, commit, NULL) == 0, "no thread");
	began = nanoseconds(CLOCK_MONOTONIC);
	/* One and two in turns, so that what changes on the machine meanwhile meets both. */
	for (unsigned i = 0; i < PAIRS; i++) {
		struct rate one = measure(1), two = measure(2);

		by_clock[i] = two.by_clock / one.by_clock;
		by_cpu_time[i] = two.by_cpu_time / one.by_cpu_time;
		single[i] = 1 / one.by_cpu_time;
	}
	printf("hosted_commits_a_second %.0f\n",
	       (double)atomic_load(&nr_commits) * NS / (double)(nanoseconds(CLOCK_MONOTONIC) - began));
	atomic_store(&all_over, true);
	pthread_join(writer, NULL);
	printf("hosted_lookup_ns %.2f\n", median(single));
	printf("hosted_scaling_2 %.3f\n", median(by_cpu_time));
	printf("hosted_scaling_2_clock %.3f\n", median(by_clock));
	return tl_vm_destroy(vm) == TL_OK ? 0 : 1;
}
