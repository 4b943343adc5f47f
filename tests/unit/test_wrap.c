/* SPDX-License-Identifier: MIT */
/* What is in the way of a commit for a while: maps that wait for their grace period, and a wrap that is under way. */
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

/* Inside a callback there is an end to the maps that may wait; outside, a commit waits for the oldest. */
static void too_many_maps_wait(void **context)
{
	unsigned done = 0;
	const struct map *last;

	(void)context;
	reader_enter(&self, 0);
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
	reader_leave(&self, 0);
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
	reader_enter(&other, 1);
	hosted.on_kick = announces;
	/* Three bits wrap every eighth time, and a wrap waits: with a wide tag there is nothing else to wait for. */
	vm->tag_mask = MMIO_TAG_MASK;
	for (; hosted.nr_kicks == 0 && done < 100; done++)
		assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
	assert_in_range(done, 8, 32);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
	reader_leave(&other, 1);
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
	range_add(device_at(0x1000));
	approach_wrap();
	touch_under(map_now(), 0x3000);
	reader_enter(&other, 1);
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
	reader_leave(&other, 1);
}

/* While one vCPU has a wrap to complete, others commit: unstamped, without a generation, and nothing is lost. */
static void commits_during_a_wrap(void **context)
{
	tl_range_id device = range_add(device_at(0x1000)), late;
	uint64_t generation;
	struct tl_stats stats;

	(void)context;
	approach_wrap();
	reader_enter(&self, 0);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_PENDING);
	generation = map_now()->generation;
	touch_under(map_now(), 0x1000);
	assert_int_equal(entry_at(0x1000), 0);
	hosted_cpu = 2;
	late = range_add(device_at(0x9000));
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	hosted.on_kick = NULL;
	hosted_cpu = 0;
	assert_int_equal(range_remove(device), TL_PENDING);
	assert_false(map_now()->stamping);
	assert_int_equal(map_now()->generation, generation);
	assert_true(map_complete_pending(&self));
	assert_true(map_now()->stamping);
	assert_int_equal(map_now()->generation, generation);
	assert_int_equal(map_find(map_now(), 0x9000)->id, late);
	assert_int_equal(map_find(map_now(), 0x1000)->id, TL_HOLE);
	tl_stats(vm, &stats);
	assert_int_equal(stats.wraps, 1);
	reader_leave(&self, 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_readers_setup, two_readers_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(too_many_maps_wait),
		TEST(outside_a_commit_waits_for_the_oldest),
		TEST(a_wrap_outlasts_who_stamps_late),
		TEST(commits_during_a_wrap),
		TEST(a_wrap_out_of_memory_is_made_up_for),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
