/* SPDX-License-Identifier: MIT */
/* The map against a naive one, under random transactions. */
#include "mmu/map.h"
#include "tests/unit/hosted.h"
#include "tests/unit/naive_map.h"
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

static struct naive_map naive;
static unsigned nr_committed, nr_refused, nr_conflicts;

/* Commits an edit that was noted against an older map than the present one, if `stale`. */
static void commit_and_compare(struct naive_edit *edit, bool stale)
{
	struct naive_map next = naive, was = naive;
	enum tl_status expected = naive_apply(&next, edit);
	const struct map *before = map_now();
	struct map copy = *before;
	enum tl_status status = tl_map_commit(edit->edit);

	if (expected != TL_OK && stale)
		expected = TL_CONFLICT;
	assert_int_equal(status, expected);
	if (status != TL_OK) {
		nr_refused++;
		nr_conflicts += status == TL_CONFLICT;
		check_unchanged(before, &copy);
		return;
	}
	nr_committed++;
	assert_int_equal(map_now()->generation, copy.generation + 1);
	naive = next;
	naive_place_additions(&naive, edit);
	naive_check_released(&was, &naive);
	naive_compare(&naive, map_now());
}

static void random_transactions(void **context)
{
	(void)context;
	random_seed(2013);
	for (unsigned i = 0; i < 200000; i++) {
		struct naive_edit edit, other;

		naive_random_edit(&naive, vm, &edit);
		if (random_below(8) == 0) {
			unsigned before = nr_committed;

			naive_random_edit(&naive, vm, &other);
			commit_and_compare(&other, false);
			commit_and_compare(&edit, nr_committed != before);
		} else {
			commit_and_compare(&edit, false);
		}
	}
	/* The mixture is worth something only if every kind of end is frequent. */
	print_message("%u committed, %u refused, %u of them conflicts\n", nr_committed, nr_refused, nr_conflicts);
	assert_true(nr_committed > 50000 && nr_refused > 20000 && nr_conflicts > 1000);
}

static int teardown_random(void **context)
{
	static const struct naive_map empty;
	struct naive_map last = naive;

	vm_teardown(context);
	naive_check_released(&last, &empty);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, teardown_random)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(random_transactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
