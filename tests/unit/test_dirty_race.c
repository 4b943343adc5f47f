/* SPDX-License-Identifier: MIT */
/* Dirty logging: two vCPUs that write, and one thread that copies what the log says. */
#include "mmu/ept_protect.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/mmu.h"
#include "mmu/running.h"
#include "tests/unit/dirty_fixture.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	NR_WRITERS = 2,
	FEW_PAGES = 3 * 512,
	MOST_PAGES = 9 * 512,
	LEAST_FETCHES = 30,
	MOST_FETCHES = 3000,
	LEAST_EXITS = 100
};

struct writer {
	struct grace_reader reader;
	unsigned cpu;
	uint64_t random, writes;
	_Atomic uint64_t exits;
};

static _Atomic bool over, page_tables_in_rom;
static _Atomic uint64_t contents[MOST_PAGES];
static uint64_t copy[MOST_PAGES];
/* FEW_PAGES are split when the log begins, and there are few exits then. */
static uint64_t nr_pages;

/* vcpu_before_entry(). */
static void before_entry(struct grace_reader *reader)
{
	if (atomic_load_explicit(&vm->round, memory_order_acquire) == reader->entry_round)
		return;
	drain_write_log();
	assert_true(map_complete_pending(reader));
	grace_announce(reader);
}

static void *write_pages(void *context)
{
	struct writer *w = context;

	hosted_cpu = w->cpu;
	grace_enter(&w->reader, w->cpu);
	/* Whatever its CPU has cached of an earlier VM. */
	flush_write_tlb(vm);
	while (!atomic_load(&over)) {
		uint64_t page;

		w->random = w->random * 6364136223846793005 + 1442695040888963407;
		page = (w->random >> 33) % nr_pages;
		if (w->random >> 60 == 0)
			page %= 4; /* where they meet */
		if (may_write(page * PAGE_SIZE)) {
			atomic_fetch_add(&contents[page], 1);
			w->writes++;
			/* The guest exits by itself now and then. */
			if (w->random >> 58 & 3)
				continue;
		} else {
			const struct map_range *range;
			struct ept_walk walk = walk_to(page * PAGE_SIZE);

			mmu_fault(vm, map_now(), page * PAGE_SIZE, MMU_WRITE, &walk, &range);
			w->exits++;
		}
		if (atomic_exchange(&page_tables_in_rom, false))
			assert_true(dirty_give_up_flags(vm, &w->reader));
		before_entry(&w->reader);
	}
	drain_write_log();
	grace_leave(&w->reader, w->cpu);
	return NULL;
}

/* What was written before the call, and since the page was copied last, is in the fetch. */
static void fetch_and_copy(tl_range_id id)
{
	static uint64_t before[MOST_PAGES];

	for (uint64_t page = 0; page < nr_pages; page++)
		before[page] = atomic_load(&contents[page]);
	assert_int_equal(tl_dirty_fetch(vm, id, fetched, NULL), TL_OK);
	for (uint64_t page = 0; page < nr_pages; page++) {
		if (is_fetched(page))
			copy[page] = atomic_load(&contents[page]);
		else
			assert_int_equal(before[page], copy[page]);
	}
}

/* Each writer has been stopped by the log often enough: on a busy machine some threads begin late. */
static bool all_have_exited(const struct writer *writers)
{
	for (unsigned i = 0; i < NR_WRITERS; i++)
		if (nr_pages == MOST_PAGES && atomic_load(&writers[i].exits) <= LEAST_EXITS)
			return false;
	return true;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* `goes_over`: in the midst of it flags are given up. */
static void copy_by_the_log(uint64_t pages, bool goes_over)
{
	static struct writer writers[NR_WRITERS];
	tl_range_id id = range_add(ram_range(0, pages * PAGE_SIZE));
	pthread_t threads[NR_WRITERS];
	double end = seconds() + 3;
	unsigned fetches = 0;

	nr_pages = pages;
	vm->ept_pages_at_hand = EPT_PAGES_AT_HAND;
	atomic_store(&over, false);
	memset(log_words, 0, nr_pages / 8);
	for (uint64_t page = 0; page < nr_pages; page++)
		copy[page] = atomic_load(&contents[page]);
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		writers[i] = (struct writer){.cpu = 1 + i, .random = 5 + i};
		grace_reader_add(&writers[i].reader, vm);
		assert_int_equal(pthread_create(&threads[i], NULL, write_pages, &writers[i]), 0);
	}
	for (; fetches < LEAST_FETCHES || !all_have_exited(writers) || (fetches < MOST_FETCHES && seconds() < end);
	     fetches++) {
		fetch_and_copy(id);
		if (goes_over && fetches == LEAST_FETCHES * 2 / 3)
			atomic_store(&page_tables_in_rom, true);
		/* What split the leaves goes as well. */
		if (fetches % 16 == 15) {
			assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
			memset(log_words, 0, nr_pages / 8);
			assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
			for (uint64_t page = 0; page < nr_pages; page++)
				copy[page] = atomic_load(&contents[page]);
		}
	}
	atomic_store(&over, true);
	for (unsigned i = 0; i < NR_WRITERS; i++) {
		pthread_join(threads[i], NULL);
		grace_reader_remove(&writers[i].reader);
	}
	fetch_and_copy(id);
	print_message("%u fetches; %lu and %lu writes, %lu and %lu exits\n", fetches, (unsigned long)writers[0].writes,
		      (unsigned long)writers[1].writes, (unsigned long)writers[0].exits,
		      (unsigned long)writers[1].exits);
	for (uint64_t page = 0; page < nr_pages; page++)
		assert_int_equal(copy[page], atomic_load(&contents[page]));
	assert_int_equal(tl_dirty_stop(vm, id), TL_OK);
	assert_true(!goes_over || protects());
}

static void a_copy_by_the_log_is_the_memory(void **context)
{
	(void)context;
	copy_by_the_log(MOST_PAGES, false);
}

static void also_where_few_pages_are_split_at_the_start(void **context)
{
	(void)context;
	copy_by_the_log(FEW_PAGES, false);
}

static void also_while_flags_are_given_up(void **context)
{
	(void)context;
	copy_by_the_log(MOST_PAGES, true);
}

static _Atomic bool has_written;

static void *write_on_another_cpu(void *gpa)
{
	hosted_cpu = 1;
	flush_write_tlb(vm);
	guest_write(*(const gpa_t *)gpa);
	atomic_store(&has_written, true);
	return NULL;
}

static ept_slot_t *table_below(ept_slot_t *slot)
{
	return phys_to_host(atomic_load(slot) & EPT_ADDRESS);
}

/* Who opens a pointer waits for who is opening one below it, far from his own page, and closes that again. */
static void what_is_being_opened_below_is_closed(void **context)
{
	gpa_t elsewhere = 40 * MIB2;
	tl_range_id id = range_add((struct tl_range){
		.kind = TL_RANGE_RAM, .start = 0, .size = GIB, .host = hosted_memory(GIB + PAGE_SIZE)});
	ept_slot_t *pointer;
	ept_entry_t open;
	pthread_t thread;

	(void)context;
	guest_write(0);
	guest_write(elsewhere);
	memset(log_words, 0, sizeof(log_words));
	assert_int_equal(tl_dirty_start(vm, id, log_words), TL_OK);
	pointer = table_below(table_below(vm->root));
	open = atomic_load(pointer);
	assert_true(open & EPT_WRITE);
	atomic_store(pointer, (open & ~EPT_WRITE) | EPT_OPENING);
	atomic_store(&has_written, false);
	assert_int_equal(pthread_create(&thread, NULL, write_on_another_cpu, &elsewhere), 0);
	usleep(20000);
	assert_false(atomic_load(&has_written));
	atomic_store(pointer, open);
	pthread_join(thread, NULL);
	assert_true(atomic_load(&has_written));
	assert_false(atomic_load(pointer) & (EPT_WRITE | EPT_OPENING));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BY_PROTECTION(a_copy_by_the_log_is_the_memory),
		BY_FLAGS(a_copy_by_the_log_is_the_memory),
		BY_PML(a_copy_by_the_log_is_the_memory),
		BY_FLAGS(also_while_flags_are_given_up),
		BY_PROTECTION(also_where_few_pages_are_split_at_the_start),
		BY_FLAGS(also_where_few_pages_are_split_at_the_start),
		BY_PML(also_where_few_pages_are_split_at_the_start),
		BY_PML(also_while_flags_are_given_up),
		BY_PROTECTION(what_is_being_opened_below_is_closed),
		BY_FLAGS(what_is_being_opened_below_is_closed),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
