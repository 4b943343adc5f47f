/* SPDX-License-Identifier: MIT */
/* The EPT's tables: every level, every state on the way, and pages that are missing. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "tests/unit/ept_view.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define GIB             EPT_SPAN(3)

static void an_empty_ept(void **context)
{
	static const gpa_t gpas[] = {0, 0x1000, GIB - 1, BIT(39), BIT(47), BIT(48) - 1};

	(void)context;
	assert_int_equal(vm->nr_ept_pages, 1);
	for (size_t i = 0; i < COUNT_OF(gpas); i++) {
		struct ept_walk walk;

		ept_walk(vm, gpas[i], &walk);
		assert_ptr_equal(walk.slot, &vm->root[gpas[i] >> 39]);
		assert_int_equal(walk.entry, 0);
		assert_int_equal(walk.level, 4);
		assert_false(walk.malformed);
	}
	assert_int_equal(ept_count_mmio(vm), 0);
	ept_zap_mmio(vm);
	ept_zap_present(vm, 0, BIT(48) - 1);
}

/* From nothing to an entry at each level, memory and MMIO, anywhere in the address space. */
static void installs_at_every_level(void **context)
{
	static const gpa_t gpas[] = {0, 0x7fedcba98000, BIT(48) - PAGE_SIZE, BIT(39) + GIB + EPT_SPAN(2) + PAGE_SIZE};

	(void)context;
	for (size_t i = 0; i < COUNT_OF(gpas); i++)
		for (unsigned level = 1; level <= 3; level++)
			for (unsigned is_mmio = 0; is_mmio < 2; is_mmio++) {
				ept_entry_t entry = is_mmio ? mmio_spte_make(5, 77) : leaf(GIB, level);
				gpa_t first = gpas[i] & ~(EPT_SPAN(level) - 1);
				struct ept_walk walk, again;

				ept_walk(vm, gpas[i], &walk);
				assert_int_equal(ept_install(vm, gpas[i], &walk, level, entry), EPT_INSTALLED);
				/* The walk has moved along to where the entry is. */
				ept_walk(vm, gpas[i], &again);
				assert_ptr_equal(walk.slot, again.slot);
				assert_int_equal(walk.entry, again.entry);
				assert_int_equal(walk.level, again.level);
				assert_int_equal(again.entry, entry);
				assert_int_equal(again.level, level);
				assert_false(again.malformed);
				assert_int_equal(vm->nr_ept_pages, 1 + 4 - level);
				assert_int_equal(ept_count_mmio(vm), is_mmio);
				ept_walk(vm, first + (EPT_SPAN(level) - 1), &again);
				assert_ptr_equal(again.slot, walk.slot);
				ept_walk(vm, (first + EPT_SPAN(level)) & (BIT(48) - 1), &again);
				assert_ptr_not_equal(again.slot, walk.slot);
				assert_int_equal(again.entry, 0);
				/* An EPT as new for the next case. */
				start_over();
			}
}

/* Addresses around the one that a change is about, and what may be seen there while it goes on. */
enum { NR_WATCHED = 9 };
static gpa_t watched[NR_WATCHED];
static struct view old_views[NR_WATCHED], new_views[NR_WATCHED];
static unsigned nr_looks;

static void watch(gpa_t target)
{
	const gpa_t gpas[NR_WATCHED] = {
		target,
		target - PAGE_SIZE,
		target + PAGE_SIZE,
		target | 0x1ff000,
		target & ~0x1fffffull,
		target ^ EPT_SPAN(2),
		target | 0x3ffff000,
		target & ~0x3fffffffull,
		target ^ GIB,
	};

	for (unsigned i = 0; i < NR_WATCHED; i++) {
		watched[i] = gpas[i];
		old_views[i] = view_of(gpas[i]);
	}
}

static void look(void)
{
	for (unsigned i = 0; i < NR_WATCHED; i++) {
		struct view now = view_of(watched[i]);
		/* An MMIO entry that is gone says nothing: the map is searched again. */
		bool forgotten = now.kind == VIEW_EMPTY && old_views[i].kind == VIEW_MMIO;

		assert_true(forgotten || views_agree(now, old_views[i]) || views_agree(now, new_views[i]));
	}
	nr_looks++;
}

/*
 * Changes one 4 KiB page under a large leaf and looks at every state on the way: before each table is linked, and after
 * the last one is, by an installation that changes nothing.
 */
static void splitting_keeps_every_other_page(void **context)
{
	const gpa_t target = 5 * GIB + 0x12345000;

	(void)context;
	for (unsigned from = 2; from <= 3; from++)
		for (unsigned to = 1; to < from; to++) {
			gpa_t first = target & ~(EPT_SPAN(to) - 1);
			hpa_t old_hpa = 3 * GIB + (first & (EPT_SPAN(from) - 1));
			ept_entry_t part = leaf(old_hpa, to);
			struct view changed = {VIEW_MEMORY, to, 0x35, GIB + (target & (EPT_SPAN(to) - 1))};

			assert_int_equal(install(target, from, leaf(3 * GIB, from)), EPT_INSTALLED);
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - from);
			watch(target);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				new_views[i] = old_views[i];
			nr_looks = 0;
			hosted.on_alloc = look;
			assert_int_equal(install(target, to, part), EPT_INSTALLED);
			hosted.on_alloc = NULL;
			assert_int_equal(nr_looks, from - to);
			look();
			assert_int_equal(view_of(target).level, to);
			/* And then the page itself: write and execute rights go, the address changes. */
			for (unsigned i = 0; i < NR_WATCHED; i++)
				if ((watched[i] & ~(EPT_SPAN(to) - 1)) == first) {
					new_views[i] = changed;
					new_views[i].hpa = GIB + (watched[i] & (EPT_SPAN(to) - 1));
				}
			assert_int_equal(install(target, to, (leaf(GIB, to) & ~EPT_WRITE)), EPT_INSTALLED);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				assert_true(views_agree(view_of(watched[i]), new_views[i]));
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - to);
			start_over();
		}
}

/* All 512 parts, at both levels: address, rights, type, and the large bit where it belongs. */
static void check_parts(ept_entry_t rights, ept_entry_t page, ept_entry_t small_rights)
{
	assert_int_equal(install(0, 3, (2 * GIB) | EPT_LARGE | rights), EPT_INSTALLED);
	assert_int_equal(install(EPT_SPAN(2), 1, page), EPT_INSTALLED);
	for (gpa_t gpa = 0; gpa < GIB; gpa += EPT_SPAN(2)) {
		struct ept_walk walk;

		ept_walk(vm, gpa, &walk);
		if (gpa == EPT_SPAN(2))
			continue;
		assert_int_equal(walk.level, 2);
		assert_int_equal(walk.entry, (2 * GIB + gpa) | EPT_LARGE | rights);
	}
	for (gpa_t gpa = EPT_SPAN(2) + PAGE_SIZE; gpa < 2 * EPT_SPAN(2); gpa += PAGE_SIZE) {
		struct ept_walk walk;

		ept_walk(vm, gpa, &walk);
		assert_int_equal(walk.level, 1);
		assert_int_equal(walk.entry, (2 * GIB + gpa) | small_rights);
	}
	start_over();
}

static void splitting_makes_the_right_parts(void **context)
{
	const ept_entry_t rights = EPT_READ | EPT_EXECUTE | EPT_TYPE_UC | EPT_IGNORE_PAT;

	(void)context;
	check_parts(rights, leaf(0, 1) | EPT_FLAGS, rights);
	check_parts(rights | EPT_FLAGS, leaf(0, 1) | EPT_FLAGS, rights | EPT_FLAGS);
	/* Of pages whose writes the CPU notes every one may be written; of larger parts none. */
	check_parts(rights | EPT_FLAGS, leaf(0, 1) | EPT_ACCESSED, rights | EPT_WRITE | EPT_ACCESSED);
	check_parts(rights, leaf(0, 1) & ~EPT_WRITE, rights);
}

/* Below a large MMIO entry the rest becomes empty, and is searched again: no MMIO entry is multiplied. */
static void mmio_entries_are_not_split(void **context)
{
	const gpa_t target = 7 * GIB + 0x23456000;

	(void)context;
	assert_int_equal(install(target, 3, mmio_spte_make(9, 9)), EPT_INSTALLED);
	watch(target);
	for (unsigned i = 0; i < NR_WATCHED; i++)
		new_views[i] = (struct view){.kind = VIEW_EMPTY};
	new_views[0] = (struct view){VIEW_MEMORY, 1, 0x37, GIB};
	nr_looks = 0;
	hosted.on_alloc = look;
	assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(nr_looks, 2);
	look();
	assert_int_equal(ept_count_mmio(vm), 0);
	assert_true(views_agree(view_of(target), new_views[0]));
}

static void out_of_pages(void **context)
{
	const gpa_t target = 3 * GIB + 0x3ff000;

	(void)context;
	for (unsigned from = 2; from <= 4; from++)
		for (unsigned failing = 1; failing < from; failing++) {
			if (from < 4)
				assert_int_equal(install(target, from, leaf(2 * GIB, from)), EPT_INSTALLED);
			watch(target);
			for (unsigned i = 0; i < NR_WATCHED; i++)
				new_views[i] = old_views[i];
			hosted_fail_at(failing);
			assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
			assert_int_equal(hosted.failed, 1);
			hosted_fail_at(0);
			look();
			/* What was made stays and serves the next attempt. */
			assert_int_equal(vm->nr_ept_pages, 1 + 4 - from + failing - 1);
			assert_int_equal(install(target, 1, leaf(GIB, 1)), EPT_INSTALLED);
			assert_int_equal(vm->nr_ept_pages, 4);
			start_over();
		}
}

static void the_limit_of_pages(void **context)
{
	(void)context;
	vm->max_ept_pages = 6;
	assert_int_equal(install(0, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(install(GIB, 1, leaf(GIB, 1)), EPT_INSTALLED);
	assert_int_equal(vm->nr_ept_pages, 6);
	assert_int_equal(install(2 * GIB, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
	assert_int_equal(vm->nr_ept_pages, 6);
	assert_int_equal(install(2 * GIB, 3, leaf(GIB, 3)), EPT_INSTALLED);
	vm->max_ept_pages = 7;
	assert_int_equal(install(2 * GIB, 1, leaf(GIB, 1)), EPT_NO_MEMORY);
	assert_int_equal(vm->nr_ept_pages, 7);
	assert_int_equal(view_of(2 * GIB).level, 2);
	assert_int_equal(view_of(2 * GIB + 0x123456).hpa, GIB + 0x123456);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_ept),
		TEST(installs_at_every_level),
		TEST(splitting_keeps_every_other_page),
		TEST(splitting_makes_the_right_parts),
		TEST(mmio_entries_are_not_split),
		TEST(out_of_pages),
		TEST(the_limit_of_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
