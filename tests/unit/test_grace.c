/* SPDX-License-Identifier: MIT */
/*
 * Commits that have to wait: for whom, in which order, inside a callback and outside. Other CPUs are played by the kick
 * hook, which is where a writer that waits gives them a chance; at the end there are real threads.
 */
#include "mmu/ept_table.h"
#include "mmu/grace.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "tests/unit/hosted.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)

static struct tl_vm *vm;
/* `self` runs on CPU 0, where the tests commit; `other` on CPU 1. */
static struct grace_reader self, other;
static unsigned nr_released;

static int setup(void **context)
{
	struct tl_vm_config config = {.tag_bits = 3};
	enum tl_status status;

	(void)context;
	hosted_start();
	vm = tl_vm_create(&config, &status);
	assert_int_equal(status, TL_OK);
	self = other = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&self, vm);
	grace_reader_add(&other, vm);
	nr_released = 0;
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	hosted.on_kick = NULL;
	hosted.on_flush = NULL;
	hosted_fail_at(0);
	/* A test that failed in a hook has left the lock held. */
	vm_unlock(vm);
	assert_null(self.pending);
	assert_int_equal(tl_vm_destroy(vm), TL_INVALID_ARGUMENT);
	grace_reader_remove(&self);
	grace_reader_remove(&other);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	assert_int_equal(hosted.pages_out, 0);
	return 0;
}

static const struct map *map_now(void)
{
	return atomic_load_explicit(&vm->map, memory_order_acquire);
}

static void enter_on(struct grace_reader *reader, unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	grace_enter(reader);
	hosted_cpu = here;
}

static void leave_on(struct grace_reader *reader, unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	grace_leave(reader);
	hosted_cpu = here;
}

static void count_release(void *context)
{
	(void)context;
	nr_released++;
}

static struct tl_range device_at(uint64_t start)
{
	return (struct tl_range){.kind = TL_RANGE_MMIO, .start = start, .size = 0x1000, .release = count_release};
}

static tl_range_id add(struct tl_range range)
{
	struct tl_edit *edit = tl_map_edit(vm);
	tl_range_id id = TL_HOLE;

	assert_int_equal(tl_map_add(edit, &range, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	return id;
}

static tl_range_id add_ram(uint64_t start, uint64_t size)
{
	return add((struct tl_range){.kind = TL_RANGE_RAM,
				     .start = start,
				     .size = size,
				     .host = hosted_memory(start),
				     .release = count_release});
}

static enum tl_status commit_remove(tl_range_id id)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	return tl_map_commit(edit);
}

static enum tl_status commit_resize(tl_range_id id, uint64_t size)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_int_equal(tl_map_resize(edit, id, size), TL_OK);
	return tl_map_commit(edit);
}

static ept_entry_t entry_at(gpa_t gpa)
{
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	return walk.entry;
}

static void touch_under(const struct map *map, gpa_t gpa)
{
	const struct map_range *range;
	struct ept_walk walk;

	ept_walk(vm, gpa, &walk);
	assert_in_range(mmu_fault(vm, map, gpa, MMU_READ, &walk, &range), MMU_SERVE, MMU_MAPPED);
}

/* Brings the VM to where the next commit wraps. */
static void approach_wrap(void)
{
	while (vm_tag(vm, map_now()->generation) != vm->tag_mask)
		assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
}

static void nobody_runs(void **context)
{
	tl_range_id id = add(device_at(0x1000));

	(void)context;
	assert_int_equal(commit_remove(id), TL_OK);
	assert_int_equal(nr_released, 1);
	assert_int_equal(hosted.nr_kicks, 0);
	/* Who has left is not waited for, either. */
	id = add(device_at(0x1000));
	enter_on(&other, 1);
	leave_on(&other, 1);
	assert_int_equal(commit_remove(id), TL_OK);
	assert_int_equal(nr_released, 2);
	assert_int_equal(hosted.nr_kicks, 0);
}

static void who_runs_is_found_by_cpu(void **context)
{
	(void)context;
	assert_null(grace_current());
	enter_on(&other, 1);
	assert_null(grace_current());
	enter_on(&self, 0);
	assert_ptr_equal(grace_current(), &self);
	hosted_cpu = 1;
	assert_ptr_equal(grace_current(), &other);
	hosted_cpu = 0;
	leave_on(&self, 0);
	leave_on(&other, 1);
	assert_null(grace_current());
}

static void other_announces(unsigned cpu)
{
	assert_int_equal(cpu, 1);
	assert_int_equal(nr_released, 0);
	/* The new map is published, and its round raised, before anybody waits. */
	assert_true(atomic_load(&vm->round) > atomic_load(&other.word));
	grace_announce(&other);
}

static void a_removal_waits_for_who_runs(void **context)
{
	tl_range_id id = add(device_at(0x1000));

	(void)context;
	enter_on(&other, 1);
	hosted.on_kick = other_announces;
	hosted.nr_flushes = 0;
	assert_int_equal(commit_remove(id), TL_OK);
	assert_int_equal(nr_released, 1);
	assert_int_equal(hosted.nr_kicks, 1);
	/* A device's addresses are in no TLB. */
	assert_int_equal(hosted.nr_flushes, 0);
	leave_on(&other, 1);
}

/* Additions, growth and "invalidate all" take nothing away from anybody. */
static void what_takes_nothing_does_not_wait(void **context)
{
	tl_range_id id;

	(void)context;
	enter_on(&other, 1);
	id = add(device_at(0x1000));
	assert_int_equal(commit_resize(id, 0x1800), TL_OK);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	add_ram(0x10000, 0x1000);
	assert_int_equal(hosted.nr_kicks, 0);
	leave_on(&other, 1);
}

static gpa_t ram_page;
static uint64_t flush_number;
static unsigned step;

static void flush_comes_before_the_word(struct tl_vm *of)
{
	assert_ptr_equal(of, vm);
	assert_true(atomic_load(&other.word) < atomic_load(&vm->round));
}

/* Rule 4, seen from the CPU that is waited for: first the grace period, then the zap, the flush number, the round. */
static void other_checks_the_order(unsigned cpu)
{
	assert_int_equal(cpu, 1);
	assert_int_equal(nr_released, 0);
	switch (step++) {
	case 0:
		assert_true(ept_is_present(entry_at(ram_page)));
		assert_int_equal(atomic_load(&vm->flush_number), flush_number);
		assert_int_equal(hosted.nr_flushes, 0);
		break;
	case 1:
		assert_int_equal(entry_at(ram_page), 0);
		assert_int_equal(atomic_load(&vm->flush_number), flush_number + 1);
		break;
	default:
		fail_msg("a third wait");
	}
	grace_announce(&other);
}

static void removed_memory_is_zapped_then_flushed(void **context)
{
	static const uint64_t kept[] = {0, 0x1000};

	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		tl_range_id id = add_ram(0, 2 * MIB2);

		ram_page = MIB2 + 0x1000;
		touch_under(map_now(), ram_page);
		enter_on(&other, 1);
		flush_number = atomic_load(&vm->flush_number);
		hosted.nr_flushes = nr_released = step = 0;
		hosted.on_kick = other_checks_the_order;
		hosted.on_flush = flush_comes_before_the_word;
		assert_int_equal(kept[i] ? commit_resize(id, kept[i]) : commit_remove(id), TL_OK);
		assert_int_equal(step, 2);
		assert_int_equal(hosted.nr_flushes, 1);
		assert_int_equal(nr_released, kept[i] ? 0 : 1);
		hosted.on_flush = NULL;
		hosted.on_kick = NULL;
		leave_on(&other, 1);
	}
}

/* Each CPU keeps what it last flushed to, whoever ran there. */
static void flushes_are_per_cpu(void **context)
{
	(void)context;
	hosted.nr_flushes = 0;
	enter_on(&self, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	leave_on(&self, 0);
	enter_on(&self, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	leave_on(&self, 0);
	enter_on(&other, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	leave_on(&other, 0);
	enter_on(&self, 2);
	assert_int_equal(hosted.nr_flushes, 2);
	leave_on(&self, 2);
	assert_int_equal(commit_remove(add_ram(0, 0x1000)), TL_OK);
	assert_int_equal(hosted.nr_flushes, 2);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			enter_on(&self, cpu);
			leave_on(&self, cpu);
		}
	assert_int_equal(hosted.nr_flushes, 6);
}

static void a_callback_does_not_wait(void **context)
{
	tl_range_id device = add(device_at(0x1000)), ram = add_ram(0, 0x1000);
	const struct map *map = map_now();
	struct tl_edit *edit;

	(void)context;
	touch_under(map, 0);
	enter_on(&self, 0);
	assert_int_equal(self.entry_round, atomic_load(&vm->round));
	assert_int_equal(commit_remove(device), TL_PENDING);
	assert_int_equal(commit_remove(ram), TL_PENDING);
	/* What takes nothing is done, also here. */
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(map_find(map_now(), 0x1000)->id, TL_HOLE);
	/* The map that the callback was dispatched from is still whole. */
	assert_int_equal(map_find(map, 0x1000)->id, device);
	assert_true(ept_is_present(entry_at(0)));
	assert_int_equal(nr_released, 0);
	/* The next entry looks at it, whatever the round. */
	assert_int_equal(self.entry_round, GRACE_ATTENTION);
	hosted.nr_flushes = 0;
	assert_true(map_complete_pending(&self));
	assert_null(self.pending);
	assert_int_equal(nr_released, 2);
	assert_int_equal(entry_at(0), 0);
	assert_int_equal(hosted.nr_flushes, 1);
	grace_announce(&self);
	assert_int_equal(self.entry_round, atomic_load(&vm->round));
	assert_true(map_complete_pending(&self));
	assert_int_equal(nr_released, 2);
	leave_on(&self, 0);
	assert_int_equal(self.entry_round, GRACE_ATTENTION);
}

static void kicks_self(unsigned cpu)
{
	assert_int_equal(cpu, 1);
	atomic_store(&self.kicked, 1);
}

static void announces_then_kicks_self(unsigned cpu)
{
	/* The grace period passes; the kick comes while the flush is waited for. */
	if (atomic_load(&vm->flush_number) == flush_number)
		grace_announce(&other);
	else
		kicks_self(cpu);
}

static void a_kick_interrupts_and_the_next_call_resumes(void **context)
{
	void (*const kicks[])(unsigned cpu) = {kicks_self, announces_then_kicks_self};

	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		tl_range_id ram = add_ram(0, 0x1000), device = add(device_at(0x1000));

		touch_under(map_now(), 0);
		nr_released = 0;
		enter_on(&other, 1);
		enter_on(&self, 0);
		flush_number = atomic_load(&vm->flush_number);
		assert_int_equal(commit_remove(ram), TL_PENDING);
		assert_int_equal(commit_remove(device), TL_PENDING);
		hosted.on_kick = kicks[i];
		assert_false(map_complete_pending(&self));
		hosted.on_kick = NULL;
		assert_int_equal(nr_released, 0);
		assert_non_null(self.pending);
		assert_int_equal(self.entry_round, GRACE_ATTENTION);
		assert_int_equal(ept_is_present(entry_at(0)), i == 0);
		leave_on(&self, 0);
		/* Back to the embedder, and in again: it is not forgotten, and still has to wait. */
		atomic_store(&self.kicked, 0);
		enter_on(&self, 0);
		assert_int_equal(self.entry_round, GRACE_ATTENTION);
		leave_on(&other, 1);
		assert_true(map_complete_pending(&self));
		assert_int_equal(nr_released, 2);
		assert_int_equal(atomic_load(&vm->flush_number), flush_number + 1);
		assert_int_equal(entry_at(0), 0);
		leave_on(&self, 0);
	}
}

static tl_range_id second;

static void commits_in_release(void *context)
{
	(void)context;
	nr_released++;
	assert_int_equal(commit_remove(second), grace_current() ? TL_PENDING : TL_OK);
}

/* A device that goes takes another with it: by its release hook, in either place. */
static void a_release_hook_may_commit(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		struct tl_range range = device_at(0x1000);
		tl_range_id first, third = add(device_at(0x5000));
		bool inside = i & 1, last = i & 2;

		range.release = commits_in_release;
		first = add(range);
		second = add(device_at(0x3000));
		nr_released = 0;
		if (inside)
			enter_on(&self, 0);
		assert_int_equal(commit_remove(last ? third : first), inside ? TL_PENDING : TL_OK);
		assert_int_equal(commit_remove(last ? first : third), inside ? TL_PENDING : TL_OK);
		assert_true(map_complete_pending(&self));
		assert_int_equal(nr_released, 3);
		assert_int_equal(map_now()->nr_places, 1);
		if (inside)
			leave_on(&self, 0);
	}
}

/* A callback of one VM changes another one's map. */
static void a_callback_commits_on_another_vm(void **context)
{
	enum tl_status status;
	struct tl_vm *first = vm, *another = tl_vm_create(NULL, &status);
	tl_range_id id;

	(void)context;
	vm = another;
	id = add(device_at(0x1000));
	enter_on(&self, 0);
	assert_int_equal(commit_remove(id), TL_PENDING);
	vm = first;
	assert_true(map_complete_pending(&self));
	assert_int_equal(nr_released, 1);
	leave_on(&self, 0);
	assert_int_equal(tl_vm_destroy(another), TL_OK);
}

/* Inside a callback there is an end to the maps that may wait; outside, a commit waits for the oldest. */
static void too_many_maps_wait(void **context)
{
	unsigned done = 0;
	const struct map *last;

	(void)context;
	enter_on(&self, 0);
	while (done < 100) {
		enum tl_status status = tl_map_commit(tl_map_edit(vm));

		if (status == TL_AGAIN)
			break;
		assert_in_range(status, TL_OK, TL_PENDING);
		done++;
	}
	assert_in_range(done, 8, 32);
	last = map_now();
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_AGAIN);
	assert_ptr_equal(map_now(), last);
	assert_true(map_complete_pending(&self));
	assert_true(map_now()->stamping);
	grace_announce(&self);
	assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
	leave_on(&self, 0);
}

static void announces(unsigned cpu)
{
	assert_int_equal(cpu, 1);
	grace_announce(&other);
}

static void outside_a_commit_waits_for_the_oldest(void **context)
{
	unsigned done = 0;

	(void)context;
	enter_on(&other, 1);
	hosted.on_kick = announces;
	/* Three bits wrap every eighth time, and a wrap waits: with a wide tag there is nothing else to wait for. */
	vm->tag_mask = MMIO_TAG_MASK;
	for (; hosted.nr_kicks == 0 && done < 100; done++)
		assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
	assert_in_range(done, 8, 32);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
	leave_on(&other, 1);
}

static const struct map *late_map;

/* Rule 7: somebody still stamps from the map before the wrap, while its first half is already published. */
static void other_stamps_late(unsigned cpu)
{
	assert_int_equal(cpu, 1);
	assert_true(late_map->stamping);
	assert_false(map_now()->stamping);
	touch_under(late_map, 0x1000);
	touch_under(late_map, 0x7000);
	assert_true(is_mmio_spte(entry_at(0x1000)));
	grace_announce(&other);
}

static void a_wrap_outlasts_who_stamps_late(void **context)
{
	struct tl_stats stats;
	const struct map_range *range;
	uint64_t generation;

	(void)context;
	add(device_at(0x1000));
	approach_wrap();
	touch_under(map_now(), 0x3000);
	enter_on(&other, 1);
	late_map = map_now();
	generation = late_map->generation;
	hosted.on_kick = other_stamps_late;
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	assert_int_equal(hosted.nr_kicks, 1);
	assert_true(map_now()->stamping);
	assert_int_equal(map_now()->generation, generation + 1);
	assert_int_equal(entry_at(0x1000), 0);
	assert_int_equal(entry_at(0x7000), 0);
	tl_stats(vm, &stats);
	assert_int_equal(stats.wraps, 1);
	assert_int_equal(stats.zapped, 3);
	assert_int_equal(stats.live_mmio_entries, 0);
	touch_under(map_now(), 0x1000);
	assert_int_equal(check_mmio_spte(map_now(), entry_at(0x1000), &range), MMIO_EMULATE);
	leave_on(&other, 1);
}

/* While one vCPU has a wrap to complete, others commit: unstamped, without a generation, and nothing is lost. */
static void commits_during_a_wrap(void **context)
{
	tl_range_id device = add(device_at(0x1000)), late;
	uint64_t generation;
	struct tl_stats stats;

	(void)context;
	approach_wrap();
	enter_on(&self, 0);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_PENDING);
	generation = map_now()->generation;
	touch_under(map_now(), 0x1000);
	assert_int_equal(entry_at(0x1000), 0);
	hosted_cpu = 2;
	late = add(device_at(0x9000));
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	hosted.on_kick = NULL;
	hosted_cpu = 0;
	assert_int_equal(commit_remove(device), TL_PENDING);
	assert_false(map_now()->stamping);
	assert_int_equal(map_now()->generation, generation);
	assert_true(map_complete_pending(&self));
	assert_true(map_now()->stamping);
	assert_int_equal(map_now()->generation, generation);
	assert_int_equal(map_find(map_now(), 0x9000)->id, late);
	assert_int_equal(map_find(map_now(), 0x1000)->id, TL_HOLE);
	tl_stats(vm, &stats);
	assert_int_equal(stats.wraps, 1);
	leave_on(&self, 0);
}

/* A wrap that finds no memory for its second half leaves stamping off; the next commit takes it over. */
static void a_wrap_out_of_memory_is_made_up_for(void **context)
{
	enum { NR = 200 };
	unsigned owed = 0, refused = 0;

	(void)context;
	for (size_t failing = 1;; failing++) {
		struct tl_edit *edit;
		uint64_t wraps = vm->wraps, generation;
		enum tl_status status = TL_OK;

		approach_wrap();
		generation = map_now()->generation;
		/* The map has to grow, so that no retired one will do. */
		edit = tl_map_edit(vm);
		for (unsigned i = 0; i < NR; i++) {
			struct tl_range range = device_at((NR * failing + i) * 0x1000);

			assert_int_equal(tl_map_add(edit, &range, NULL), TL_OK);
		}
		hosted_fail_at(failing);
		status = tl_map_commit(edit);
		hosted_fail_at(0);
		if (status != TL_OK) {
			assert_int_equal(status, TL_NO_MEMORY);
			assert_true(map_now()->stamping);
			assert_int_equal(map_now()->generation, generation);
			refused++;
			continue;
		}
		if (map_now()->stamping) {
			assert_int_equal(vm->wraps, wraps + 1);
			break;
		}
		owed++;
		assert_int_equal(vm->wraps, wraps);
		/* A commit that is refused does not pay, and takes nothing over. */
		edit = tl_map_edit(vm);
		assert_int_equal(
			tl_map_add(edit,
				   &(struct tl_range){.kind = TL_RANGE_MMIO, .start = NR * failing * 0x1000, .size = 1},
				   NULL),
			TL_OK);
		assert_int_equal(tl_map_commit(edit), TL_OVERLAP);
		assert_false(map_now()->stamping);
		assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
		assert_true(map_now()->stamping);
		assert_int_equal(vm->wraps, wraps + 1);
		assert_int_equal(map_now()->generation, generation + 1);
	}
	assert_true(refused > 0 && owed > 0);
}

/* ---- Threads: two vCPUs that never stop, and a writer ---- */

enum { NR_DEVICES = 6, LEAST_ROUNDS = 50, MOST_ROUNDS = 6000, MAGIC = 0x5ca1ab1e };

struct device {
	unsigned magic;
	unsigned accesses;
};

static _Atomic bool writer_done;
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
	while (!atomic_load(&writer_done)) {
		grace_enter(&t->reader);
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
		grace_leave(&t->reader);
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
	random_seed(77);
	hosted.on_flush = empty_tlb;
	ram = add_ram(0, MIB2);
	for (unsigned n = 0; n < 2; n++) {
		vcpus[n] = (struct vcpu_thread){.cpu = 1 + n, .random = 99 + n};
		grace_reader_add(&vcpus[n].reader, vm);
		assert_int_equal(pthread_create(&ids[n], NULL, run_vcpu, &vcpus[n]), 0);
	}
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
		assert_int_equal(commit_resize(ram, MIB2 / 2), TL_OK);
		if (i % 16 == 0)
			assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_runs),
		TEST(who_runs_is_found_by_cpu),
		TEST(a_removal_waits_for_who_runs),
		TEST(what_takes_nothing_does_not_wait),
		TEST(removed_memory_is_zapped_then_flushed),
		TEST(flushes_are_per_cpu),
		TEST(a_callback_does_not_wait),
		TEST(a_kick_interrupts_and_the_next_call_resumes),
		TEST(a_release_hook_may_commit),
		TEST(a_callback_commits_on_another_vm),
		TEST(too_many_maps_wait),
		TEST(outside_a_commit_waits_for_the_oldest),
		TEST(a_wrap_outlasts_who_stamps_late),
		TEST(commits_during_a_wrap),
		TEST(a_wrap_out_of_memory_is_made_up_for),
		TEST(threads),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
