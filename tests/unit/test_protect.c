/* SPDX-License-Identifier: MIT */
/* Memory that changes its kind while it is mapped, and memory of another kind than RAM and ROM. */
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

#define MIB2 EPT_SPAN(2)
#define GIB  EPT_SPAN(3)

static tl_range_id add_memory(enum tl_range_kind kind, uint64_t start, uint64_t size, uint8_t *host)
{
	return range_add((struct tl_range){.kind = kind, .start = start, .size = size, .host = host});
}

static enum tl_status protect(tl_range_id id, enum tl_range_kind kind, tl_mmio_fn access)
{
	struct tl_edit *edit = tl_map_edit(vm);

	assert_int_equal(tl_map_protect(edit, id, kind, access), TL_OK);
	return tl_map_commit(edit);
}

static enum tl_status write_to_rom(struct tl_mmio *access)
{
	(void)access;
	return TL_OK;
}

/* Rights that go are gone when the commit returns; those that come are given by the next fault. */
static void memory_changes_its_kind(void **context)
{
	tl_range_id id = add_memory(TL_RANGE_RAM, 0, 2 * MIB2, hosted_memory(0));

	(void)context;
	mmu_cpu.execute_only = true;
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(protect(id, TL_RANGE_ROM, write_to_rom), TL_OK);
	assert_int_equal(walk_to(0).entry, 0);
	assert_int_equal(hosted.nr_flushes, 0);
	assert_ptr_equal(map_find(map_now(), 0)->access, write_to_rom);
	assert_int_equal(fault(0, MMU_WRITE), MMU_SERVE);
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	expect_leaf(0, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0));
	/* Nothing is taken from what stands, and it grows where it is written. */
	assert_int_equal(protect(id, TL_RANGE_RAM, NULL), TL_OK);
	assert_null(map_find(map_now(), 0)->access);
	expect_leaf(0, 2, EPT_READ | EPT_EXECUTE, hosted_memory(0));
	assert_int_equal(fault(0, MMU_READ), MMU_SPURIOUS);
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	expect_leaf(0, 2, EPT_RWX, hosted_memory(0));
	assert_int_equal(protect(id, TL_RANGE_EXECUTE_ONLY, NULL), TL_OK);
	assert_int_equal(walk_to(0).entry, 0);
	assert_int_equal(fault(0, MMU_READ), MMU_SERVE);
	assert_int_equal(fault(0, MMU_FETCH), MMU_MAPPED);
	expect_leaf(0, 2, EPT_EXECUTE, hosted_memory(0));
	mmu_cpu.execute_only = false;
}

/* In a callback the rights go when that vCPU completes the commit. */
static void rights_that_go_in_a_callback(void **context)
{
	tl_range_id id = add_memory(TL_RANGE_RAM, 0, 2 * MIB2, hosted_memory(0));
	struct grace_reader reader = {.entry_round = 0};

	(void)context;
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, hooks->cpu_index());
	hosted.nr_flushes = 0;
	assert_int_equal(protect(id, TL_RANGE_ROM, write_to_rom), TL_PENDING);
	expect_leaf(0, 2, EPT_RWX, hosted_memory(0));
	assert_true(map_complete_pending(&reader));
	assert_int_equal(walk_to(0).entry, 0);
	assert_int_equal(hosted.nr_flushes, 1);
	/* The callback loses its writes: that waits, and flushes nothing. */
	assert_int_equal(protect(id, TL_RANGE_RAM, NULL), TL_PENDING);
	assert_true(map_complete_pending(&reader));
	assert_int_equal(hosted.nr_flushes, 1);
	assert_int_equal(protect(id, TL_RANGE_RAM, NULL), TL_OK);
	grace_leave(&reader, hooks->cpu_index());
	grace_reader_remove(&reader);
}

static void what_cannot_be_protected(void **context)
{
	tl_range_id ram = add_memory(TL_RANGE_RAM, 0, MIB2, hosted_memory(0));
	tl_range_id device = range_add(mmio_range(GIB, PAGE_SIZE));
	struct tl_edit *edit = tl_map_edit(vm);

	(void)context;
	assert_int_equal(tl_map_protect(edit, ram, TL_RANGE_RAM, write_to_rom), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_map_protect(edit, ram, TL_RANGE_MMIO, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_map_protect(edit, ram, TL_RANGE_PASSTHROUGH, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_map_protect(edit, ram, TL_RANGE_EXECUTE_ONLY, NULL), TL_UNSUPPORTED);
	assert_int_equal(tl_map_protect(edit, TL_HOLE, TL_RANGE_ROM, NULL), TL_NO_RANGE);
	tl_map_discard(edit);
	assert_int_equal(protect(device, TL_RANGE_ROM, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(protect(99, TL_RANGE_ROM, NULL), TL_NO_RANGE);
}

/* Uncached, and nobody executes it, nor looks for the guest's words there. */
static void a_devices_own_memory(void **context)
{
	tl_range_id id = add_memory(TL_RANGE_PASSTHROUGH, GIB, 2 * MIB2, hosted_memory(0));
	uint8_t byte = 0;
	struct ept_walk walk;

	(void)context;
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
	walk = walk_to(GIB);
	assert_int_equal(walk.entry, host_to_phys(hosted_memory(0)) | EPT_READ | EPT_WRITE | EPT_FLAGS | EPT_LARGE);
	assert_int_equal(fault(GIB, MMU_FETCH), MMU_SERVE);
	assert_null(map_host(map_now(), GIB));
	assert_false(tl_mem_read(vm, GIB, &byte, 1));
	assert_false(tl_mem_write(vm, GIB, &byte, 1));
	assert_int_equal(protect(id, TL_RANGE_ROM, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(walk_to(GIB).entry, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_changes_its_kind),
		TEST(rights_that_go_in_a_callback),
		TEST(what_cannot_be_protected),
		TEST(a_devices_own_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
