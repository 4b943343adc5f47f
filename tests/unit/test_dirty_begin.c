/* SPDX-License-Identifier: MIT */
/* A log of little memory splits its large leaves when it begins; and what is written side by side is fetched as such.
 */
#include "mmu/ept_dirty.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/dirty_fixture.h"
#include <string.h>

static tl_range_id log_of(tl_range_id id)
{
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	flush_write_tlb(vm);
	return id;
}

static size_t fetch(tl_range_id id)
{
	size_t count;

	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	flush_write_tlb(vm);
	return count;
}

/* Written before the log begins, by large leaves. */
static tl_range_id written(gpa_t start, uint64_t size)
{
	tl_range_id id = range_add(ram_range(start, size));

	mmu_cpu.ept_level = 2;
	for (gpa_t gpa = start; gpa < start + size; gpa += MIB2)
		assert_int_equal(guest_write(gpa), 1);
	mmu_cpu.ept_level = 3;
	return id;
}

/* Where the CPU notes the writes no write exits; else each page's first one does, and nothing is split for it. */
static void no_write_pays_for_the_split(void **context)
{
	tl_range_id id = written(0, 8 * MIB2);
	size_t pages = vm->nr_ept_pages;
	unsigned level;

	(void)context;
	log_of(id);
	assert_int_equal(vm->nr_ept_pages, pages + 8);
	for (gpa_t gpa = 0; gpa < 8 * MIB2; gpa += 73 * PAGE_SIZE) {
		assert_int_equal(write_tlb_walk(gpa, &level) & EPT_WRITE, protects() ? 0 : EPT_WRITE);
		assert_int_equal(level, 1);
	}
	assert_int_equal(fetch(id), 0);
	assert_int_equal(guest_write(5 * MIB2 + 3 * PAGE_SIZE), protects());
	assert_int_equal(guest_write(8 * MIB2 - PAGE_SIZE), protects());
	assert_int_equal(fetch(id), 2);
	assert_true(is_fetched(5 * 512 + 3) && is_fetched(8 * 512 - 1));
	assert_int_equal(vm->nr_ept_pages, pages + 8);
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	flush_write_tlb(vm);
	assert_int_equal(guest_write(0), 1);
	assert_true(write_tlb_walk(0, &level) & EPT_WRITE);
	assert_true(level > 1);
}

/* More memory is split where it is written, and what is not mapped, or not at large, is left as it is. */
static void only_few_are_split(void **context)
{
	tl_range_id large = written(0, 9 * MIB2), empty = range_add(ram_range(GIB, MIB2)), odd;
	size_t pages = vm->nr_ept_pages;

	(void)context;
	log_of(large);
	assert_int_equal(vm->nr_ept_pages, pages);
	assert_int_equal(guest_write(0), 1);
	assert_int_equal(vm->nr_ept_pages, pages + 1);
	assert_int_equal(tl_dirty_stop(vm, large), TL_OK);
	pages = vm->nr_ept_pages;
	log_of(empty);
	assert_int_equal(vm->nr_ept_pages, pages);
	/* A range that begins and ends within large spans, which have no large leaves. */
	odd = range_add(ram_range(3 * GIB + 5 * PAGE_SIZE, 3 * MIB2));
	guest_write(3 * GIB + 5 * PAGE_SIZE);
	guest_write(3 * GIB + MIB2 + 5 * PAGE_SIZE);
	pages = vm->nr_ept_pages;
	assert_int_equal(tl_dirty_stop(vm, empty), TL_OK);
	log_of(odd);
	assert_int_equal(vm->nr_ept_pages, pages + 1);
	guest_write(3 * GIB + MIB2 + 9 * PAGE_SIZE);
	assert_int_equal(fetch(odd), 1);
	assert_true(is_fetched(512 + 4));
}

/* Without a page for a table a log begins all the same, and the first write finds one. */
static void without_pages_it_is_left_to_the_write(void **context)
{
	tl_range_id id = written(0, 2 * MIB2);
	size_t pages = vm->nr_ept_pages;

	(void)context;
	tl_vm_limit_ept_pages(vm, pages + 1);
	log_of(id);
	assert_int_equal(vm->nr_ept_pages, pages + 1);
	tl_vm_limit_ept_pages(vm, pages + 2);
	assert_int_equal(guest_write(0), protects());
	assert_int_equal(guest_write(MIB2), 1);
	assert_int_equal(fetch(id), 2);
}

/* Pages of a table that others share are not closed where the CPU notes their writes. */
static void pages_of_a_shared_table_stay_open(void **context)
{
	tl_range_id id = range_add(ram_range(3 * PAGE_SIZE, 40 * PAGE_SIZE));

	(void)context;
	for (unsigned page = 3; page < 43; page++)
		guest_write(page * PAGE_SIZE);
	log_of(id);
	assert_int_equal(fetch(id), 0);
	assert_int_equal(guest_write(7 * PAGE_SIZE), protects());
	assert_int_equal(fetch(id), 1);
}

static void write_now(void)
{
	hosted.on_alloc = NULL;
	guest_write(5 * PAGE_SIZE);
}

/* A vCPU's write splits the leaf while the page for that is asked for: it goes back. */
static void who_splits_first(void **context)
{
	tl_range_id id = written(0, MIB2);
	size_t pages = vm->nr_ept_pages;

	(void)context;
	memset(log_words, 0, sizeof(log_words));
	flush_write_tlb(vm);
	/* The transaction's page has been asked for by then. */
	tl_map_discard(tl_map_edit(vm));
	hosted.on_alloc = write_now;
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	assert_null(hosted.on_alloc);
	flush_write_tlb(vm);
	assert_int_equal(vm->nr_ept_pages, pages + 1);
	assert_int_equal(guest_write(6 * PAGE_SIZE), protects());
}

/* Memory that has gone, but is mapped still, is nobody's log: it stays as it was mapped. */
static void what_has_gone_is_not_split(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	tl_range_id gone = written(0, MIB2), id;
	size_t pages = vm->nr_ept_pages;
	struct tl_range other = ram_range(8 * MIB2, MIB2);
	struct tl_edit *edit;

	(void)context;
	other.start = 0;
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_int_equal(range_remove(gone), TL_PENDING);
	id = range_add(other);
	/* What tl_dirty_start() does, which would wait here. */
	edit = tl_map_edit(vm);
	assert_int_equal(map_note_log(edit, id, (_Atomic uint64_t *)(void *)log_words), TL_OK);
	assert_int_equal(tl_map_commit(edit), TL_PENDING);
	dirty_begin(vm, id, 0, MIB2 - 1);
	assert_int_equal(vm->nr_ept_pages, pages);
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader, 0);
	grace_reader_remove(&reader);
}

/* Any pattern: few pages, nearly all, long rows, rows with a hole in them; and no neighbour's pages. */
static void rows_are_told_apart(void **context)
{
	static const unsigned densities[] = {1, 8, 32, 56, 63, 64};
	/* One after the other in the guest's memory and in the host's; the second begins where no word of a log does.
	 */
	tl_range_id first = range_add(ram_range(3 * PAGE_SIZE, 300 * PAGE_SIZE));
	tl_range_id second = range_add(ram_range(303 * PAGE_SIZE, 400 * PAGE_SIZE));
	static uint64_t words[2][7], pages[2][7];
	bool is_written[2][400] = {{false}};

	(void)context;
	random_seed(9);
	memset(words, 0, sizeof(words));
	assert_int_equal(tl_dirty_start(vm, first, words[0]), TL_OK);
	assert_int_equal(tl_dirty_start(vm, second, words[1]), TL_OK);
	flush_write_tlb(vm);
	for (unsigned round = 0; round < 60; round++) {
		unsigned density = densities[round % 6], which = round & 1;
		size_t count, expected = 0;

		for (unsigned page = 0; page < 700; page++)
			if (random_below(64) < density) {
				guest_write((3 + page) * PAGE_SIZE);
				is_written[page >= 300][page < 300 ? page : page - 300] = true;
			}
		assert_int_equal(tl_dirty_fetch(vm, which ? second : first, pages[which], &count), TL_OK);
		flush_write_tlb(vm);
		for (unsigned page = 0; page < (which ? 400 : 300); page++) {
			assert_int_equal(pages[which][page / 64] >> page % 64 & 1, is_written[which][page]);
			expected += is_written[which][page];
			is_written[which][page] = false;
		}
		assert_int_equal(count, expected);
	}
}

/* The flags of other memory at the same place are left alone, also in the middle of a row. */
static void a_row_ends_where_the_memory_does(void **context)
{
	tl_range_id id = log_of(range_add(ram_range(0, 200 * PAGE_SIZE)));
	struct ept_harvest part = {.last = 200 * PAGE_SIZE - 1,
				   .host = host_to_phys(hosted_memory(20 * PAGE_SIZE)),
				   .size = 80 * PAGE_SIZE,
				   .log = (_Atomic uint64_t *)(void *)log_words,
				   .keep = ~EPT_DIRTY};

	(void)context;
	for (unsigned page = 0; page < 200; page++)
		guest_write(page * PAGE_SIZE);
	vm_lock_tables(vm);
	ept_harvest(vm, &part);
	vm_unlock_tables(vm);
	assert_int_equal(log_words[0], ~0ull);
	assert_int_equal(log_words[1], 0xffff);
	assert_int_equal(log_words[2], 0);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(fetch(id), 120);
	assert_true(is_fetched(19) && !is_fetched(20) && !is_fetched(99) && is_fetched(100));
}

#define EACH(name) BY_PROTECTION(name), BY_FLAGS(name), BY_PML(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(no_write_pays_for_the_split),
		EACH(only_few_are_split),
		EACH(without_pages_it_is_left_to_the_write),
		EACH(pages_of_a_shared_table_stay_open),
		EACH(who_splits_first),
		EACH(what_has_gone_is_not_split),
		EACH(rows_are_told_apart),
		BY_FLAGS(a_row_ends_where_the_memory_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
