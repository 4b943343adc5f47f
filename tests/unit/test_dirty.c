/* SPDX-License-Identifier: MIT */
/* Dirty logging: what the log says, what it costs, what it leaves behind; by protection, by flags and by PML. */
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/dirty_fixture.h"
#include <stdlib.h>
#include <string.h>

/* Random writes and fetches, whatever stood before and however the range lies: exactly what was written. */
static void says_what_was_written(void **context)
{
	static const struct {
		uint64_t start, size;
	} ranges[] = {{0, 4 * GIB},
		      {GIB, MIB2},
		      {PAGE_SIZE, 3 * PAGE_SIZE},
		      {GIB - 3 * MIB2 - PAGE_SIZE, GIB + 7 * PAGE_SIZE}};
	struct grace_reader reader = {.entry_round = 0};

	(void)context;
	random_seed(4);
	grace_reader_add(&reader, vm);
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		static bool written[HOSTED_MEMORY_GIB * GIB / PAGE_SIZE];
		uint64_t nr_pages = ranges[i].size / PAGE_SIZE;
		tl_range_id id = range_add(ram_range(ranges[i].start, ranges[i].size));

		for (unsigned j = 0; j < 40; j++)
			guest_write(ranges[i].start + random_below(nr_pages) * PAGE_SIZE);
		memset(log_words, 0, sizeof(log_words));
		memset(written, 0, sizeof(written));
		assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
		/* Its CPU flushes as it enters. */
		flush_write_tlb(vm);
		for (unsigned j = 0; j < 60; j++) {
			size_t count, expected = 0;

			for (uint64_t n = random_below(50); n; n--) {
				/* Near to each other, half of the time. */
				uint64_t page = random_below(n & 1 ? nr_pages : nr_pages < 700 ? nr_pages : 700);

				guest_write(ranges[i].start + page * PAGE_SIZE);
				fault(ranges[i].start + random_below(nr_pages) * PAGE_SIZE, MMU_READ);
				expected += !written[page];
				written[page] = true;
			}
			assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
			flush_write_tlb(vm);
			assert_int_equal(count, expected);
			for (uint64_t page = 0; page < nr_pages; page++) {
				assert_int_equal(is_fetched(page), written[page]);
				written[page] = false;
			}
		}
		assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
		assert_int_equal(range_remove(id), TL_OK);
		flush_write_tlb(vm);
	}
	grace_reader_remove(&reader);
}

/* However many entries stand: a range is closed by the few that cover it, and each page is paid for when written. */
static void costs_no_more_for_more(void **context)
{
	tl_range_id id = range_add(ram_range(0, 4 * GIB));
	unsigned level, closed = 0;

	(void)context;
	mmu_cpu.ept_level = 2;
	for (gpa_t gpa = 0; gpa < 4 * GIB; gpa += MIB2)
		assert_int_equal(guest_write(gpa), 1);
	mmu_cpu.ept_level = 3;
	assert_int_equal(vm->nr_ept_pages, 2 + 4);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	flush_write_tlb(vm);
	for (gpa_t gpa = 0; gpa < 4 * GIB; gpa += MIB2) {
		struct ept_walk walk = walk_to(gpa);

		assert_false(write_tlb_walk(gpa, &level) & EPT_WRITE);
		closed += !(walk.entry & EPT_WRITE);
	}
	assert_int_equal(closed, 0);
	assert_int_equal(vm->nr_ept_pages, 2 + 4);
	/* A page that is written: its large leaf is split, and no other. */
	assert_int_equal(guest_write(GIB + 5 * MIB2 + 7 * PAGE_SIZE), 1);
	assert_int_equal(vm->nr_ept_pages, 2 + 4 + 1);
	assert_int_equal(write_tlb_walk(GIB + 5 * MIB2, &level) & EPT_WRITE, protects() ? 0 : EPT_WRITE);
	assert_int_equal(level, 1);
	assert_false(write_tlb_walk(GIB, &level) & EPT_WRITE);
	assert_int_equal(level, 2);
	assert_int_equal(guest_write(GIB + 5 * MIB2 + 7 * PAGE_SIZE), 0);
	/* The pages beside it: where the CPU notes the writes, they cost nothing. */
	assert_int_equal(guest_write(GIB + 5 * MIB2 + 8 * PAGE_SIZE), protects());
	/* What is only read stays large. */
	assert_int_equal(range_remove(id), TL_OK);
	start_log(0, 4 * GIB);
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	assert_int_equal(write_tlb_walk(0, &level) & EPT_RWX, EPT_READ | EPT_EXECUTE);
	assert_int_equal(level, 3);
}

/* When the log ends, memory is large again, and writable. */
static void leaves_nothing_behind(void **context)
{
	tl_range_id id = start_log(0, 2 * GIB), odd;
	unsigned level;

	(void)context;
	for (unsigned i = 0; i < 50; i++)
		guest_write(i * 5 * MIB2);
	assert_true(vm->nr_ept_pages > 50);
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	flush_write_tlb(vm);
	assert_int_equal(vm->nr_ept_pages, 1);
	assert_int_equal(guest_write(0), 1);
	assert_true(write_tlb_walk(0, &level) & EPT_WRITE);
	assert_int_equal(level, 3);
	/* Memory that cannot be large keeps its tables: they are opened again, and all pages are within reach. */
	odd = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = 3 * GIB, .size = GIB, .host = hosted_memory(GIB + PAGE_SIZE)});
	for (unsigned i = 0; i < 8; i++)
		guest_write(3 * GIB + i * PAGE_SIZE);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, odd, log_words), TL_OK);
	assert_int_equal(tl_dirty_stop(vm, odd), TL_OK);
	flush_write_tlb(vm);
	for (unsigned i = 0; i < 16; i++)
		assert_in_range(guest_write(3 * GIB + i * PAGE_SIZE), 1, 3);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(log_words[i], 0);
}

/* Small pages from before the log: where the CPU notes the writes, the first one to any of a table opens them all. */
static void pages_of_a_table_are_opened_together(void **context)
{
	tl_range_id id = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = 0, .size = GIB, .host = hosted_memory(GIB + PAGE_SIZE)});
	size_t count;

	(void)context;
	for (unsigned i = 0; i < 512; i++)
		guest_write(MIB2 + i * PAGE_SIZE);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	flush_write_tlb(vm);
	assert_int_equal(guest_write(MIB2 + 5 * PAGE_SIZE), 1);
	for (unsigned i = 6; i < 512; i++)
		assert_int_equal(guest_write(MIB2 + i * PAGE_SIZE), protects());
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 507);
}

static void host_writes_are_logged(void **context)
{
	tl_range_id id = start_log(GIB, GIB);
	uint8_t bytes[PAGE_SIZE + 2] = {0};
	size_t count;

	(void)context;
	assert_true(tl_mem_write(vm, GIB + 7 * PAGE_SIZE - 1, bytes, sizeof(bytes)));
	assert_true(tl_mem_read(vm, GIB + 20 * PAGE_SIZE, bytes, sizeof(bytes)));
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 3);
	assert_true(is_fetched(6) && is_fetched(7) && is_fetched(8));
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 0);
}

static void what_is_refused(void **context)
{
	tl_range_id device = range_add(mmio_range(5 * GIB, PAGE_SIZE)), id = start_log(0, MIB2);
	struct grace_reader reader = {.entry_round = 0};
	struct tl_edit *edit;

	(void)context;
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_dirty_start(vm, device, log_words), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_dirty_start(vm, id, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_dirty_start(vm, 77, log_words), TL_NO_RANGE);
	assert_int_equal(tl_dirty_stop(vm, device), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_dirty_fetch(vm, device, fetched, NULL), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_dirty_fetch(vm, TL_HOLE, fetched, NULL), TL_NO_RANGE);
	assert_int_equal(range_resize(id, 2 * MIB2), TL_INVALID_ARGUMENT);
	edit = tl_map_edit(vm);
	assert_int_equal(tl_map_protect(edit, id, TL_RANGE_ROM, NULL), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_INVALID_ARGUMENT);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_int_equal(tl_dirty_start(vm, device, log_words), TL_WOULD_WAIT);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, NULL), TL_WOULD_WAIT);
	assert_int_equal(tl_dirty_stop(vm, id), TL_WOULD_WAIT);
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
	/* It may shrink and move, and its pages keep their numbers. */
	assert_int_equal(range_resize(id, MIB2 / 2), TL_OK);
	assert_int_equal(range_move(id, GIB), TL_OK);
	guest_write(GIB + 3 * PAGE_SIZE);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, NULL), TL_OK);
	assert_true(is_fetched(3));
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	assert_int_equal(tl_dirty_stop(vm, id), TL_INVALID_ARGUMENT);
}

static tl_range_id fetched_id;
static size_t fetched_count;

static void fetch_now(void)
{
	hosted.on_alloc = NULL;
	assert_int_equal(tl_dirty_fetch(vm, fetched_id, fetched, &fetched_count), TL_OK);
}

/* A fetch takes the mark of a page that is open only after it: what is written there is in the next one. */
static void a_fetch_before_the_page_is_open(void **context)
{
	(void)context;
	fetched_id = start_log(0, MIB2);
	assert_int_equal(fault(0, MMU_READ), MMU_MAPPED);
	hosted.on_alloc = fetch_now;
	guest_write(0);
	assert_int_equal(fetched_count, protects());
	fetch_now();
	assert_int_equal(fetched_count, 1);
	flush_write_tlb(vm);
	assert_int_equal(guest_write(0), protects());
	fetch_now();
	assert_int_equal(fetched_count, 1);
	fetch_now();
	assert_int_equal(fetched_count, 0);
}

/* What was written is in the log when the range goes elsewhere, shrinks, or the log ends. */
static void what_goes_is_in_the_log(void **context)
{
	tl_range_id id = start_log(0, 4 * MIB2);
	size_t count;

	(void)context;
	guest_write(3 * PAGE_SIZE);
	guest_write(4 * MIB2 - PAGE_SIZE);
	assert_int_equal(range_resize(id, 3 * MIB2), TL_OK);
	assert_int_equal(range_move(id, 2 * GIB), TL_OK);
	flush_write_tlb(vm);
	guest_write(2 * GIB + MIB2);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 2);
	assert_true(is_fetched(3) && is_fetched(512));
	/* The log's words are the embedder's: that of the page that the range lost is there. */
	assert_true(log_words[4 * 512 / 64 - 1] >> 63);
	flush_write_tlb(vm);
	guest_write(2 * GIB + MIB2 + PAGE_SIZE);
	assert_true(atomic_load(&vm->flags_on) != protects());
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	assert_int_equal(log_words[512 / 64], 2);
	assert_false(atomic_load(&vm->flags_on));
	/* And no write after that. */
	flush_write_tlb(vm);
	guest_write(2 * GIB);
	assert_int_equal(log_words[0], 0);
}

/* The same write again and again, with nothing changed: a CPU that does so is told from one that races. */
static void a_spurious_exit_is_told(void **context)
{
	const struct map_range *range;
	struct ept_walk walk;

	(void)context;
	start_log(0, MIB2);
	guest_write(0);
	walk = walk_to(0);
	assert_int_equal(mmu_fault(vm, map_now(), 0, MMU_WRITE, &walk, &range), MMU_SPURIOUS);
	assert_int_equal(fault(0, MMU_READ), MMU_SPURIOUS);
}

#define EACH(name) BY_PROTECTION(name), BY_FLAGS(name), BY_PML(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(says_what_was_written),   EACH(costs_no_more_for_more),
		EACH(leaves_nothing_behind),   EACH(pages_of_a_table_are_opened_together),
		EACH(host_writes_are_logged),  EACH(what_is_refused),
		EACH(a_spurious_exit_is_told), EACH(a_fetch_before_the_page_is_open),
		EACH(what_goes_is_in_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
