/* SPDX-License-Identifier: MIT */
/* Installations that lose a race, and zaps that meet them. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "tests/unit/ept_view.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define GIB             EPT_SPAN(3)

/* Somebody else's entry, put where the walk ended before the installation gets there. */
static ept_slot_t *raced_slot;
static ept_entry_t raced_entry;
static size_t race_at;
static unsigned nr_looks;

static void race(void)
{
	if (++nr_looks == race_at)
		atomic_store(raced_slot, raced_entry);
}

static void a_lost_race_leaks_nothing(void **context)
{
	const ept_entry_t others[] = {leaf(2 * GIB, 1), mmio_spte_make(3, 4)};

	(void)context;
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		struct ept_walk walk;
		size_t pages;

		/* Between the walk and the last compare-and-exchange. */
		assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
		ept_walk(vm, 0, &walk);
		atomic_store(walk.slot, others[i]);
		pages = vm->nr_ept_pages;
		assert_int_equal(ept_install(vm, 0, &walk, 1, leaf(4 * GIB, 1)), EPT_RACED);
		assert_int_equal(atomic_load(walk.slot), others[i]);
		assert_int_equal(vm->nr_ept_pages, pages);
		/* While a table is made, at each level: it goes back, and the other's entry stays. */
		for (unsigned level = 4; level > 1; level--) {
			gpa_t gpa = BIT(40) + GIB * level;
			ept_entry_t other = others[i] | (is_mmio_spte(others[i]) ? 0 : EPT_LARGE);

			if (level < 4)
				assert_int_equal(install(gpa, level, level == 2 ? 0 : mmio_spte_make(1, 1)),
						 EPT_INSTALLED);
			ept_walk(vm, gpa, &walk);
			assert_int_equal(walk.level, level);
			raced_slot = walk.slot;
			raced_entry = other;
			race_at = 1;
			nr_looks = 0;
			hosted.on_alloc = race;
			pages = vm->nr_ept_pages;
			assert_int_equal(ept_install(vm, gpa, &walk, 1, leaf(0, 1)), EPT_RACED);
			hosted.on_alloc = NULL;
			assert_int_equal(vm->nr_ept_pages, pages);
			assert_int_equal(atomic_load(raced_slot), other);
			atomic_store(raced_slot, 0);
		}
		start_over();
	}
}

/* The CPU sets accessed and dirty flags by itself: an entry that is a little different is a race, too. */
static void a_dirty_flag_is_a_race(void **context)
{
	struct ept_walk walk;

	(void)context;
	assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
	ept_walk(vm, 0, &walk);
	atomic_fetch_or(walk.slot, EPT_DIRTY | EPT_ACCESSED);
	assert_int_equal(ept_install(vm, 0, &walk, 1, leaf(2 * GIB, 1)), EPT_RACED);
	ept_zap_present(vm, 0, 0);
	assert_int_equal(atomic_load(walk.slot), 0);
}

/* ---- A leaf is split by one CPU while another zaps it ---- */

enum { MOST_RACES = 20000 };

/* The number of the race that may begin, that has begun, that is over. */
static _Atomic unsigned race_ready, race_begun, race_over;
static _Atomic bool split_first;

/* The splitter has its walk, and asks for a page to put the parts into. */
static void begin_race(void)
{
	atomic_store(&race_begun, atomic_load(&race_ready));
}

static void *split_leaves(void *context)
{
	(void)context;
	for (unsigned i = 1; i <= MOST_RACES; i++) {
		gpa_t gpa = i * EPT_SPAN(2) + PAGE_SIZE;
		struct ept_walk walk;

		while (atomic_load(&race_ready) < i)
			;
		if (atomic_load(&race_ready) > MOST_RACES)
			break;
		ept_walk(vm, gpa, &walk);
		ept_install(vm, gpa, &walk, 1, leaf(0, 1));
		atomic_store(&split_first, walk.level == 1);
		atomic_store(&race_over, i);
	}
	return NULL;
}

static size_t count_tables(ept_slot_t *table, unsigned level)
{
	size_t count = 1;

	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++) {
		ept_entry_t entry = atomic_load(&table[i]);

		if (ept_is_table(entry, level))
			count += count_tables(phys_to_host(entry & EPT_ADDRESS), level - 1);
	}
	return count;
}

/* Whoever is first: nothing is left that translates, and no table is lost. */
static void a_zap_meets_a_split(void **context)
{
	unsigned nr_split = 0, races = 0;
	uint64_t aim = 1000;
	time_t end = time(NULL) + 3;
	pthread_t splitter;

	(void)context;
	vm->max_ept_pages = 2 * MOST_RACES;
	assert_int_equal(pthread_create(&splitter, NULL, split_leaves, NULL), 0);
	for (unsigned i = 1; i <= MOST_RACES && time(NULL) < end; i++) {
		gpa_t gpa = i * EPT_SPAN(2);
		uint64_t start, wait = aim + random_below(64);

		assert_int_equal(install(gpa, 2, leaf(gpa, 2)), EPT_INSTALLED);
		hosted.on_alloc = begin_race;
		atomic_store(&race_ready, i);
		while (atomic_load(&race_begun) != i)
			;
		for (start = __builtin_ia32_rdtsc(); __builtin_ia32_rdtsc() - start < wait;)
			;
		ept_zap_present(vm, gpa, gpa + (EPT_SPAN(2) - 1));
		while (atomic_load(&race_over) != i)
			;
		hosted.on_alloc = NULL;
		assert_int_equal(view_of(gpa).kind, VIEW_EMPTY);
		assert_int_equal(view_of(gpa + PAGE_SIZE).kind, VIEW_EMPTY);
		/* Nearer to where it was decided this time. */
		aim += atomic_load(&split_first) ? (aim < 32 ? 0 : -32ull) : 32;
		nr_split += atomic_load(&split_first);
		races++;
	}
	atomic_store(&race_ready, MOST_RACES + 1);
	pthread_join(splitter, NULL);
	print_message("%u races, %u leaves split first\n", races, nr_split);
	assert_int_equal(count_tables(vm->root, EPT_LEVELS), vm->nr_ept_pages);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lost_race_leaks_nothing),
		TEST(a_dirty_flag_is_a_race),
		TEST(a_zap_meets_a_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
