/* SPDX-License-Identifier: MIT */
/* Tables that only MMIO ranges needed that are gone: how many stand at most, who takes them away, and what stays. */
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vcpu_fixture.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB2 EPT_SPAN(2)
#define GIB  EPT_SPAN(3)

enum { CHANGES = 4000, LIVE_DEVICES = 40 };

static struct grace_reader reader;

static int start(void **context)
{
	struct tl_vm_config config = {.mmio_level = 1, .first_generation = 1};

	(void)context;
	vm_start(&config);
	reader = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&reader, vm);
	return 0;
}

static int stop(void **context)
{
	grace_reader_remove(&reader);
	return vm_teardown(context);
}

/* What a vCPU does at its next exit after a commit. */
static void pass_round(void)
{
	grace_enter(&reader, 0);
	if (vm_has_gone_tables(vm))
		vm_collect_gone(vm, &reader);
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader, 0);
}

static tl_range_id add_touched(gpa_t at)
{
	tl_range_id id = range_add(mmio_range(at, PAGE_SIZE));

	expect_mmio(at, MMU_READ, id, id, 1);
	return id;
}

/* Small devices come, are used and go, each at a place of its own: what they leave does not add up. */
static void what_small_ranges_leave_is_bounded(void **context)
{
	size_t most = 0;

	(void)context;
	random_seed(11);
	for (unsigned i = 0; i < CHANGES; i++) {
		tl_range_id id = add_touched(random_below(500) * GIB + random_below(512) * MIB2);

		if (i & 1)
			assert_int_equal(range_move(id, random_below(500) * GIB), TL_OK);
		assert_int_equal(range_remove(id), TL_OK);
		pass_round();
		most = vm->nr_ept_pages > most ? vm->nr_ept_pages : most;
	}
	/* And the root, and the one table below it. */
	assert_true(most <= VM_MOST_GONE_TABLES + 2);
	assert_true(vm->tables_freed > CHANGES);
	print_message("%u ranges left at most %lu tables\n", (unsigned)CHANGES, (unsigned long)most);
}

/* A large one, every page of it used, goes at once. */
static void a_large_range_leaves_nothing(void **context)
{
	tl_range_id id = range_add(mmio_range(GIB, 2 * GIB));

	(void)context;
	for (gpa_t gpa = GIB; gpa < 3 * GIB; gpa += MIB2)
		expect_mmio(gpa, MMU_READ, id, id, 1);
	assert_int_equal(vm->nr_ept_pages, 2 + 2 + 1024);
	assert_int_equal(range_resize(id, PAGE_SIZE), TL_OK);
	pass_round();
	/* The way to the page that is left. */
	assert_int_equal(vm->nr_ept_pages, 4);
	expect_mmio(GIB, MMU_READ, id, id, 1);
	assert_int_equal(hosted.nr_flushes > 0, 1);
}

/* Devices that live on among those that go keep their entries. */
static void live_entries_stay(void **context)
{
	tl_range_id live[LIVE_DEVICES], large = range_add(mmio_range(200 * MIB2, 2 * MIB2));
	uint64_t gone;

	(void)context;
	expect_mmio(201 * MIB2, MMU_READ, large, large, 1);
	for (unsigned i = 0; i < LIVE_DEVICES; i++)
		live[i] = add_touched(i * 3 * MIB2);
	gone = mmio_entries_gone();
	for (unsigned n = 0; n < 200; n++) {
		assert_int_equal(range_remove(add_touched((n % LIVE_DEVICES) * 3 * MIB2 + MIB2)), TL_OK);
		assert_int_equal(range_remove(add_touched(300 * MIB2)), TL_OK);
		pass_round();
	}
	assert_true(mmio_entries_gone() > gone + 100);
	assert_int_equal(walk_to(201 * MIB2).entry, mmio_spte_make(large, tag_of(large)));
	for (unsigned i = 0; i < LIVE_DEVICES; i++)
		assert_int_equal(walk_to(i * 3 * MIB2).entry, mmio_spte_make(live[i], tag_of(live[i])));
}

/* Without a page to note it on, the next vCPU does it. */
static void is_done_later_without_memory(void **context)
{
	tl_range_id id = range_add(mmio_range(0, GIB));
	struct tl_edit *edit;

	(void)context;
	for (gpa_t gpa = 0; gpa < GIB; gpa += MIB2)
		expect_mmio(gpa, MMU_READ, id, id, 1);
	assert_int_equal(range_remove(id), TL_OK);
	edit = tl_map_edit(vm);
	hosted_fail_at(1);
	pass_round();
	assert_int_equal(vm->nr_ept_pages, 3 + 512);
	tl_map_discard(edit);
	pass_round();
	assert_int_equal(vm->nr_ept_pages, 1);
}

/* It is a vCPU between two guests that does it, also one that was outside when the range went. */
static void by_a_vcpu(void **context)
{
	tl_range_id id = range_add(mmio_range(4 * GIB, 2 * GIB));
	uint64_t flush;
	size_t before;

	(void)context;
	grace_leave(&guest_vcpu->reader, 0);
	expect_mmio(4 * GIB, MMU_READ, id, id, 3);
	expect_mmio(5 * GIB, MMU_READ, id, id, 3);
	assert_int_equal(range_resize(id, 2 * GIB - PAGE_SIZE), TL_OK);
	expect_mmio(6 * GIB - 2 * PAGE_SIZE, MMU_READ, id, id, 1);
	flush = vm->flush_number;
	assert_int_equal(range_remove(id), TL_OK);
	/* Entering, it looks at nothing else. */
	assert_int_equal(vm->flush_number, flush + 1);
	before = vm->nr_ept_pages;
	tl_vcpu_kick(guest_vcpu);
	assert_int_equal(tl_vcpu_run(guest_vcpu, &vcpu_left), TL_OK);
	assert_int_equal(vcpu_left.reason, TL_EXIT_KICKED);
	assert_int_equal(vm->nr_ept_pages, before - 2);
	grace_enter(&guest_vcpu->reader, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_small_ranges_leave_is_bounded),
		TEST(a_large_range_leaves_nothing),
		TEST(live_entries_stay),
		TEST(is_done_later_without_memory),
		cmocka_unit_test_setup_teardown(by_a_vcpu, vcpu_start, vcpu_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
