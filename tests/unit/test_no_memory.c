/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails in turn, once or for good, in everything that allocates: what is refused says so and leaves
 * everything as it was, the same again succeeds, and in the end nothing is lost and nothing is left over.
 */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/ept_view.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)
#define GIB  EPT_SPAN(3)

enum { NR_SMALL = 150, RAM_AT = 0, ROM_AT = 64 * 1024 * 1024, DEVICE_AT = 0x30000000, SMALL_AT = 0x40000000 };

static tl_range_id ram, rom, device, small[NR_SMALL];
static unsigned nr_added, nr_released;
static struct grace_reader reader;

static void count_release(void *context)
{
	(void)context;
	nr_released++;
}

static struct tl_range counted(struct tl_range range)
{
	range.release = count_release;
	return range;
}

/* ---- What is done. False: refused for want of memory ---- */

static bool create(void)
{
	struct tl_vm_config config = {.tag_bits = 3};
	enum tl_status status;

	vm = tl_vm_create(&config, &status);
	assert_int_equal(status, vm ? TL_OK : TL_NO_MEMORY);
	return vm != NULL;
}

/* A reader of its own for what is committed in callbacks; it allocates nothing. */
static bool add_reader(void)
{
	reader = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&reader, vm);
	return true;
}

static bool finish(struct tl_edit *edit, enum tl_status noted, unsigned adds)
{
	enum tl_status status;

	if (noted != TL_OK) {
		assert_int_equal(noted, TL_NO_MEMORY);
		tl_map_discard(edit);
		return false;
	}
	status = tl_map_commit(edit);
	if (status == TL_PENDING) {
		assert_non_null(grace_current());
		status = TL_OK;
	}
	assert_true(status == TL_OK || status == TL_NO_MEMORY);
	nr_added += status == TL_OK ? adds : 0;
	return status == TL_OK;
}

static bool add_memory(void)
{
	struct tl_range ranges[] = {counted(ram_range(RAM_AT, 4 * MIB2)), counted(ram_range(ROM_AT, 16 * PAGE_SIZE)),
				    counted(mmio_range(DEVICE_AT, 3 * PAGE_SIZE))};
	tl_range_id *ids[] = {&ram, &rom, &device};
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status = TL_OK;

	ranges[1].kind = TL_RANGE_ROM;
	for (unsigned i = 0; edit && i < 3 && status == TL_OK; i++)
		status = tl_map_add(edit, &ranges[i], ids[i]);
	return edit && finish(edit, status, 3);
}

/* More edits than fit a page, and more ranges than fit the map. */
static bool add_small(void)
{
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status = TL_OK;

	for (unsigned i = 0; edit && i < NR_SMALL && status == TL_OK; i++) {
		struct tl_range range = counted(mmio_range(SMALL_AT + i * 0x1800ull, 0x1000));

		status = tl_map_add(edit, &range, &small[i]);
	}
	return edit && finish(edit, status, NR_SMALL);
}

static bool touch(gpa_t gpa, enum mmu_access access)
{
	struct ept_walk walk = walk_to(gpa);
	const struct map_range *range;
	enum mmu_fault result = mmu_fault(vm, map_now(), gpa, access, &walk, &range);

	assert_true(result == MMU_NO_MEMORY || result == MMU_MAPPED || result == MMU_SERVE || result == MMU_SPURIOUS);
	return result != MMU_NO_MEMORY;
}

static bool touch_memory(void)
{
	return touch(RAM_AT + MIB2, MMU_WRITE);
}

/* Splits the large leaf. */
static bool fetch_memory(void)
{
	return touch(RAM_AT + MIB2 + 5 * PAGE_SIZE, MMU_FETCH);
}

static bool touch_rom(void)
{
	return touch(ROM_AT, MMU_READ);
}

static bool touch_device(void)
{
	return touch(DEVICE_AT + PAGE_SIZE, MMU_READ);
}

static bool touch_small(void)
{
	return touch(SMALL_AT + 0x1800, MMU_READ);
}

static bool touch_hole(void)
{
	return touch(200 * GIB, MMU_READ);
}

static bool invalidate(void)
{
	enum tl_status status = tl_vm_invalidate_mmio(vm);

	assert_true(status == TL_OK || status == TL_NO_MEMORY);
	return status == TL_OK;
}

static bool move_device(void)
{
	struct tl_edit *edit = tl_map_edit(vm);

	return edit && finish(edit, tl_map_move(edit, device, DEVICE_AT + GIB), 0);
}

static bool narrow_memory(void)
{
	struct tl_edit *edit = tl_map_edit(vm);

	return edit && finish(edit, tl_map_resize(edit, ram, 3 * MIB2), 0);
}

static bool protect_memory(void)
{
	struct tl_edit *edit = tl_map_edit(vm);

	return edit && finish(edit, tl_map_protect(edit, ram, TL_RANGE_ROM, NULL), 0);
}

/* A device over memory, committed in a callback and completed by its vCPU. */
static bool device_over_memory(void)
{
	struct tl_range range = counted(mmio_range(RAM_AT, 3 * MIB2));
	struct tl_edit *edit;
	bool done;

	grace_enter(&reader, hooks->cpu_index());
	edit = tl_map_edit(vm);
	done = edit && finish(edit, tl_map_remove(edit, ram) | tl_map_add(edit, &range, &ram), 1);
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader, hooks->cpu_index());
	return done;
}

static bool touch_again(void)
{
	return touch(RAM_AT + MIB2, MMU_WRITE);
}

static bool remove_small(void)
{
	struct tl_edit *edit = tl_map_edit(vm);
	enum tl_status status = TL_OK;

	for (unsigned i = 0; edit && i < NR_SMALL && status == TL_OK; i++)
		status = tl_map_remove(edit, small[i]);
	return edit && finish(edit, status, 0);
}

/* It says TL_OK also where there is no page for what it has to remember: then nothing is given back. */
static bool trim(void)
{
	assert_int_equal(tl_vm_trim(vm), TL_OK);
	return true;
}

static bool make_ring(void)
{
	struct tl_ring *ring = tl_ring_create(2, 64);

	if (ring)
		tl_ring_destroy(ring);
	return ring != NULL;
}

/* The VM keeps one transaction's page; a second one at the same time needs its own. */
static bool two_transactions(void)
{
	struct tl_edit *first = tl_map_edit(vm), *second = first ? tl_map_edit(vm) : NULL;

	if (second)
		tl_map_discard(second);
	if (first)
		tl_map_discard(first);
	return second != NULL;
}

static bool (*const scenario[])(void) = {
	create,       add_reader,   add_memory,    add_small,    touch_memory,       fetch_memory,
	touch_rom,    touch_device, touch_small,   touch_hole,   invalidate,         invalidate,
	invalidate,   invalidate,   invalidate,    invalidate,   touch_small,        invalidate,
	move_device,  touch_device, narrow_memory, touch_memory, invalidate,         protect_memory,
	invalidate,   touch_rom,    touch_memory,  invalidate,   device_over_memory, touch_again,
	remove_small, trim,         touch_again,   make_ring,    two_transactions,   touch_device,
	invalidate,   invalidate,   invalidate,    invalidate,   invalidate,
};

enum { NR_STEPS = sizeof(scenario) / sizeof(scenario[0]) };

/* ---- What was there before ---- */

static const gpa_t looked_at[] = {RAM_AT,
				  RAM_AT + MIB2,
				  RAM_AT + MIB2 + 5 * PAGE_SIZE,
				  ROM_AT,
				  DEVICE_AT,
				  DEVICE_AT + PAGE_SIZE,
				  SMALL_AT + 0x1800,
				  200 * GIB,
				  GIB + DEVICE_AT};

enum { NR_LOOKS = sizeof(looked_at) / sizeof(looked_at[0]) };

struct before {
	const struct map *map;
	uint64_t generation, publications, commits, invalidations;
	uint32_t nr_places;
	unsigned added, released;
	struct view view[NR_LOOKS];
};

static void look(struct before *before)
{
	*before = (struct before){.added = nr_added, .released = nr_released};
	if (!vm)
		return;
	before->map = map_now();
	before->generation = map_now()->generation;
	before->publications = atomic_load(&vm->publications);
	before->commits = vm->commits;
	before->invalidations = vm->invalidations;
	before->nr_places = map_now()->nr_places;
	for (unsigned i = 0; i < NR_LOOKS; i++)
		before->view[i] = view_of(looked_at[i]);
}

static void expect_as_before(const struct before *before)
{
	struct before now;

	look(&now);
	assert_ptr_equal(now.map, before->map);
	assert_int_equal(now.generation, before->generation);
	assert_int_equal(now.publications, before->publications);
	assert_int_equal(now.commits, before->commits);
	assert_int_equal(now.invalidations, before->invalidations);
	assert_int_equal(now.nr_places, before->nr_places);
	assert_int_equal(now.added, before->added);
	assert_int_equal(now.released, before->released);
	for (unsigned i = 0; vm && i < NR_LOOKS; i++)
		assert_true(views_agree(now.view[i], before->view[i]));
}

/* Failures of the last play, and how many of its steps were refused. */
static size_t nr_failed;
static unsigned nr_refused;

static void memory_is_back(void)
{
	nr_failed += hosted.failed;
	hosted_fail_at(0);
}

/* The scenario with the allocation of that number failing. */
static void play(size_t failing, bool for_good, unsigned at_hand)
{
	hosted_start();
	mmu_cpu.large_executable = false;
	vm = NULL;
	nr_added = nr_released = nr_refused = 0;
	nr_failed = 0;
	hosted.fails_from_there_on = for_good;
	hosted_fail_at(failing);
	for (unsigned i = 0; i < NR_STEPS; i++) {
		size_t failed_before = hosted.failed;
		struct before before;

		look(&before);
		if (!scenario[i]()) {
			assert_true(hosted.failed > failed_before);
			nr_refused++;
			expect_as_before(&before);
			memory_is_back();
			assert_true(scenario[i]());
		}
		if (i == 0)
			vm->ept_pages_at_hand = at_hand;
	}
	memory_is_back();
	/* A wrap that was owed is paid by the next commit that has memory. */
	assert_true(invalidate());
	assert_true(map_now()->stamping);
	assert_int_equal(map_now()->nr_places, 4);
	assert_true(touch(DEVICE_AT + GIB, MMU_READ));
	assert_int_equal(view_of(DEVICE_AT + GIB).kind, VIEW_MMIO);
	grace_reader_remove(&reader);
	vm_stop();
	assert_int_equal(nr_released, nr_added);
	assert_int_equal(nr_added, 4 + NR_SMALL);
}

static void every_allocation_fails_in_turn(void **context)
{
	static const unsigned at_hand[] = {0, 7};

	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		unsigned refused = 0, borne = 0;
		size_t failing = 1;

		for (;; failing++) {
			play(failing, i & 1, at_hand[i / 2]);
			if (!nr_failed)
				break;
			refused += nr_refused;
			borne += !nr_refused;
		}
		print_message("%zu allocations%s, %u pages at hand: %u refusals, %u failures that were no refusal\n",
			      failing - 1, i & 1 ? " and those that follow" : "", at_hand[i / 2], refused, borne);
		assert_true(refused > 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_in_turn)};

	/* A wait that never ends is a failure, too. */
	alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
