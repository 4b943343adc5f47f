/* SPDX-License-Identifier: MIT */
/*
 * The page allocator over a mapping of this process, against a model that keeps one byte a page. The allocator's own
 * source is included: the tests look into its bitmaps.
 */
#include "boot/memory.c" /* NOLINT(bugprone-suspicious-include) */
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { ARENA_PAGES = 20000 };

static uint8_t *arena;
static struct boot_info info;
static uint8_t model[ARENA_PAGES]; /* 0: not the allocator's, 1: free, 2: out */

static uint64_t place(size_t page)
{
	return (uintptr_t)arena + page * HOST_PAGE;
}

static int map_arena(void **context)
{
	(void)context;
	arena = mmap(NULL, (size_t)ARENA_PAGES * HOST_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return arena == MAP_FAILED;
}

static int unmap_arena(void **context)
{
	(void)context;
	return munmap(arena, (size_t)ARENA_PAGES * HOST_PAGE);
}

static void add_memory_range(size_t first, size_t end)
{
	info.memory[info.nr_memory++] = (struct boot_range){place(first), place(end)};
}

static void add_module_at(uint64_t start, uint64_t end)
{
	info.modules[info.nr_modules].start = start;
	info.modules[info.nr_modules++].end = end;
}

/* Holes, a page alone, the image, modules with ragged ends and one at a range's very end. */
static int set_up(void **context)
{
	(void)context;
	memset(&info, 0, sizeof(info));
	add_memory_range(0, 1);
	add_memory_range(3, 130);
	add_memory_range(200, 9000);
	add_memory_range(10000, ARENA_PAGES);
	info.image = (struct boot_range){place(3), place(9)};
	add_module_at(place(300) + 5, place(303) + 1);
	add_module_at(place(304), place(304) + 7);
	add_module_at(place(19990), place(20000));
	memset(arena, 0xEE, (size_t)ARENA_PAGES * HOST_PAGE);
	return !memory_init(&info, UINT64_MAX);
}

static bool reserved_page(size_t page)
{
	uint64_t start = place(page), end = start + HOST_PAGE;

	if (start < info.image.end && info.image.start < end)
		return true;
	for (size_t i = 0; i < info.nr_modules; i++)
		if (start < info.modules[i].end && info.modules[i].start < end)
			return true;
	return false;
}

static bool usable_page(size_t page)
{
	for (size_t i = 0; i < info.nr_memory; i++)
		if (place(page) >= info.memory[i].start && place(page) < info.memory[i].end)
			return true;
	return false;
}

static size_t page_of(const void *pages)
{
	return ((uintptr_t)pages - (uintptr_t)arena) / HOST_PAGE;
}

/* The summary and the hint say what the bits say. */
static void check_zones(void)
{
	size_t count = 0;

	for (size_t i = 0; i < nr_zones; i++) {
		const struct zone *z = &zones[i];

		for (size_t w = 0; w < words_for(z->pages); w++) {
			count += (size_t)__builtin_popcountll(z->free[w]);
			assert_int_equal(z->some[w / WORD] >> w % WORD & 1, z->free[w] != 0);
			assert_true(!z->free[w] || w / WORD >= z->hint);
		}
	}
	assert_int_equal(count, memory_free_pages());
}

static void takes_over_what_is_not_reserved(void **context)
{
	size_t usable = 0, out = 0;
	void *page;

	(void)context;
	check_zones();
	for (size_t i = 0; i < ARENA_PAGES; i++)
		usable += usable_page(i) && !reserved_page(i);
	memset(model, 0, sizeof(model));
	while ((page = memory_alloc(1)) != NULL) {
		size_t at = page_of(page);

		assert_true(usable_page(at) && !reserved_page(at) && !model[at]);
		model[at] = 2;
		out++;
	}
	assert_int_equal(memory_free_pages(), 0);
	/* The bitmap and its summary take a page or two. */
	assert_in_range(usable - out, 1, 2);
}

static void zeroes_pages(void **context)
{
	uint8_t *pages = memory_alloc(70);

	(void)context;
	for (size_t i = 0; i < (size_t)70 * HOST_PAGE; i++)
		assert_int_equal(pages[i], 0);
	memset(pages, 0xEE, (size_t)70 * HOST_PAGE);
	assert_true(memory_free(pages, 70));
	pages = memory_alloc(1);
	for (size_t i = 0; i < HOST_PAGE; i++)
		assert_int_equal(pages[i], 0);
}

static void refuses_what_does_not_fit(void **context)
{
	size_t before = memory_free_pages();

	(void)context;
	assert_null(memory_alloc(0));
	assert_null(memory_alloc(10000)); /* more are free, but not in a row */
	assert_null(memory_alloc(SIZE_MAX));
	assert_non_null(memory_alloc(9990)); /* exactly the last range's */
	assert_int_equal(memory_free_pages(), before - 9990);
	check_zones();
}

static void refuses_wrong_frees(void **context)
{
	uint8_t *pages = memory_alloc(8);
	size_t before = memory_free_pages();

	(void)context;
	assert_false(memory_free(pages + 1, 1));
	assert_false(memory_free(pages, 0));
	assert_false(memory_free(pages, 9));
	assert_false(memory_free(pages, SIZE_MAX));
	assert_false(memory_free((void *)place(4), 1));   /* the image */
	assert_false(memory_free((void *)place(301), 1)); /* a module */
	assert_false(memory_free((void *)place(150), 1)); /* a hole */
	assert_false(memory_free((void *)(place(ARENA_PAGES)), 1));
	assert_int_equal(memory_free_pages(), before);
	assert_true(memory_free(pages + 3 * HOST_PAGE, 2));
	assert_false(memory_free(pages, 8)); /* two of them are free already */
	assert_true(memory_free(pages, 3));
	assert_true(memory_free(pages + 5 * HOST_PAGE, 3));
	assert_false(memory_free(pages, 1));
	assert_true(memory_free(NULL, 5));
	check_zones();
}

/* The lowest run of free pages in the model; runs of two zones never touch, since something reserved lies between. */
static size_t model_first_fit(size_t count)
{
	size_t run = 0;

	for (size_t i = 0; i < ARENA_PAGES; i++) {
		run = model[i] == 1 ? run + 1 : 0;
		if (run == count)
			return i + 1 - count;
	}
	return ARENA_PAGES;
}

static void model_learn(void)
{
	memset(model, 0, sizeof(model));
	for (size_t i = 0; i < nr_zones; i++)
		memset(model + page_of((void *)zones[i].start), 1, zones[i].pages);
}

struct holding {
	uint8_t *pages;
	size_t count;
};

static void agrees_with_the_model(void **context)
{
	static struct holding held[400];
	size_t nr_held = 0, fullest = 0;

	(void)context;
	random_seed(7);
	model_learn();
	for (unsigned round = 0; round < 20000; round++) {
		/* Waves: for a while more is taken than given back, then the other way round. */
		bool take_more = round / 2000 % 2 == 0 ? random_below(4) != 0 : random_below(4) == 0;

		if (take_more && nr_held < 400) {
			size_t count = random_below(3) ? 1 : 1 + random_below(200);
			size_t expected = model_first_fit(count);
			uint8_t *pages = memory_alloc(count);

			if (expected == ARENA_PAGES) {
				assert_null(pages);
				continue;
			}
			assert_int_equal(page_of(pages), expected);
			memset(model + expected, 2, count);
			memset(pages, 0xEE, HOST_PAGE);
			held[nr_held++] = (struct holding){pages, count};
		} else if (nr_held) {
			size_t which = random_below(nr_held);

			assert_true(memory_free(held[which].pages, held[which].count));
			memset(model + page_of(held[which].pages), 1, held[which].count);
			held[which] = held[--nr_held];
		}
		fullest = nr_held > fullest ? nr_held : fullest;
		if (round % 500 == 0)
			check_zones();
	}
	assert_int_equal(fullest, 400);
	while (nr_held--)
		assert_true(memory_free(held[nr_held].pages, held[nr_held].count));
	check_zones();
}

static void keeps_the_bitmap_in_reach(void **context)
{
	(void)context;
	/* The page alone holds it, or the next place that is not the image's. */
	assert_true(memory_init(&info, place(1)));
	assert_true((uintptr_t)zones[0].free == place(0));
	info.memory[0] = info.memory[1];
	assert_true(memory_init(&info, place(10)));
	assert_true((uintptr_t)zones[0].free == place(9));
	assert_false(memory_init(&info, place(9)));
	assert_false(memory_init(&info, place(9) + 512));
	info.nr_memory = 0;
	assert_false(memory_init(&info, UINT64_MAX));
}

static void leaves_the_first_mib(void **context)
{
	struct boot_range reserved[RESERVED_MAX];
	size_t count = list_reserved(&info, reserved);

	(void)context;
	assert_ptr_equal(first_reserved(reserved, count, 0, HOST_PAGE), &reserved[0]);
	assert_ptr_equal(first_reserved(reserved, count, 0xFF000, 0x100000), &reserved[0]);
	assert_null(first_reserved(reserved, count, 0x100000, 0x101000));
}

/* Addresses without memory behind them, but for the bitmap and what is taken. */
static void takes_over_512_gib(void **context)
{
	const uint64_t gib = 1ull << 30, size = 512 * gib;
	uint8_t *whole = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t start = (uintptr_t)whole, bitmap;
	uint8_t *page;

	(void)context;
	assert_true(whole != MAP_FAILED);
	memset(&info, 0, sizeof(info));
	/* 2 GiB, a hole, and the rest with a page missing. */
	info.memory[0] = (struct boot_range){start, start + 2 * gib};
	info.memory[1] = (struct boot_range){start + 4 * gib, start + 300 * gib};
	info.memory[2] = (struct boot_range){start + 300 * gib + HOST_PAGE, start + size};
	info.nr_memory = 3;
	info.image = (struct boot_range){start + gib, start + gib + 5};
	assert_true(memory_init(&info, start + 4 * gib));
	bitmap = (510 * gib / HOST_PAGE / 8) * 65 / 64 / HOST_PAGE;
	assert_in_range(memory_free_pages(), 510 * gib / HOST_PAGE - bitmap - 5, 510 * gib / HOST_PAGE - bitmap);
	/* The lowest page behind the bitmap, and the very last ones of all. */
	page = memory_alloc(1);
	assert_in_range((uintptr_t)page - start, bitmap * HOST_PAGE, (bitmap + 5) * HOST_PAGE);
	assert_true(memory_free(page, 1));
	for (size_t i = 0; i < nr_zones; i++)
		bits_set(&zones[i], 0, zones[i].pages - (i == nr_zones - 1 ? 3 : 0), false);
	nr_free = 3;
	assert_ptr_equal(memory_alloc(3), whole + size - 3 * HOST_PAGE);
	assert_null(memory_alloc(1));
	assert_true(memory_free(whole + size - HOST_PAGE, 1));
	assert_ptr_equal(memory_alloc(1), whole + size - HOST_PAGE);
	assert_int_equal(munmap(whole, size), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(takes_over_what_is_not_reserved, set_up),
		cmocka_unit_test_setup(zeroes_pages, set_up),
		cmocka_unit_test_setup(refuses_what_does_not_fit, set_up),
		cmocka_unit_test_setup(refuses_wrong_frees, set_up),
		cmocka_unit_test_setup(agrees_with_the_model, set_up),
		cmocka_unit_test_setup(keeps_the_bitmap_in_reach, set_up),
		cmocka_unit_test_setup(leaves_the_first_mib, set_up),
		cmocka_unit_test(takes_over_512_gib),
	};

	return cmocka_run_group_tests(tests, map_arena, unmap_arena);
}
