/* SPDX-License-Identifier: MIT */
/* Table pages: where they come from, that they go when what they hold goes, that large entries come back, the limit. */
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

static unsigned level_at(gpa_t gpa)
{
	struct ept_walk walk = walk_to(gpa);

	return ept_is_present(walk.entry) ? walk.level : 0;
}

/* The hook is called once for several tables, and not again until they are used up. */
static void a_fault_takes_a_page_that_is_at_hand(void **context)
{
	(void)context;
	vm->ept_pages_at_hand = EPT_PAGES_AT_HAND;
	range_add(ram_range(0, 64 * PAGE_SIZE));
	hosted_fail_at(0);
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	assert_int_equal(hosted.allocations, EPT_PAGES_AT_HAND);
	assert_int_equal(vm->nr_ept_pages, 4);
	assert_int_equal(vm->page_cache[0].count, EPT_PAGES_AT_HAND - 3);
	for (unsigned i = 1; i <= EPT_PAGES_AT_HAND - 3; i++)
		fault(i * GIB, MMU_READ); /* the hole: an entry of 1 GiB, no table */
	assert_int_equal(hosted.allocations, EPT_PAGES_AT_HAND);
	/* Another CPU has its own. */
	hosted_cpu = 5;
	range_add(mmio_range(5 * GIB + PAGE_SIZE, PAGE_SIZE));
	hosted_fail_at(0);
	assert_int_equal(fault(5 * GIB + PAGE_SIZE, MMU_READ), MMU_SERVE);
	assert_int_equal(hosted.allocations, EPT_PAGES_AT_HAND);
	assert_int_equal(vm->page_cache[5].count, EPT_PAGES_AT_HAND - 2);
	hosted_cpu = 0;
	/* The embedder has fewer left than are wanted: those that there are do. */
	range_add(mmio_range(6 * GIB + PAGE_SIZE, PAGE_SIZE));
	while (vm->page_cache[0].count)
		ept_page_free(vm, vm->page_cache[0].page[--vm->page_cache[0].count]);
	vm->nr_ept_pages += EPT_PAGES_AT_HAND - 3;
	hosted_fail_at(3);
	assert_int_equal(fault(6 * GIB + PAGE_SIZE, MMU_READ), MMU_SERVE);
	assert_int_equal(hosted.failed, 1);
	assert_int_equal(vm->page_cache[0].count, 0);
}

/* A table that lost its race is at hand again, and zeroed. */
static ept_slot_t *raced_slot;

static void race(void)
{
	atomic_store(raced_slot, mmio_spte_make(TL_HOLE, 1));
}

static void a_page_that_lost_its_race_is_used_again(void **context)
{
	struct ept_walk walk;
	ept_slot_t *page;

	(void)context;
	range_add(ram_range(0, GIB));
	mmu_cpu.large_executable = false;
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	walk = walk_to(0);
	vm->ept_pages_at_hand = 1;
	raced_slot = walk.slot;
	hosted.on_alloc = race;
	/* The 1 GiB leaf is split for a fetch. */
	assert_int_equal(fault(0, MMU_FETCH), MMU_MAPPED);
	hosted.on_alloc = NULL;
	mmu_cpu.large_executable = true;
	assert_int_equal(vm->page_cache[0].count, 1);
	assert_int_equal(vm->nr_ept_pages, 2);
	page = ept_page_take(vm);
	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++)
		assert_int_equal(atomic_load(&page[i]), 0);
	ept_page_put_back(vm, page, false);
	atomic_store(walk.slot, 0);
}

/* Memory goes, and with it the tables that only it needed; those of a neighbour stay. */
static void tables_go_with_their_range(void **context)
{
	tl_range_id small, large, neighbour;

	(void)context;
	neighbour = range_add(ram_range(MIB2 - PAGE_SIZE, PAGE_SIZE));
	small = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = 0, .size = 16 * PAGE_SIZE, .host = hosted_memory(PAGE_SIZE)});
	large = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = 300 * GIB, .size = GIB, .host = hosted_memory(GIB + PAGE_SIZE)});
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(fault(i * PAGE_SIZE, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(fault(MIB2 - PAGE_SIZE, MMU_WRITE), MMU_MAPPED);
	for (gpa_t gpa = 300 * GIB; gpa < 301 * GIB; gpa += 8 * MIB2)
		assert_int_equal(fault(gpa, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(vm->nr_ept_pages, 1 + 3 + 1 + 64);
	assert_int_equal(range_remove(large), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 1 + 3);
	assert_int_equal(vm->tables_freed, 1 + 64);
	assert_int_equal(range_remove(small), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 1 + 3);
	assert_int_equal(level_at(MIB2 - PAGE_SIZE), 1);
	assert_int_equal(range_remove(neighbour), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 1);
}

/* More tables than one round can hold. */
static void a_large_range_goes_in_several_rounds(void **context)
{
	const uint64_t size = 2 * GIB - 2 * MIB2;
	tl_range_id id;

	(void)context;
	/* Its ends lie within spans of 1 GiB that are another range's, too: the tables go one by one. */
	id = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = GIB + MIB2, .size = size, .host = hosted_memory(PAGE_SIZE)});
	range_add(mmio_range(GIB, PAGE_SIZE));
	range_add(mmio_range(3 * GIB - PAGE_SIZE, PAGE_SIZE));
	for (gpa_t gpa = GIB + MIB2; gpa < GIB + MIB2 + size; gpa += MIB2)
		assert_int_equal(fault(gpa, MMU_WRITE), MMU_MAPPED);
	fault(GIB, MMU_READ);
	fault(3 * GIB - PAGE_SIZE, MMU_READ);
	assert_int_equal(vm->nr_ept_pages, 1 + 1 + 2 + 1024);
	hosted.nr_flushes = 0;
	assert_int_equal(range_remove(id), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 1 + 1 + 2 + 2);
	assert_int_equal(vm->tables_freed, 1022);
}

/* Rule 6: not before each vCPU has flushed. */
static size_t freed_at_flush;

static void note_freed(struct tl_vm *of)
{
	freed_at_flush = atomic_load(&of->tables_freed);
}

static void not_before_the_flush(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	struct tl_edit *edit;
	tl_range_id id;

	(void)context;
	id = range_add(ram_range(0, 16 * PAGE_SIZE));
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	freed_at_flush = 99;
	hosted.on_flush = note_freed;
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, id), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_PENDING);
	assert_int_equal(vm->tables_freed, 0);
	assert_int_equal(level_at(0), 1);
	assert_true(map_complete_pending(&reader));
	hosted.on_flush = NULL;
	assert_int_equal(freed_at_flush, 0);
	assert_int_equal(vm->tables_freed, 3);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

/* A large leaf comes back when what had split it is gone. */
static void split_memory_is_merged(void **context)
{
	tl_range_id ram = range_add(ram_range(0, 2 * GIB)), device;
	struct tl_edit *edit;

	(void)context;
	assert_int_equal(fault(GIB + 0x5000, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(level_at(GIB), 3);
	/* A device takes the last page. */
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_resize(edit, ram, 2 * GIB - PAGE_SIZE), TL_OK);
	assert_int_equal(
		tl_map_add(edit,
			   &(struct tl_range){.start = 2 * GIB - PAGE_SIZE, .size = PAGE_SIZE, .kind = TL_RANGE_MMIO},
			   &device),
		TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(fault(2 * GIB - 2 * PAGE_SIZE, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(fault(2 * GIB - PAGE_SIZE, MMU_WRITE), MMU_SERVE);
	assert_int_equal(level_at(GIB), 2);
	assert_int_equal(level_at(2 * GIB - 2 * PAGE_SIZE), 1);
	/* And gives it back. */
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_remove(edit, device), TL_OK);
	assert_int_equal(tl_map_resize(edit, ram, 2 * GIB), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_OK);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(level_at(GIB), 3);
	assert_int_equal(level_at(2 * GIB - PAGE_SIZE), 3);
	assert_int_equal(vm->nr_ept_pages, 2);
}

/* Memory that comes where the hole had small entries is large all the same; nobody waits for that in a callback. */
static void memory_comes_where_tables_stand(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	tl_range_id device = range_add(mmio_range(GIB + PAGE_SIZE, PAGE_SIZE));
	struct tl_range ram = ram_range(GIB, GIB);
	struct tl_edit *edit;
	tl_range_id id;

	(void)context;
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(fault(GIB + PAGE_SIZE, MMU_READ), MMU_SERVE);
		assert_int_equal(vm->nr_ept_pages, 4);
		if (round) {
			grace_reader_add(&reader, vm);
			grace_enter(&reader, 0);
		}
		edit = tl_map_edit(vm);
		assert_int_equal(tl_map_remove(edit, device), TL_OK);
		assert_int_equal(tl_map_add(edit, &ram, &id), TL_OK);
		assert_int_equal(tl_map_commit(edit), round ? TL_PENDING : TL_OK);
		assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
		assert_int_equal(level_at(GIB), 3);
		if (!round) {
			assert_int_equal(range_remove(id), TL_OK);
			device = range_add(mmio_range(GIB + PAGE_SIZE, PAGE_SIZE));
			continue;
		}
		/* The three of before wait for their flush, and one more is new. */
		assert_int_equal(vm->nr_ept_pages, 1 + 3 + 1);
		assert_true(map_complete_pending(&reader));
		assert_int_equal(vm->nr_ept_pages, 2);
		grace_leave(&reader, 0);
		grace_reader_remove(&reader);
	}
}

/* Only memory comes, in a callback: that is done for its caller, and the tables go later. */
static void tables_go_after_a_commit_that_waits_for_nothing(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	tl_range_id device = range_add(mmio_range(GIB + PAGE_SIZE, PAGE_SIZE));

	(void)context;
	assert_int_equal(fault(GIB, MMU_READ), MMU_SERVE);
	assert_int_equal(range_remove(device), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 4);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_int_equal(range_try(ram_range(GIB, MIB2)), TL_OK);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(level_at(GIB), 2);
	assert_int_equal(vm->tables_freed, 0);
	assert_true(map_complete_pending(&reader));
	assert_int_equal(vm->tables_freed, 3);
	/* There are none now: nothing is left to do. */
	assert_int_equal(range_try(ram_range(GIB + MIB2, MIB2)), TL_OK);
	assert_null(reader.pending);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

/* A guest that touches every page of a large device: it never holds more than it may. */
static void touching_everything_is_bounded(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	unsigned reclaims = 0;

	(void)context;
	vm->mmio_level = 1;
	tl_vm_limit_ept_pages(vm, 20);
	range_add(mmio_range(64 * GIB, 256 * GIB));
	range_add(ram_range(0, PAGE_SIZE));
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	for (gpa_t gpa = 64 * GIB; gpa < 320 * GIB; gpa += 27 * MIB2 + PAGE_SIZE) {
		while (fault(gpa, MMU_READ) == MMU_NO_MEMORY) {
			assert_true(vm_reclaim(vm, &reader));
			assert_true(map_complete_pending(&reader));
			assert_true(reclaims++ < 10000);
		}
		assert_true(is_mmio_spte(walk_to(gpa).entry));
		assert_true(vm->nr_ept_pages <= 20);
	}
	assert_true(reclaims > 100);
	/* Memory was none of it. */
	assert_int_equal(level_at(0), 1);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

/* Where only memory is left there is nothing to give up, until the limit is raised or a range goes. */
static void the_limit_stops_and_goes_on(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	tl_range_id first = range_add(ram_range(0, PAGE_SIZE));

	(void)context;
	range_add(ram_range(GIB, PAGE_SIZE));
	tl_vm_limit_ept_pages(vm, 4);
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_NO_MEMORY);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_false(vm_reclaim(vm, &reader));
	assert_null(reader.pending);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
	tl_vm_limit_ept_pages(vm, 5);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_NO_MEMORY);
	assert_int_equal(range_remove(first), TL_OK);
	assert_int_equal(fault(GIB, MMU_WRITE), MMU_MAPPED);
	tl_vm_limit_ept_pages(vm, 0);
	assert_int_equal(vm->max_ept_pages, 65536);
}

static void trim_gives_everything_back_that_it_can(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	struct tl_stats stats, quick;

	(void)context;
	vm->mmio_level = 1;
	range_add(mmio_range(64 * GIB, 64 * GIB));
	range_add(ram_range(0, PAGE_SIZE));
	assert_int_equal(fault(0, MMU_WRITE), MMU_MAPPED);
	for (gpa_t gpa = 64 * GIB; gpa < 65 * GIB; gpa += MIB2)
		assert_int_equal(fault(gpa, MMU_READ), MMU_SERVE);
	/* On a page beside memory: its table stays, and the entry in it. */
	assert_int_equal(fault(PAGE_SIZE, MMU_READ), MMU_SERVE);
	assert_int_equal(vm->nr_ept_pages, 4 + 1 + 512);
	assert_int_equal(tl_vm_trim(vm), TL_OK);
	assert_int_equal(vm->nr_ept_pages, 4);
	tl_stats(vm, &stats);
	assert_int_equal(stats.live_mmio_entries, 1);
	tl_stats_without_walk(vm, &quick);
	assert_int_equal(quick.live_mmio_entries, 0);
	quick.live_mmio_entries = stats.live_mmio_entries;
	assert_memory_equal(&quick, &stats, sizeof(stats));
	assert_int_equal(stats.zapped, 512);
	assert_int_equal(stats.ept_pages_freed, 513);
	assert_int_equal(fault(64 * GIB, MMU_READ), MMU_SERVE);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_int_equal(tl_vm_trim(vm), TL_WOULD_WAIT);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fault_takes_a_page_that_is_at_hand),
		TEST(a_page_that_lost_its_race_is_used_again),
		TEST(tables_go_with_their_range),
		TEST(a_large_range_goes_in_several_rounds),
		TEST(not_before_the_flush),
		TEST(split_memory_is_merged),
		TEST(memory_comes_where_tables_stand),
		TEST(tables_go_after_a_commit_that_waits_for_nothing),
		TEST(touching_everything_is_bounded),
		TEST(the_limit_stops_and_goes_on),
		TEST(trim_gives_everything_back_that_it_can),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
