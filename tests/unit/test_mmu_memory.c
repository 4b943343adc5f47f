/* SPDX-License-Identifier: MIT */
/* Faults on memory: what is mapped, how large, beside MMIO entries, and when something is in the way. */
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIB2            EPT_SPAN(2)
#define GIB             EPT_SPAN(3)

static tl_range_id add_memory(enum tl_range_kind kind, uint64_t start, uint64_t size, uint8_t *host)
{
	return range_add((struct tl_range){.kind = kind, .start = start, .size = size, .host = host});
}

static void ram_is_mapped_as_large_as_it_is_aligned(void **context)
{
	(void)context;
	/* From 2 MiB + 4 KiB below 1 GiB to as much above 2 GiB, in step with the host's addresses. */
	add_memory(TL_RANGE_RAM, GIB - MIB2 - PAGE_SIZE, GIB + 2 * (MIB2 + PAGE_SIZE),
		   hosted_memory(GIB - MIB2 - PAGE_SIZE));
	assert_int_equal(fault(GIB + 0x1234567, MMU_WRITE), MMU_MAPPED);
	expect_leaf(GIB + 0x1234567, 3, EPT_RWX, hosted_memory(GIB + 0x1234567));
	assert_int_equal(fault(GIB - 1, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB - 1, 2, EPT_RWX, hosted_memory(GIB - 1));
	assert_int_equal(fault(GIB - MIB2 - 1, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB - MIB2 - 1, 1, EPT_RWX, hosted_memory(GIB - MIB2 - 1));
	assert_int_equal(fault(2 * GIB, MMU_READ), MMU_MAPPED);
	expect_leaf(2 * GIB, 2, EPT_RWX, hosted_memory(2 * GIB));
	assert_int_equal(fault(2 * GIB + MIB2, MMU_READ), MMU_MAPPED);
	expect_leaf(2 * GIB + MIB2, 1, EPT_RWX, hosted_memory(2 * GIB + MIB2));
	/* The entry is right already. */
	assert_int_equal(fault(GIB, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_SPURIOUS);
	assert_int_equal(fault(GIB, MMU_FETCH), MMU_SPURIOUS);
	assert_int_equal(fault(GIB - MIB2 - PAGE_SIZE - 1, MMU_READ), MMU_SERVE);
}

static void host_memory_out_of_step(void **context)
{
	(void)context;
	/* Off by a page: never large. Off by 2 MiB: never 1 GiB. */
	add_memory(TL_RANGE_RAM, GIB, 2 * GIB, hosted_memory(PAGE_SIZE));
	add_memory(TL_RANGE_RAM, 4 * GIB, 2 * GIB, hosted_memory(MIB2));
	assert_int_equal(fault(GIB + 0x200000, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB + 0x200000, 1, EPT_RWX, hosted_memory(PAGE_SIZE + 0x200000));
	assert_int_equal(fault(5 * GIB, MMU_READ), MMU_MAPPED);
	expect_leaf(5 * GIB, 2, EPT_RWX, hosted_memory(MIB2 + GIB));
}

static void the_cpus_largest_leaf(void **context)
{
	(void)context;
	add_memory(TL_RANGE_RAM, 0, 4 * GIB, hosted_memory(0));
	for (unsigned level = 1; level <= 3; level++) {
		mmu_cpu.ept_level = level;
		assert_int_equal(fault(level * GIB + 0x765432, MMU_READ), MMU_MAPPED);
		expect_leaf(level * GIB + 0x765432, level, EPT_RWX, hosted_memory(level * GIB + 0x765432));
	}
	mmu_cpu.ept_level = 3;
}

/* INTEL-SA-00210: nothing is executed from a large leaf; the page fetched from is split off, and only that. */
static void a_fetch_splits_where_large_leaves_do_not_execute(void **context)
{
	(void)context;
	mmu_cpu.large_executable = false;
	add_memory(TL_RANGE_RAM, 0, 4 * GIB, hosted_memory(0));
	assert_int_equal(fault(GIB + 0x5000, MMU_READ), MMU_MAPPED);
	expect_leaf(GIB + 0x5000, 3, EPT_READ | EPT_WRITE, hosted_memory(GIB + 0x5000));
	assert_int_equal(fault(GIB + 0x5000, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(GIB + 0x5000, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB + 0x5000, 1, EPT_RWX, hosted_memory(GIB + 0x5000));
	expect_leaf(GIB + 0x4000, 1, EPT_READ | EPT_WRITE, hosted_memory(GIB + 0x4000));
	expect_leaf(GIB + MIB2, 2, EPT_READ | EPT_WRITE, hosted_memory(GIB + MIB2));
	assert_int_equal(fault(GIB + 0x4000, MMU_FETCH), MMU_MAPPED);
	expect_leaf(GIB + 0x4000, 1, EPT_RWX, hosted_memory(GIB + 0x4000));
	assert_int_equal(fault(GIB + 0x5000, MMU_FETCH), MMU_SPURIOUS);
	/* With nothing there, the first fetch makes a small one. */
	assert_int_equal(fault(2 * GIB, MMU_FETCH), MMU_MAPPED);
	expect_leaf(2 * GIB, 1, EPT_RWX, hosted_memory(2 * GIB));
	mmu_cpu.large_executable = true;
}

static void rom(void **context)
{
	tl_range_id id = add_memory(TL_RANGE_ROM, 0, 2 * MIB2, hosted_memory(0));

	(void)context;
	assert_int_equal(fault(0x1000, MMU_WRITE), MMU_SERVE);
	assert_int_equal(walk_to(0x1000).entry, 0);
	assert_int_equal(fault(0x1000, MMU_READ), MMU_MAPPED);
	expect_leaf(0x1000, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0x1000));
	assert_int_equal(fault(0x1000, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(0x1000, MMU_FETCH), MMU_SPURIOUS);
	assert_int_equal(fault(0x1000, MMU_WRITE), MMU_SERVE);
	expect_leaf(0x1000, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0x1000));
	assert_int_equal(fault(MIB2, MMU_FETCH), MMU_MAPPED);
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(walk_to(0).entry, 0);
	assert_int_equal(walk_to(MIB2).entry, 0);
}

/* Where a large MMIO entry stands and memory is added to a part of it. */
static void memory_under_a_large_mmio_entry(void **context)
{
	const struct map_range *range;
	struct ept_walk walk;

	(void)context;
	expect_mmio(9 * GIB + 0x234000, MMU_READ, TL_HOLE, TL_HOLE, 3);
	add_memory(TL_RANGE_RAM, 9 * GIB + 0x234000, PAGE_SIZE, hosted_memory(0));
	walk = walk_to(9 * GIB + 0x234000);
	assert_int_equal(mmu_examine(map_now(), &walk, &range), MMIO_INVALID);
	/* A misconfiguration does not say what kind of access it was: it is served as a read. */
	assert_int_equal(mmu_fault(vm, map_now(), 9 * GIB + 0x234000, MMU_READ, &walk, &range), MMU_MAPPED);
	expect_leaf(9 * GIB + 0x234000, 1, EPT_RWX, hosted_memory(0));
	expect_mmio(9 * GIB + 0x235000, MMU_READ, TL_HOLE, TL_HOLE, 1);
	expect_mmio(9 * GIB + 2 * MIB2, MMU_READ, TL_HOLE, TL_HOLE, 2);
	assert_int_equal(vm->nr_ept_pages, 4);
}

/* Rule 5. Memory that was removed in a callback is present until the commit is completed; a device there waits. */
static void no_mmio_entry_over_a_present_one(void **context)
{
	tl_range_id ram = add_memory(TL_RANGE_RAM, 0, MIB2, hosted_memory(0));
	struct tl_range device = {.kind = TL_RANGE_MMIO, .start = 0, .size = MIB2};
	struct grace_reader reader = {.entry_round = 0};
	struct tl_edit *edit;
	tl_range_id id;

	(void)context;
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, hooks->cpu_index());
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, ram), TL_OK);
	assert_int_equal(tl_map_add(edit, &device, &id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_PENDING);
	assert_int_equal(fault(0x5000, MMU_WRITE), MMU_SERVE);
	expect_leaf(0x5000, 2, EPT_RWX, hosted_memory(0x5000));
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader, hooks->cpu_index());
	grace_reader_remove(&reader);
	assert_int_equal(walk_to(0x5000).entry, 0);
	expect_mmio(0x5000, MMU_WRITE, id, id, 2);
}

static void nothing_is_stamped_while_off(void **context)
{
	tl_range_id id = range_add(mmio_range(0x1000, 0x1000));
	struct grace_reader reader = {.entry_round = 0};

	(void)context;
	add_memory(TL_RANGE_RAM, 0x10000, PAGE_SIZE, hosted_memory(0));
	expect_mmio(0x1000, MMU_READ, id, id, 1);
	begin_wrap(&reader);
	for (gpa_t gpa = 0; gpa < 0x4000; gpa += PAGE_SIZE) {
		ept_entry_t before = walk_to(gpa).entry;

		assert_int_equal(fault(gpa, MMU_READ), MMU_SERVE);
		assert_int_equal(walk_to(gpa).entry, before);
	}
	/* Memory is mapped all the same. */
	assert_int_equal(fault(0x10000, MMU_READ), MMU_MAPPED);
	end_wrap(&reader);
	assert_int_equal(ept_count_mmio(vm), 0);
	expect_mmio(0x1000, MMU_READ, id, id, 1);
}

static void out_of_pages(void **context)
{
	tl_range_id device = range_add(mmio_range(GIB + 0x1000, 0x1000));

	(void)context;
	add_memory(TL_RANGE_RAM, 0x3000, 0x1000, hosted_memory(0));
	for (unsigned failing = 1; failing <= 3; failing++) {
		hosted_fail_at(failing);
		assert_int_equal(fault(0x3000, MMU_READ), MMU_NO_MEMORY);
		hosted_fail_at(1);
		assert_int_equal(walk_to(0x3000).entry, 0);
		hosted_fail_at(0);
		ept_destroy(vm);
		assert_true(ept_create(vm));
		hosted_fail_at(failing);
		assert_int_equal(fault(GIB + 0x1000, MMU_READ), MMU_NO_MEMORY);
		hosted_fail_at(0);
		expect_mmio(GIB + 0x1000, MMU_READ, device, device, 1);
		assert_int_equal(fault(0x3000, MMU_READ), MMU_MAPPED);
		ept_destroy(vm);
		assert_true(ept_create(vm));
	}
}

static void corrupted(void **context)
{
	struct ept_walk walk;

	(void)context;
	add_memory(TL_RANGE_RAM, 0, PAGE_SIZE, hosted_memory(0));
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	walk = walk_to(0);
	atomic_fetch_and(walk.slot, ~EPT_READ);
	assert_int_equal(fault(0, MMU_READ), MMU_CORRUPT);
	assert_int_equal(fault(0, MMU_WRITE), MMU_CORRUPT);
	/* It is left as it is, to be looked at. */
	assert_int_equal(atomic_load(walk.slot) & EPT_RWX, EPT_WRITE | EPT_EXECUTE);
}

static ept_slot_t *raced_slot;
static ept_entry_t raced_entry;

static void race(void)
{
	atomic_store(raced_slot, raced_entry);
}

/* Another vCPU gets there first: the access is served all the same, and the other's entry stays. */
static void lost_races(void **context)
{
	tl_range_id device = range_add(mmio_range(0x1000, 0x1000));
	const struct map_range *range;
	struct ept_walk walk;

	(void)context;
	add_memory(TL_RANGE_RAM, 0x3000, 0x1000, hosted_memory(0));
	for (unsigned i = 0; i < 2; i++) {
		gpa_t gpa = i ? 0x3000 : 0x1000;

		raced_slot = &vm->root[0];
		raced_entry = mmio_spte_make(TL_HOLE, 1);
		hosted.on_alloc = race;
		walk = walk_to(gpa);
		assert_int_equal(mmu_fault(vm, map_now(), gpa, MMU_READ, &walk, &range), i ? MMU_MAPPED : MMU_SERVE);
		hosted.on_alloc = NULL;
		assert_int_equal(range->id, map_find(map_now(), gpa)->id);
		assert_int_equal(atomic_load(&vm->root[0]), raced_entry);
		assert_int_equal(vm->nr_ept_pages, 1);
		atomic_store(&vm->root[0], 0);
	}
	/* At the last step: an entry of an older map in the place of ours. */
	expect_mmio(0x1000, MMU_READ, device, device, 1);
	walk = walk_to(0x1000);
	atomic_store(walk.slot, mmio_spte_make(TL_HOLE, 1));
	assert_int_equal(mmu_fault(vm, map_now(), 0x1000, MMU_READ, &walk, &range), MMU_SERVE);
	assert_int_equal(range->id, device);
	assert_int_equal(walk_to(0x1000).entry, mmio_spte_make(TL_HOLE, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ram_is_mapped_as_large_as_it_is_aligned),
		TEST(host_memory_out_of_step),
		TEST(the_cpus_largest_leaf),
		TEST(a_fetch_splits_where_large_leaves_do_not_execute),
		TEST(rom),
		TEST(memory_under_a_large_mmio_entry),
		TEST(no_mmio_entry_over_a_present_one),
		TEST(nothing_is_stamped_while_off),
		TEST(out_of_pages),
		TEST(corrupted),
		TEST(lost_races),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
