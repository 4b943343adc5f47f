/* SPDX-License-Identifier: MIT */
/* Two vCPUs that never stop for long, and a writer: devices come and go, and RAM moves away under a large leaf. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/two_readers.h"
#include "tests/unit/vm_fixture.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)

enum { NR_DEVICES = 6, LEAST_ROUNDS = 50, MOST_ROUNDS = 6000, MAGIC = 0x5ca1ab1e };

struct device {
	unsigned magic;
	unsigned accesses;
};

static _Atomic bool writer_done;
static _Atomic unsigned nr_running;
static _Atomic unsigned nr_freed, nr_made;

static void free_device(void *context)
{
	struct device *device = context;

	device->magic = 0;
	free(device);
	atomic_fetch_add(&nr_freed, 1);
}

static uint64_t device_start(unsigned i)
{
	return 0x10000000 + 0x800 * i;
}

/* Adds or removes device `i`; conflicts and too many maps are none of our business here. */
static void toggle_device(unsigned i)
{
	struct tl_edit *edit = tl_map_edit(vm);
	const struct map *map;
	tl_range_id id;
	enum tl_status status;

	/* Which ranges there are is read like everything else by who may: under the lock, or by a reader. */
	if (!grace_current())
		vm_lock(vm);
	map = map_now();
	id = map_find(map, device_start(i))->id;
	if (!grace_current())
		vm_unlock(vm);
	if (id == TL_HOLE) {
		struct device *device = malloc(sizeof(*device));
		struct tl_range range = {.kind = TL_RANGE_MMIO,
					 .start = device_start(i),
					 .size = 0x700,
					 .context = device,
					 .release = free_device};

		*device = (struct device){.magic = MAGIC};
		tl_map_add(edit, &range, NULL);
		status = tl_map_commit(edit);
		if (status < 0)
			free(device);
		else
			atomic_fetch_add(&nr_made, 1);
	} else {
		tl_map_remove(edit, id);
		tl_map_commit(edit);
	}
}

#define FIRST_PIECE BIT(32)

/*
 * RAM moves from piece to piece, the first of which is number 1. Which one a CPU's TLB still translates, 0: none; the
 * hook that flushes empties it.
 */
static _Atomic unsigned tlb[3];
/* Pieces up to this number are gone: the commit that took them has returned. */
static _Atomic unsigned gone;

static void empty_tlb(struct tl_vm *of)
{
	(void)of;
	atomic_store(&tlb[hosted_cpu], 0);
}

struct vcpu_thread {
	struct grace_reader reader;
	unsigned cpu;
	uint64_t random;
	uint64_t accesses, fresh;
};

static unsigned thread_random(struct vcpu_thread *t, unsigned below)
{
	t->random = t->random * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(t->random >> 33) % below;
}

static void access_device(struct vcpu_thread *t, const struct map *map, gpa_t gpa)
{
	const struct map_range *range;
	struct ept_walk walk;
	enum mmio_verdict verdict;

	ept_walk(vm, gpa, &walk);
	verdict = mmu_examine(map, &walk, &range);
	if (verdict != MMIO_EMULATE && mmu_fault(vm, map, gpa, MMU_READ, &walk, &range) != MMU_SERVE)
		return;
	t->fresh += verdict == MMIO_EMULATE;
	if (range->kind == MAP_SHARED)
		range = map_find(map, gpa);
	if (range->kind == MAP_MMIO) {
		struct device *device = range->context;

		if (device->magic != MAGIC || gpa - range->start > range->last - range->start)
			abort();
		__atomic_fetch_add(&device->accesses, 1, __ATOMIC_RELAXED);
	}
	t->accesses++;
}

static void access_ram(const struct map *map, unsigned page, enum mmu_access access)
{
	gpa_t gpa = map->ranges[map->ram_hint].start + page * PAGE_SIZE;
	unsigned old = atomic_load(&tlb[hosted_cpu]);
	const struct map_range *range;
	struct ept_walk walk;

	/* The guest uses what the CPU has cached before it finds anything new. */
	if (old && old <= atomic_load(&gone))
		abort();
	ept_walk(vm, gpa, &walk);
	if (!ept_is_present(walk.entry) || access == MMU_FETCH)
		mmu_fault(vm, map, gpa, access, &walk, &range);
	else if (gpa >= FIRST_PIECE)
		atomic_store(&tlb[hosted_cpu], (unsigned)((gpa - FIRST_PIECE) / MIB2) + 1);
}

/* What tl_vcpu_run() does around the guest, in small. */
static void *run_vcpu(void *context)
{
	struct vcpu_thread *t = context;

	hosted_cpu = t->cpu;
	atomic_fetch_add(&nr_running, 1);
	while (!atomic_load(&writer_done)) {
		grace_enter(&t->reader, hooks->cpu_index());
		for (unsigned i = 0; i < 200; i++) {
			const struct map *map;

			while (atomic_load_explicit(&vm->round, memory_order_acquire) != t->reader.entry_round) {
				map_complete_pending(&t->reader);
				grace_announce(&t->reader);
			}
			map = map_now();
			access_device(t, map, device_start(thread_random(t, NR_DEVICES + 1)) + thread_random(t, 0x800));
			access_ram(map, thread_random(t, 256), thread_random(t, 4) ? MMU_READ : MMU_FETCH);
			/* A callback that changes the map, rarely. */
			if (thread_random(t, 64) == 0)
				toggle_device(thread_random(t, NR_DEVICES));
		}
		map_complete_pending(&t->reader);
		grace_leave(&t->reader, hooks->cpu_index());
		if (thread_random(t, 8) == 0)
			sched_yield();
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void threads(void **context)
{
	static struct vcpu_thread vcpus[2];
	pthread_t ids[2];
	double end = seconds() + 3;
	struct tl_edit *edit;
	tl_range_id ram;
	unsigned i = 0;

	(void)context;
	mmu_cpu.large_executable = false;
	atomic_store(&writer_done, false);
	atomic_store(&nr_running, 0);
	random_seed(77);
	hosted.on_flush = empty_tlb;
	ram = range_add(memory_at(0, MIB2));
	for (unsigned n = 0; n < 2; n++) {
		vcpus[n] = (struct vcpu_thread){.cpu = 1 + n, .random = 99 + n};
		grace_reader_add(&vcpus[n].reader, vm);
		assert_int_equal(pthread_create(&ids[n], NULL, run_vcpu, &vcpus[n]), 0);
	}
	/* However the host schedules: nobody is raced by a thread that has not begun. */
	while (atomic_load(&nr_running) < 2)
		sched_yield();
	/* Spinning threads on a machine that is busy otherwise get ahead slowly: it is time that ends it. */
	for (; i < LEAST_ROUNDS || (i < MOST_ROUNDS && seconds() < end); i++) {
		toggle_device((unsigned)random_below(NR_DEVICES));
		/* A large leaf comes to where none was split before, and is zapped while fetches split it. */
		edit = tl_map_edit(vm);
		assert_int_equal(tl_map_move(edit, ram, FIRST_PIECE + i * MIB2), TL_OK);
		assert_int_equal(tl_map_resize(edit, ram, MIB2), TL_OK);
		assert_int_equal(tl_map_commit(edit), TL_OK);
		atomic_store(&gone, i);
		for (unsigned wait = (unsigned)random_below(2000); wait; wait--)
			__asm__ volatile("" : : : "memory");
		assert_int_equal(range_resize(ram, MIB2 / 2), TL_OK);
		if (i % 16 == 0) {
			assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
			sched_yield();
		}
	}
	atomic_store(&writer_done, true);
	for (unsigned n = 0; n < 2; n++) {
		pthread_join(ids[n], NULL);
		assert_null(vcpus[n].reader.pending);
		grace_reader_remove(&vcpus[n].reader);
	}
	print_message("%u rounds; %lu and %lu accesses, %lu and %lu fresh; %u devices, %lu wraps, %lu zapped, %zu "
		      "table pages\n",
		      i, (unsigned long)vcpus[0].accesses, (unsigned long)vcpus[1].accesses,
		      (unsigned long)vcpus[0].fresh, (unsigned long)vcpus[1].fresh, atomic_load(&nr_made),
		      (unsigned long)vm->wraps, (unsigned long)atomic_load(&vm->zapped),
		      (size_t)atomic_load(&vm->nr_ept_pages));
	assert_true(map_now()->stamping);
	assert_true(vm->wraps > i / 8);
	/* That no table was lost on the way is what teardown finds out, which counts pages. */
	assert_true(atomic_load(&vm->nr_ept_pages) > 3);
	for (unsigned n = 0; n < NR_DEVICES; n++)
		if (map_find(map_now(), device_start(n))->id != TL_HOLE)
			toggle_device(n);
	assert_int_equal(atomic_load(&nr_freed), atomic_load(&nr_made));
	mmu_cpu.large_executable = true;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_readers_setup, two_readers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(threads),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
