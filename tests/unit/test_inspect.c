/* SPDX-License-Identifier: MIT */
/* The map and the EPT as they are shown to who looks at them from outside. */
#include "mmu/dirty.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { GIB = 1 << 30 };

static struct tl_ept_entry entry[TL_EPT_LEVELS];

static void expect_range(uint64_t from, tl_range_id id, enum tl_range_kind kind, uint64_t start, uint64_t size)
{
	struct tl_range_info info;

	assert_true(tl_map_next(vm, from, &info));
	assert_int_equal(info.id, id);
	assert_int_equal(info.kind, kind);
	assert_int_equal(info.start, start);
	assert_int_equal(info.size, size);
	assert_true(info.stamping);
}

static void lists_the_map_by_address(void **context)
{
	tl_range_id high = range_add(mmio_range(0x9000, 0x800)), ram = range_add(ram_range(0, 0x4000));
	tl_range_id low = range_add(mmio_range(0x5000, 0x1000));
	struct tl_range_info info;

	(void)context;
	expect_range(0, ram, TL_RANGE_RAM, 0, 0x4000);
	expect_range(0x3fff, ram, TL_RANGE_RAM, 0, 0x4000);
	expect_range(0x4000, low, TL_RANGE_MMIO, 0x5000, 0x1000);
	expect_range(0x5fff, low, TL_RANGE_MMIO, 0x5000, 0x1000);
	expect_range(0x6000, high, TL_RANGE_MMIO, 0x9000, 0x800);
	expect_range(0x97ff, high, TL_RANGE_MMIO, 0x9000, 0x800);
	assert_false(tl_map_next(vm, 0x9800, &info));
	assert_false(tl_map_next(vm, UINT64_MAX, &info));
}

static void an_empty_map_has_nothing_to_list(void **context)
{
	struct tl_range_info info;

	(void)context;
	assert_false(tl_map_next(vm, 0, &info));
}

static void says_the_tag_that_is_fresh(void **context)
{
	tl_range_id id = range_add(mmio_range(0x9000, 0x1000));
	struct tl_range_info info;

	(void)context;
	assert_true(tl_map_next(vm, 0, &info));
	assert_int_equal(info.tag, tag_of(id));
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	assert_true(tl_map_next(vm, 0, &info));
	assert_int_equal(info.tag, tag_of(id));
}

static void says_which_range_is_logged(void **context)
{
	static uint64_t log[1];
	tl_range_id id = range_add(ram_range(0, 0x4000));
	struct tl_range_info info;

	(void)context;
	assert_int_equal(tl_dirty_start(vm, id, log), TL_OK);
	assert_true(tl_map_next(vm, 0, &info));
	assert_true(info.logged);
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	assert_true(tl_map_next(vm, 0, &info));
	assert_false(info.logged);
}

/* The last of `count` entries on the way to an address. */
static const struct tl_ept_entry *end_of_walk(uint64_t gpa, unsigned count)
{
	assert_int_equal(tl_ept_describe(vm, gpa, entry), count);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(entry[i].level, TL_EPT_LEVELS - i);
		assert_int_equal(entry[i].index, ept_index(gpa, entry[i].level));
		assert_true(entry[i].first <= gpa && gpa - entry[i].first < entry[i].size);
		if (i + 1 < count)
			assert_int_equal(entry[i].kind, TL_EPT_TABLE);
	}
	assert_int_equal(entry[count - 1].value, walk_to(gpa).entry);
	return &entry[count - 1];
}

static void describes_an_entry_of_a_device(void **context)
{
	tl_range_id id = range_add(mmio_range(0x9000, 0x1000));
	const struct tl_ept_entry *end;

	(void)context;
	assert_int_equal(end_of_walk(0x9000, 1)->kind, TL_EPT_EMPTY);
	fault(0x9000, MMU_READ);
	end = end_of_walk(0x9123, 4);
	assert_int_equal(end->kind, TL_EPT_MMIO);
	assert_int_equal(end->id, id);
	assert_int_equal(end->tag, tag_of(id));
	assert_int_equal(end->wanted, tag_of(id));
	assert_true(end->fresh);
	assert_true(end->write && end->execute && !end->read);
	assert_int_equal(tl_vm_invalidate_mmio(vm), TL_OK);
	end = end_of_walk(0x9fff, 4);
	assert_false(end->fresh);
	assert_int_equal(end->wanted, tag_of(id));
	assert_int_not_equal(end->tag, end->wanted);
}

static void describes_the_hole(void **context)
{
	const struct tl_ept_entry *end;

	(void)context;
	fault(3ull * GIB, MMU_READ);
	end = end_of_walk(3ull * GIB, 2);
	assert_int_equal(end->kind, TL_EPT_MMIO);
	assert_int_equal(end->id, TL_HOLE);
	assert_true(end->fresh);
	assert_int_equal(end->size, GIB);
}

static void describes_memory(void **context)
{
	const struct tl_ept_entry *end;

	(void)context;
	range_add(ram_range(GIB, 0x200000));
	fault(GIB + 0x5000, MMU_WRITE);
	end = end_of_walk(GIB + 0x5000, 3);
	assert_int_equal(end->kind, TL_EPT_LEAF);
	assert_true(end->large && end->read && end->write && end->execute);
	assert_int_equal(end->memory_type, 6);
	assert_int_equal(end->address, host_to_phys(hosted_memory(GIB)));
	assert_int_equal(end->first, GIB);
	assert_int_equal(end->size, 0x200000);
}

/* Whatever stands in a table, it is described and not followed where it leads nowhere. */
static void describes_what_is_not_ours(void **context)
{
	ept_entry_t was;

	(void)context;
	range_add(mmio_range(0x9000, 0x1000));
	fault(0x9000, MMU_READ);
	was = atomic_exchange(walk_to(0x9000).slot, EPT_WRITE);
	assert_int_equal(end_of_walk(0x9000, 4)->kind, TL_EPT_BAD);
	atomic_store(walk_to(0x9000).slot, was);
	assert_int_equal(end_of_walk(0x9000, 4)->kind, TL_EPT_MMIO);
	/* A pointer to a table beyond the CPU's physical addresses. */
	was = atomic_exchange(&vm->root[0], EPT_RWX | BITS(51, 12));
	assert_int_equal(tl_ept_describe(vm, 0x9000, entry), 1);
	assert_int_equal(entry[0].kind, TL_EPT_BAD);
	atomic_store(&vm->root[0], was);
}

static void an_id_that_is_no_range_is_stale(void **context)
{
	ept_entry_t was;

	(void)context;
	range_add(mmio_range(0x9000, 0x1000));
	fault(0x9000, MMU_READ);
	was = atomic_exchange(walk_to(0x9000).slot, mmio_spte_make(MMIO_MAX_ID, 1));
	assert_int_equal(end_of_walk(0x9000, 4)->id, MMIO_MAX_ID);
	assert_false(entry[3].fresh);
	atomic_store(walk_to(0x9000).slot, was);
}

static void describes_nothing_out_of_reach(void **context)
{
	(void)context;
	assert_int_equal(tl_ept_describe(vm, BIT(48), entry), 0);
	assert_int_equal(tl_ept_describe(vm, UINT64_MAX, entry), 0);
	assert_int_equal(tl_ept_describe(vm, BIT(48) - 1, entry), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lists_the_map_by_address, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(an_empty_map_has_nothing_to_list, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(says_the_tag_that_is_fresh, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(says_which_range_is_logged, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(describes_an_entry_of_a_device, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(describes_the_hole, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(describes_memory, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(describes_what_is_not_ours, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(an_id_that_is_no_range_is_stale, vm_setup, vm_teardown),
		cmocka_unit_test_setup_teardown(describes_nothing_out_of_reach, vm_setup, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
