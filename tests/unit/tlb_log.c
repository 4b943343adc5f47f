/* SPDX-License-Identifier: MIT */
#include "tests/unit/tlb_log.h"
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "mmu/mmu.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_PAGES = 1 << 19 };

/*
 * What was written before a fetch begins and is in none yet must be in it. What is written while one is under way is in
 * this or in the next, and may be in both.
 */
static bool must[MOST_PAGES], may[MOST_PAGES], meanwhile[MOST_PAGES];
/* A page that an exit opened for a write that the test does not try again: in how many fetches it may be. */
static uint8_t opened[MOST_PAGES];
static uint64_t words[MOST_PAGES / 64], fetched[MOST_PAGES / 64];
static struct memory *logged;
static tl_range_id logged_id;

uint64_t log_fetches, log_pages;

bool log_is_of(const struct memory *memory)
{
	return memory == logged;
}

static bool is_there(const struct memory *memory, gpa_t gpa, hpa_t hpa)
{
	return memory->id == logged_id && memory->host == logged->host && gpa - memory->start < memory->size &&
	       hpa == memory->host + (gpa - memory->start);
}

/* Where the range is, or where it was until the commit that is under way. */
static void wrote(gpa_t gpa, hpa_t hpa)
{
	bool there = logged && is_there(logged, gpa, hpa);

	for (unsigned i = 0; logged && i < nr_going; i++)
		there |= is_there(&going[i], gpa, hpa);
	if (there)
		(fetching ? meanwhile : must)[(hpa - logged->host) >> PAGE_SHIFT] = true;
}

void log_opened(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = map_find(map, gpa);

	if (logged && range->id == logged_id && dirty_log(range))
		opened[(gpa - range->start) >> PAGE_SHIFT] = 2;
}

void log_start(void)
{
	logged = NULL;
	fetching = false;
	guest_wrote = wrote;
}

static uint64_t nr_pages(void)
{
	return logged->size / PAGE_SIZE;
}

/* What is written meanwhile may be in the log or not: all of that counts from the return on. */
static void begin(struct memory *memory)
{
	enum tl_status status;

	memset(words, 0, sizeof(words));
	memset(must, 0, sizeof(must));
	memset(may, 0, sizeof(may));
	memset(meanwhile, 0, sizeof(meanwhile));
	memset(opened, 0, sizeof(opened));
	logged = memory;
	logged_id = memory->id;
	fetching = true;
	status = tl_dirty_start(vm, memory->id, words);
	fetching = false;
	if (status != TL_OK) {
		assert_int_equal(status, TL_AGAIN);
		logged = NULL;
		return;
	}
	memcpy(may, meanwhile, sizeof(may));
	memset(meanwhile, 0, sizeof(meanwhile));
}

static void fetch(void)
{
	size_t count;

	fetching = true;
	assert_int_equal(tl_dirty_fetch(vm, logged_id, fetched, &count), TL_OK);
	fetching = false;
	for (uint64_t page = 0; page < nr_pages(); page++) {
		bool is = fetched[page / 64] >> page % 64 & 1;

		if (is ? !(must[page] || may[page] || meanwhile[page] || opened[page]) : must[page])
			found_error(WRONG_LOG);
		must[page] = meanwhile[page] && !is;
		may[page] = meanwhile[page];
		meanwhile[page] = false;
		if (opened[page])
			opened[page]--;
	}
	log_fetches++;
	log_pages += count;
}

void log_something(void)
{
	struct memory *memory = &ranges[random_below(NR_RANGES)];

	if (!logged && memory->id != TL_HOLE && memory->kind == TL_RANGE_RAM) {
		begin(memory);
	} else if (logged && random_below(12)) {
		fetch();
	} else if (logged) {
		fetching = true;
		assert_int_equal(tl_dirty_stop(vm, logged_id), TL_OK);
		log_start();
	}
}

void log_follow(void)
{
	if (logged && logged->id != logged_id)
		logged = NULL;
	if (logged)
		memset(&must[nr_pages()], 0, MOST_PAGES - nr_pages());
}
