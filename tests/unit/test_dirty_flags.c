/* SPDX-License-Identifier: MIT */
/* Dirty logging by what the CPU notes: records that are hints, and the way back to protection. */
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/running.h"
#include "tests/unit/dirty_fixture.h"
#include <string.h>

/* What a record says counts only if the flag of the page, as it is by now, says so, too. */
static void a_record_is_a_hint(void **context)
{
	tl_range_id id = start_log(0, MIB2);
	size_t count;

	(void)context;
	fault(0, MMU_READ);
	guest_write(PAGE_SIZE);
	dirty_note(vm, 0);
	dirty_note(vm, 2 * PAGE_SIZE);
	dirty_note(vm, 5 * GIB);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 1);
	assert_true(is_fetched(1));
	dirty_note(vm, PAGE_SIZE);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 0);
}

static void fetch_after_each_write(tl_range_id id, uint64_t pages)
{
	for (unsigned i = 0; i < 40; i++) {
		uint64_t page = random_below(pages);
		size_t count;

		guest_write(page * PAGE_SIZE);
		assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
		flush_write_tlb(vm);
		assert_int_equal(count, 1);
		assert_true(is_fetched(page));
	}
}

/* Flags are given up while a log goes on: nothing is lost, before, meanwhile and after. */
static void goes_over_to_protection(void **context)
{
	tl_range_id id = start_log(0, 2 * MIB2);
	struct grace_reader reader = {.entry_round = 0};
	size_t count;

	(void)context;
	fault(0, MMU_READ);
	random_seed(6);
	fetch_after_each_write(id, 1024);
	guest_write(7 * PAGE_SIZE);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_true(dirty_give_up_flags(vm, &reader));
	assert_true(protects() && atomic_load(&vm->flags_on));
	/* Open, and to be written without an exit: the CPU sets flags still. Closed: it is marked. */
	assert_int_equal(guest_write(8 * PAGE_SIZE), 0);
	guest_write(MIB2);
	assert_true(map_complete_pending(&reader));
	grace_announce(&reader);
	assert_false(atomic_load(&vm->flags_on));
	assert_int_equal(guest_write(9 * PAGE_SIZE), 1);
	grace_leave(&reader, 0);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 4);
	assert_true(is_fetched(7) && is_fetched(8) && is_fetched(9) && is_fetched(512));
	flush_write_tlb(vm);
	fetch_after_each_write(id, 1024);
	grace_reader_remove(&reader);
	/* For good. */
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	assert_false(atomic_load(&vm->flags_on));
}

/* A fetch between the two halves of that takes what the CPUs have noted. */
static void a_fetch_on_the_way_to_protection(void **context)
{
	tl_range_id id = start_log(0, 2 * MIB2);
	struct grace_reader reader = {.entry_round = 0};
	size_t count;

	(void)context;
	fault(0, MMU_READ);
	guest_write(7 * PAGE_SIZE);
	grace_reader_add(&reader, vm);
	grace_enter(&reader, 0);
	assert_true(dirty_give_up_flags(vm, &reader));
	guest_write(8 * PAGE_SIZE);
	grace_leave(&reader, 0);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	flush_write_tlb(vm);
	assert_int_equal(count, 2);
	assert_int_equal(guest_write(8 * PAGE_SIZE), 1);
	grace_enter(&reader, 0);
	assert_true(map_complete_pending(&reader));
	grace_leave(&reader, 0);
	flush_write_tlb(vm);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, NULL), TL_OK);
	guest_write(9 * PAGE_SIZE);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 1);
	grace_reader_remove(&reader);
}

static struct grace_reader runner;

/* The vCPU on CPU 1, kicked: it writes where the range has come to, and goes on. */
static void write_and_announce(unsigned cpu)
{
	unsigned here = hosted_cpu;

	hosted_cpu = cpu;
	guest_write(GIB + 3 * PAGE_SIZE);
	grace_announce(&runner);
	hosted_cpu = here;
}

/* A large leaf could map the place by now, but the small one's flag is the only note of a write. */
static void tables_of_a_log_stay(void **context)
{
	tl_range_id id = start_log(0, MIB2);
	size_t count;

	(void)context;
	runner = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&runner, vm);
	reader_enter(&runner, 1);
	hosted_cpu = 1;
	flush_write_tlb(vm);
	hosted_cpu = 0;
	hosted.on_kick = write_and_announce;
	assert_int_equal(range_move(id, GIB), TL_OK);
	assert_int_equal(walk_to(GIB + 3 * PAGE_SIZE).level, 1);
	/* Nor are they given up when the VM has too many. */
	assert_int_equal(tl_vm_trim(vm), TL_OK);
	hosted.on_kick = NULL;
	reader_leave(&runner, 1);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 1);
	assert_true(is_fetched(3));
	assert_true(dirty_is_logged(vm, GIB + MIB2 - 1, GIB + MIB2) && !dirty_is_logged(vm, 0, GIB - 1));
	grace_reader_remove(&runner);
}

/* A page that was written and is then executed, where that needs a right of its own, is still written. */
static void another_right_keeps_the_flag(void **context)
{
	tl_range_id id;
	size_t count;

	(void)context;
	mmu_cpu.large_executable = false;
	id = start_log(0, MIB2);
	fault(0, MMU_READ);
	guest_write(3 * PAGE_SIZE);
	guest_write(4 * PAGE_SIZE); /* a part of what was split, which must not be executed */
	assert_int_equal(fault(4 * PAGE_SIZE, MMU_FETCH), MMU_MAPPED);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 2);
	assert_true(is_fetched(4));
}

/* Memory that went is zapped late, when a logged range is there already: none of its writes is lost. */
static void a_late_zap_marks_what_it_takes(void **context)
{
	tl_range_id gone = range_add(ram_range(GIB, MIB2)), id = start_log(0, MIB2);
	size_t count;

	(void)context;
	runner = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&runner, vm);
	reader_enter(&runner, 0);
	assert_int_equal(range_remove(gone), TL_PENDING);
	assert_int_equal(range_move(id, GIB), TL_PENDING);
	guest_write(GIB + 3 * PAGE_SIZE);
	assert_true(map_complete_pending(&runner));
	reader_leave(&runner, 0);
	flush_write_tlb(vm);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	/* And nothing else is in it. */
	assert_int_equal(count, 1);
	assert_true(is_fetched(3));
	grace_reader_remove(&runner);
}

/* A range that moves by a page, and so onto its own old place: each entry there is of another page than before. */
static void a_move_onto_itself_reports_what_was_written(void **context)
{
	tl_range_id id = start_log(0, MIB2);
	size_t count;

	(void)context;
	runner = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&runner, vm);
	guest_write(3 * PAGE_SIZE);
	guest_write(9 * PAGE_SIZE);
	reader_enter(&runner, 0);
	assert_int_equal(range_move(id, PAGE_SIZE), TL_PENDING);
	guest_write(8 * PAGE_SIZE); /* the page that is there by now: 7 */
	assert_true(map_complete_pending(&runner));
	reader_leave(&runner, 0);
	flush_write_tlb(vm);
	guest_write(21 * PAGE_SIZE);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 4);
	assert_true(is_fetched(3) && is_fetched(7) && is_fetched(9) && is_fetched(20));
	grace_reader_remove(&runner);
}

/*
 * A range has gone elsewhere, and before its pages are zapped the range that came takes the place of one of them; nor
 * are their tables unlinked, which its memory does not need. It may be other memory, or the same.
 */
static void replaced_before_its_zap(uint64_t host)
{
	struct tl_range other = ram_range(host, MIB2);
	tl_range_id id;
	size_t count;

	other.start = 0;
	mmu_cpu.large_executable = false;
	id = start_log(0, MIB2);
	fault(0, MMU_READ);
	guest_write(3 * PAGE_SIZE);
	guest_write(4 * PAGE_SIZE); /* a part of what was split, which must not be executed */
	runner = (struct grace_reader){.entry_round = 0};
	grace_reader_add(&runner, vm);
	reader_enter(&runner, 0);
	assert_int_equal(range_move(id, GIB), TL_PENDING);
	range_add(other);
	assert_int_equal(fault(4 * PAGE_SIZE, MMU_FETCH), MMU_MAPPED);
	assert_true(map_complete_pending(&runner));
	reader_leave(&runner, 0);
	flush_write_tlb(vm);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, &count), TL_OK);
	assert_int_equal(count, 2);
	assert_true(is_fetched(3) && is_fetched(4));
	grace_reader_remove(&runner);
}

static void what_is_replaced_by_another_page_is_reported(void **context)
{
	(void)context;
	replaced_before_its_zap(8 * MIB2);
}

static void what_is_replaced_by_its_own_page_is_reported(void **context)
{
	(void)context;
	replaced_before_its_zap(0);
}

static void without_memory_flags_are_kept(void **context)
{
	struct grace_reader reader = {.entry_round = 0};
	struct tl_edit *edit;

	(void)context;
	start_log(0, MIB2);
	grace_reader_add(&reader, vm);
	edit = tl_map_edit(vm); /* the one that is at hand */
	hosted_fail_at(1);
	assert_false(dirty_give_up_flags(vm, &reader));
	tl_map_discard(edit);
	assert_int_equal(dirty_by(vm), DIRTY_BY_FLAGS);
	grace_reader_remove(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_PML(a_record_is_a_hint),
		BY_FLAGS(goes_over_to_protection),
		BY_PML(goes_over_to_protection),
		BY_FLAGS(a_fetch_on_the_way_to_protection),
		BY_PML(a_fetch_on_the_way_to_protection),
		BY_FLAGS(tables_of_a_log_stay),
		BY_PML(tables_of_a_log_stay),
		BY_FLAGS(another_right_keeps_the_flag),
		BY_PML(another_right_keeps_the_flag),
		BY_FLAGS(a_late_zap_marks_what_it_takes),
		BY_PML(a_late_zap_marks_what_it_takes),
		BY_FLAGS(a_move_onto_itself_reports_what_was_written),
		BY_PML(a_move_onto_itself_reports_what_was_written),
		BY_FLAGS(what_is_replaced_by_another_page_is_reported),
		BY_PML(what_is_replaced_by_another_page_is_reported),
		BY_FLAGS(what_is_replaced_by_its_own_page_is_reported),
		BY_PML(what_is_replaced_by_its_own_page_is_reported),
		BY_FLAGS(without_memory_flags_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
