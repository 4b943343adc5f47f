/* SPDX-License-Identifier: MIT */
/* Commits that have to wait: for whom, in which order, inside a callback and outside. */
#include "mmu/ept_table.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "tests/unit/hosted.h"
#include "tests/unit/two_readers.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)

static void nobody_runs(void **context)
{
	tl_range_id id = range_add(device_at(0x1000));

	(void)context;
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(nr_released, 1);
	assert_int_equal(hosted.nr_kicks, 0);
	/* Who has left is not waited for, either. */
	id = range_add(device_at(0x1000));
	reader_enter(&other, 1);
	reader_leave(&other, 1);
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(nr_released, 2);
	assert_int_equal(hosted.nr_kicks, 0);
}

static void who_runs_is_found_by_cpu(void **context)
{
	(void)context;
	assert_null(grace_current());
	reader_enter(&other, 1);
	assert_null(grace_current());
	reader_enter(&self, 0);
	assert_ptr_equal(grace_current(), &self);
	hosted_cpu = 1;
	assert_ptr_equal(grace_current(), &other);
	hosted_cpu = 0;
	reader_leave(&self, 0);
	reader_leave(&other, 1);
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
	tl_range_id id = range_add(device_at(0x1000));

	(void)context;
	reader_enter(&other, 1);
	hosted.on_kick = other_announces;
	hosted.nr_flushes = 0;
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(nr_released, 1);
	assert_int_equal(hosted.nr_kicks, 1);
	/* A device's addresses are in no TLB. */
	assert_int_equal(hosted.nr_flushes, 0);
	reader_leave(&other, 1);
}

/* Additions, growth and "invalidate all" take nothing away from anybody. */
static void what_takes_nothing_does_not_wait(void **context)
{
	tl_range_id id;

	(void)context;
	reader_enter(&other, 1);
	id = range_add(device_at(0x1000));
	assert_int_equal(range_resize(id, 0x1800), TL_OK);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	range_add(memory_at(0x10000, 0x1000));
	assert_int_equal(hosted.nr_kicks, 0);
	reader_leave(&other, 1);
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
		tl_range_id id = range_add(memory_at(0, 2 * MIB2));

		ram_page = MIB2 + 0x1000;
		touch_under(map_now(), ram_page);
		reader_enter(&other, 1);
		flush_number = atomic_load(&vm->flush_number);
		hosted.nr_flushes = nr_released = step = 0;
		hosted.on_kick = other_checks_the_order;
		hosted.on_flush = flush_comes_before_the_word;
		assert_int_equal(kept[i] ? range_resize(id, kept[i]) : range_remove(id), TL_OK);
		assert_int_equal(step, 2);
		assert_int_equal(hosted.nr_flushes, 1);
		assert_int_equal(nr_released, kept[i] ? 0 : 1);
		hosted.on_flush = NULL;
		hosted.on_kick = NULL;
		reader_leave(&other, 1);
	}
}

/* Each CPU keeps what it last flushed to, whoever ran there. */
static void flushes_are_per_cpu(void **context)
{
	(void)context;
	hosted.nr_flushes = 0;
	reader_enter(&self, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	reader_leave(&self, 0);
	reader_enter(&self, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	reader_leave(&self, 0);
	reader_enter(&other, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	reader_leave(&other, 0);
	reader_enter(&self, 2);
	assert_int_equal(hosted.nr_flushes, 2);
	reader_leave(&self, 2);
	assert_int_equal(range_remove(range_add(memory_at(0, 0x1000))), TL_OK);
	assert_int_equal(hosted.nr_flushes, 2);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned cpu = 0; cpu < 4; cpu++) {
			reader_enter(&self, cpu);
			reader_leave(&self, cpu);
		}
	assert_int_equal(hosted.nr_flushes, 6);
}

static void a_callback_does_not_wait(void **context)
{
	tl_range_id device = range_add(device_at(0x1000)), ram = range_add(memory_at(0, 0x1000));
	const struct map *map = map_now();
	struct tl_edit *edit;

	(void)context;
	touch_under(map, 0);
	reader_enter(&self, 0);
	assert_int_equal(self.entry_round, atomic_load(&vm->round));
	assert_int_equal(range_remove(device), TL_PENDING);
	assert_int_equal(range_remove(ram), TL_PENDING);
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
	reader_leave(&self, 0);
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
		tl_range_id ram = range_add(memory_at(0, 0x1000)), device = range_add(device_at(0x1000));

		touch_under(map_now(), 0);
		nr_released = 0;
		reader_enter(&other, 1);
		reader_enter(&self, 0);
		flush_number = atomic_load(&vm->flush_number);
		assert_int_equal(range_remove(ram), TL_PENDING);
		assert_int_equal(range_remove(device), TL_PENDING);
		hosted.on_kick = kicks[i];
		assert_false(map_complete_pending(&self));
		hosted.on_kick = NULL;
		assert_int_equal(nr_released, 0);
		assert_non_null(self.pending);
		assert_int_equal(self.entry_round, GRACE_ATTENTION);
		assert_int_equal(ept_is_present(entry_at(0)), i == 0);
		reader_leave(&self, 0);
		/* Back to the embedder, and in again: it is not forgotten, and still has to wait. */
		atomic_store(&self.kicked, 0);
		reader_enter(&self, 0);
		assert_int_equal(self.entry_round, GRACE_ATTENTION);
		reader_leave(&other, 1);
		assert_true(map_complete_pending(&self));
		assert_int_equal(nr_released, 2);
		assert_int_equal(atomic_load(&vm->flush_number), flush_number + 1);
		assert_int_equal(entry_at(0), 0);
		reader_leave(&self, 0);
	}
}

static tl_range_id second;

static void commits_in_release(void *context)
{
	(void)context;
	nr_released++;
	assert_int_equal(range_remove(second), grace_current() ? TL_PENDING : TL_OK);
}

/* A device that goes takes another with it: by its release hook, in either place. */
static void a_release_hook_may_commit(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		struct tl_range range = device_at(0x1000);
		tl_range_id first, third = range_add(device_at(0x5000));
		bool inside = i & 1, last = i & 2;

		range.release = commits_in_release;
		first = range_add(range);
		second = range_add(device_at(0x3000));
		nr_released = 0;
		if (inside)
			reader_enter(&self, 0);
		assert_int_equal(range_remove(last ? third : first), inside ? TL_PENDING : TL_OK);
		assert_int_equal(range_remove(last ? first : third), inside ? TL_PENDING : TL_OK);
		assert_true(map_complete_pending(&self));
		assert_int_equal(nr_released, 3);
		assert_int_equal(map_now()->nr_places, 1);
		if (inside)
			reader_leave(&self, 0);
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
	id = range_add(device_at(0x1000));
	reader_enter(&self, 0);
	assert_int_equal(range_remove(id), TL_PENDING);
	vm = first;
	assert_true(map_complete_pending(&self));
	assert_int_equal(nr_released, 1);
	reader_leave(&self, 0);
	assert_int_equal(tl_vm_destroy(another), TL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_readers_setup, two_readers_teardown)

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
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
