/* SPDX-License-Identifier: MIT */
/* The map: what it refuses, edit by edit, and what an edit may rely on. */
#include "mmu/hooks.h"
#include "mmu/map.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A refused commit has published nothing, and what was published is as it was. */
static void check_unchanged(const struct map *map, const struct map *copy)
{
	assert_ptr_equal(map_now(), map);
	assert_memory_equal(map, copy, sizeof(*map));
}

static void an_empty_map_is_a_hole(void **context)
{
	const struct map *map = map_now();
	gpa_t first, last;

	(void)context;
	assert_int_equal(map_find(map, 0)->id, TL_HOLE);
	assert_int_equal(map_find(map, BIT(39) - 1)->id, TL_HOLE);
	assert_int_equal(map_find(map, ~0ull)->id, TL_HOLE);
	assert_int_equal(map_find_extent(map, 0x1234, &first, &last)->id, TL_HOLE);
	assert_int_equal(first, 0);
	assert_int_equal(last, BIT(39) - 1);
	assert_null(map_host(map, 0));
	assert_null(map_host(map, ~0ull));
	/* An edit of nothing is one, too. */
	assert_int_equal(tl_map_commit(tl_map_edit(vm)), TL_OK);
}

static void refuses_what_an_addition_shows_by_itself(void **context)
{
	const struct {
		struct tl_range range;
		enum tl_status status;
	} cases[] = {
		{mmio_range(0, 0), TL_INVALID_ARGUMENT},
		{mmio_range(0 - PAGE_SIZE, PAGE_SIZE + 1), TL_WRAPS},
		{mmio_range(1, ~0ull), TL_TOO_HIGH},
		{mmio_range(2, ~0ull), TL_WRAPS},
		{mmio_range(0 - PAGE_SIZE, PAGE_SIZE), TL_TOO_HIGH},
		{mmio_range(BIT(39), 1), TL_TOO_HIGH},
		{mmio_range(BIT(39) - 1, 2), TL_TOO_HIGH},
		{mmio_range(BIT(39) - 1, 1), TL_OK},
		{ram_range(1, PAGE_SIZE), TL_UNALIGNED},
		{ram_range(PAGE_SIZE, 2), TL_UNALIGNED},
		{ram_range(BIT(39), PAGE_SIZE), TL_TOO_HIGH},
		{{.kind = TL_RANGE_RAM, .size = PAGE_SIZE}, TL_INVALID_ARGUMENT},
		{{.kind = TL_RANGE_ROM, .size = PAGE_SIZE}, TL_INVALID_ARGUMENT},
		{{.kind = TL_RANGE_RAM, .size = PAGE_SIZE, .host = hosted_memory(8)}, TL_UNALIGNED},
		{{.kind = TL_RANGE_MMIO, .size = PAGE_SIZE, .host = hosted_memory(0)}, TL_INVALID_ARGUMENT},
		{{.kind = (enum tl_range_kind)3, .size = PAGE_SIZE}, TL_INVALID_ARGUMENT},
		{{.kind = (enum tl_range_kind) - 1, .size = PAGE_SIZE}, TL_INVALID_ARGUMENT},
		{{.kind = TL_RANGE_RAM, .size = PAGE_SIZE, .host = phys_to_host(BIT(39) - PAGE_SIZE)},
		 TL_RAM_AT_L1TF_TARGET},
		{{.kind = TL_RANGE_ROM, .size = BIT(33), .host = phys_to_host(BIT(40) - BIT(33))},
		 TL_RAM_AT_L1TF_TARGET},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tl_edit *edit = tl_map_edit(vm);
		const struct map *before = map_now();
		struct map copy = *before;

		if (tl_map_add(edit, &cases[i].range, NULL) != cases[i].status)
			fail_msg("case %zu", i);
		/* It left the transaction as it was: an empty one. */
		tl_map_discard(edit);
		check_unchanged(before, &copy);
	}
}

static void refuses_ids_that_are_no_range(void **context)
{
	static const tl_range_id never[] = {TL_HOLE, MAP_SHARED_ID};
	static const tl_range_id late[] = {MAP_FIRST_ID, 63, 64, MMIO_MAX_ID, MMIO_MAX_ID + 1, UINT32_MAX};

	(void)context;
	for (size_t i = 0; i < 2; i++) {
		struct tl_edit *edit = tl_map_edit(vm);

		assert_int_equal(tl_map_remove(edit, never[i]), TL_NO_RANGE);
		assert_int_equal(tl_map_move(edit, never[i], 0), TL_NO_RANGE);
		assert_int_equal(tl_map_resize(edit, never[i], 1), TL_NO_RANGE);
		tl_map_discard(edit);
	}
	for (size_t i = 0; i < sizeof(late) / sizeof(late[0]); i++) {
		struct tl_edit *edit = tl_map_edit(vm);

		assert_int_equal(tl_map_remove(edit, late[i]), TL_OK);
		assert_int_equal(tl_map_commit(edit), TL_NO_RANGE);
		assert_int_equal(range_move(late[i], 0), TL_NO_RANGE);
		assert_int_equal(range_resize(late[i], 1), TL_NO_RANGE);
	}
}

static void refuses_what_does_not_fit(void **context)
{
	tl_range_id ram = range_add(ram_range(0, 4 * PAGE_SIZE));
	tl_range_id device = range_add(mmio_range(0x10010, 0x20));
	tl_range_id last = range_add(mmio_range(BIT(39) - 0x10, 0x10));
	const struct map *before = map_now();
	struct map copy = *before;

	(void)context;
	assert_int_equal(range_try(mmio_range(0x1002f, 1)), TL_OVERLAP);
	assert_int_equal(range_try(mmio_range(0x1000f, 2)), TL_OVERLAP);
	assert_int_equal(range_try(mmio_range(0x10000, 0x1000)), TL_OVERLAP);
	assert_int_equal(range_try(mmio_range(0x10018, 1)), TL_OVERLAP);
	assert_int_equal(range_move(device, PAGE_SIZE), TL_OVERLAP);
	assert_int_equal(range_move(device, 0 - 0x10ull), TL_WRAPS);
	assert_int_equal(range_move(device, BIT(39) - 0x1f), TL_TOO_HIGH);
	assert_int_equal(range_move(device, BIT(39) - 0x20), TL_OVERLAP);
	assert_int_equal(range_move(ram, 0x100), TL_UNALIGNED);
	assert_int_equal(range_resize(ram, 0x100), TL_UNALIGNED);
	assert_int_equal(range_resize(ram, 0x11000), TL_OVERLAP);
	assert_int_equal(range_resize(device, ~0ull), TL_WRAPS);
	assert_int_equal(range_resize(last, 0x11), TL_TOO_HIGH);
	assert_int_equal(range_resize(device, BIT(39) - 0x10010), TL_OVERLAP);
	check_unchanged(before, &copy);
	/* Up to the very next byte is fine, and onto itself. */
	assert_int_equal(range_try(mmio_range(0x10000, 0x10)), TL_OK);
	assert_int_equal(range_try(mmio_range(0x10030, 1)), TL_OK);
	assert_int_equal(range_move(ram, PAGE_SIZE), TL_OK);
	assert_int_equal(range_move(ram, 0), TL_OK);
	assert_int_equal(range_resize(device, 0x20), TL_OK);
}

/* RAM that would grow onto the L1TF target: host-physical 1 GiB + size reaches 508 GiB. */
static void refuses_ram_that_grows_too_far(void **context)
{
	tl_range_id ram = range_add(ram_range(0, PAGE_SIZE));

	(void)context;
	assert_int_equal(range_resize(ram, (507ull << 30) + PAGE_SIZE), TL_RAM_AT_L1TF_TARGET);
	assert_int_equal(range_resize(ram, 507ull << 30), TL_OK);
}

/* What an id names in a transaction is what it named when the transaction began. */
static void an_id_removed_stays_removed_in_its_transaction(void **context)
{
	tl_range_id id = range_add(mmio_range(0x1000, 0x1000)), new = TL_HOLE;
	struct tl_range range = mmio_range(0x5000, 0x1000);
	struct tl_edit *edit = tl_map_edit(vm);

	(void)context;
	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	assert_int_equal(tl_map_add(edit, &range, &new), TL_OK);
	assert_int_equal(tl_map_move(edit, id, 0x9000), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_NO_RANGE);
	assert_int_equal(map_find(map_now(), 0x1000)->id, id);
	/* Once the slot is free it serves again, so ids stay small. */
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(range_add(range), id);
}

static void a_bar_moves_in_one_transaction(void **context)
{
	tl_range_id a = range_add(mmio_range(0x1000, 0x1000)), b = range_add(mmio_range(0x2000, 0x1000));
	struct tl_edit *edit = tl_map_edit(vm);

	(void)context;
	/* They change places, by way of a third one. */
	assert_int_equal(tl_map_move(edit, a, 0x8000), TL_OK);
	assert_int_equal(tl_map_move(edit, b, 0x1000), TL_OK);
	assert_int_equal(tl_map_move(edit, a, 0x2000), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(map_find(map_now(), 0x1000)->id, b);
	assert_int_equal(map_find(map_now(), 0x2000)->id, a);
	assert_int_equal(map_find(map_now(), 0x8000)->id, TL_HOLE);
}

static void conflicts_are_told_from_mistakes(void **context)
{
	tl_range_id id = range_add(mmio_range(0x1000, 0x1000));
	struct tl_range range = mmio_range(0x1800, 1), other = mmio_range(0x5000, 1);
	struct tl_edit *mine = tl_map_edit(vm), *late = tl_map_edit(vm), *fits = tl_map_edit(vm), *theirs;

	(void)context;
	/* A mistake while nobody else published is what it is. */
	assert_int_equal(range_try(range), TL_OVERLAP);
	assert_int_equal(tl_map_add(mine, &other, NULL), TL_OK);
	assert_int_equal(tl_map_resize(late, id, 0x800), TL_OK);
	assert_int_equal(tl_map_move(fits, id, 0x9000), TL_OK);
	/* Another writer takes the place. */
	assert_int_equal(range_try(mmio_range(0x4fff, 0x100)), TL_OK);
	assert_int_equal(tl_map_commit(mine), TL_CONFLICT);
	/* What still fits is no conflict. */
	assert_int_equal(tl_map_commit(fits), TL_OK);
	theirs = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(theirs, id), TL_OK);
	assert_int_equal(tl_map_commit(theirs), TL_OK);
	assert_int_equal(tl_map_commit(late), TL_CONFLICT);
}

/* More ranges than the first map has room for, more edits than a page has. */
static void grows(void **context)
{
	enum { NR = 3000 };
	static tl_range_id ids[NR];
	struct tl_edit *edit = tl_map_edit(vm);

	(void)context;
	for (unsigned i = 0; i < NR; i++) {
		struct tl_range range = mmio_range(0x100000 + 0x2000ull * i, 0x1000);

		assert_int_equal(tl_map_add(edit, &range, &ids[i]), TL_OK);
	}
	assert_int_equal(tl_map_commit(edit), TL_OK);
	for (unsigned i = 0; i < NR; i++) {
		assert_int_equal(map_find(map_now(), 0x100000 + 0x2000ull * i)->id, ids[i]);
		assert_int_equal(map_find(map_now(), 0x101000 + 0x2000ull * i)->id, TL_HOLE);
	}
	edit = tl_map_edit(vm);
	for (unsigned i = 0; i < NR; i += 2)
		assert_int_equal(tl_map_remove(edit, ids[i]), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	for (unsigned i = 0; i < NR; i++)
		assert_int_equal(map_find(map_now(), 0x100000 + 0x2000ull * i)->id, i % 2 ? ids[i] : TL_HOLE);
	/* A discarded transaction of several pages gives them all back: teardown counts. */
	edit = tl_map_edit(vm);
	for (unsigned i = 1; i < NR; i += 2)
		assert_int_equal(tl_map_remove(edit, ids[i]), TL_OK);
	tl_map_discard(edit);
}

/* An edit that finds no memory leaves the transaction as it was; so does a commit the map. */
static void out_of_memory_changes_nothing(void **context)
{
	(void)context;
	for (size_t failing = 1;; failing++) {
		const struct map *before = map_now();
		struct map copy = *before;
		enum tl_status status = TL_OK;
		struct tl_edit *edit;

		hosted_fail_at(failing);
		edit = tl_map_edit(vm);
		if (!edit) {
			check_unchanged(before, &copy);
			continue;
		}
		for (unsigned i = 0; i < 200 && status == TL_OK; i++) {
			struct tl_range range = mmio_range(0x2000ull * i, 1);

			status = tl_map_add(edit, &range, NULL);
		}
		if (status != TL_OK) {
			assert_int_equal(status, TL_NO_MEMORY);
			tl_map_discard(edit);
			check_unchanged(before, &copy);
			continue;
		}
		status = tl_map_commit(edit);
		if (status == TL_OK)
			break;
		assert_int_equal(status, TL_NO_MEMORY);
		check_unchanged(before, &copy);
	}
	assert_int_equal(hosted.failed, 0);
	hosted_fail_at(0);
	assert_int_equal(map_now()->nr_places, 201);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_map_is_a_hole),
		TEST(refuses_what_an_addition_shows_by_itself),
		TEST(refuses_ids_that_are_no_range),
		TEST(refuses_what_does_not_fit),
		TEST(refuses_ram_that_grows_too_far),
		TEST(an_id_removed_stays_removed_in_its_transaction),
		TEST(a_bar_moves_in_one_transaction),
		TEST(conflicts_are_told_from_mistakes),
		TEST(grows),
		TEST(out_of_memory_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
