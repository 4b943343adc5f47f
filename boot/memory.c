/* SPDX-License-Identifier: MIT */
#include "boot/memory.h"

#include <stdatomic.h>

#include "boot/libc.h"

enum { WORD = 64, MEMORY_LOW = 1 << 20, RESERVED_MAX = BOOT_MODULES_MAX + 3 /* low memory, image, bitmap */ };

/*
 * Usable pages in a row, nothing reserved among them. free[] has a bit for each page, set while it is free; some[] has
 * a bit for each word of free[] that is not 0, so that a single page is found by looking at one word in 4096 pages. No
 * word of some[] below `hint` has a bit.
 */
struct zone {
	uint64_t start;
	size_t pages;
	uint64_t *free, *some;
	size_t hint;
};

static struct zone zones[BOOT_MAP_MAX + RESERVED_MAX];
static size_t nr_zones;
static size_t nr_free;
static atomic_flag memory_lock = ATOMIC_FLAG_INIT;

static void lock(void)
{
	/* Acquire: what the last holder wrote to the bitmap is seen. Pairs with unlock(). */
	while (atomic_flag_test_and_set_explicit(&memory_lock, memory_order_acquire))
		;
}

static void unlock(void)
{
	/* Release: the bitmap is written before the lock is seen free. */
	atomic_flag_clear_explicit(&memory_lock, memory_order_release);
}

static size_t words_for(size_t bits)
{
	return (bits + WORD - 1) / WORD;
}

static size_t zone_words(size_t pages)
{
	return words_for(pages) + words_for(words_for(pages));
}

/* ---- Bits ------------------------------------------------------------------------------------------------- */

/* The bits of word `index` that lie in pages first to first + count - 1. */
static uint64_t word_mask(size_t index, size_t first, size_t count)
{
	size_t low = index * WORD, high = low + WORD, end = first + count;
	uint64_t mask = ~0ull;

	if (first > low)
		mask &= ~0ull << (first - low);
	if (end < high)
		mask &= ~0ull >> (high - end);
	return mask;
}

static bool bits_are(const struct zone *z, size_t first, size_t count, bool set)
{
	for (size_t w = first / WORD; w <= (first + count - 1) / WORD; w++) {
		uint64_t mask = word_mask(w, first, count);

		if ((z->free[w] & mask) != (set ? mask : 0))
			return false;
	}
	return true;
}

static void bits_set(struct zone *z, size_t first, size_t count, bool set)
{
	for (size_t w = first / WORD; w <= (first + count - 1) / WORD; w++) {
		uint64_t mask = word_mask(w, first, count);

		z->free[w] = set ? z->free[w] | mask : z->free[w] & ~mask;
		if (z->free[w])
			z->some[w / WORD] |= 1ull << w % WORD;
		else
			z->some[w / WORD] &= ~(1ull << w % WORD);
	}
	if (set && first / WORD / WORD < z->hint)
		z->hint = first / WORD / WORD;
}

/* The first of `count` free pages in a row; z->pages if there are none. */
static size_t find_run(struct zone *z, size_t count)
{
	size_t page = 0, run = 0;

	while (page < z->pages) {
		uint64_t word = z->free[page / WORD] >> page % WORD;
		size_t same;

		if (!(word & 1)) {
			run = 0;
			page += word ? (size_t)__builtin_ctzll(word) : WORD - page % WORD;
			continue;
		}
		same = ~word ? (size_t)__builtin_ctzll(~word) : WORD;
		page += same;
		run += same;
		if (run >= count)
			return page - run;
	}
	return z->pages;
}

static size_t find_one(struct zone *z)
{
	size_t words = words_for(words_for(z->pages));

	while (z->hint < words && !z->some[z->hint])
		z->hint++;
	if (z->hint == words)
		return z->pages;
	size_t word = z->hint * WORD + (size_t)__builtin_ctzll(z->some[z->hint]);
	return word * WORD + (size_t)__builtin_ctzll(z->free[word]);
}

/* ---- Start ------------------------------------------------------------------------------------------------ */

static struct boot_range whole_pages(uint64_t start, uint64_t end)
{
	return (struct boot_range){start & ~(HOST_PAGE - 1ull), (end + HOST_PAGE - 1) & ~(HOST_PAGE - 1ull)};
}

/* What no page may be taken from; the last row is left for the bitmap. Returns the number of rows. */
static size_t list_reserved(const struct boot_info *info, struct boot_range reserved[RESERVED_MAX])
{
	size_t count = 0;

	reserved[count++] = (struct boot_range){0, MEMORY_LOW};
	reserved[count++] = whole_pages(info->image.start, info->image.end);
	for (size_t i = 0; i < info->nr_modules; i++)
		reserved[count++] = whole_pages(info->modules[i].start, info->modules[i].end);
	return count;
}

/* The reserved range with the lowest start that meets start to end, or NULL. */
static const struct boot_range *first_reserved(const struct boot_range *reserved, size_t nr_reserved, uint64_t start,
					       uint64_t end)
{
	const struct boot_range *first = NULL;

	for (size_t i = 0; i < nr_reserved; i++)
		if (reserved[i].start < end && start < reserved[i].end && (!first || reserved[i].start < first->start))
			first = &reserved[i];
	return first;
}

/* The lowest `size` bytes of usable memory that meet nothing reserved and end at `reach` or below; 0: there are none.
 */
static uint64_t find_place(const struct boot_info *info, const struct boot_range *reserved, size_t nr_reserved,
			   uint64_t size, uint64_t reach)
{
	for (size_t i = 0; i < info->nr_memory; i++) {
		uint64_t at = info->memory[i].start;
		uint64_t end = info->memory[i].end < reach ? info->memory[i].end : reach;

		while (at < end && size <= end - at) {
			const struct boot_range *r = first_reserved(reserved, nr_reserved, at, at + size);

			if (!r)
				return at;
			at = r->end;
		}
	}
	return 0;
}

static void add_zone(uint64_t start, uint64_t end, uint64_t **bitmap)
{
	struct zone *z = &zones[nr_zones++];

	*z = (struct zone){.start = start, .pages = (end - start) / HOST_PAGE};
	z->free = *bitmap;
	z->some = *bitmap + words_for(z->pages);
	*bitmap += zone_words(z->pages);
	bits_set(z, 0, z->pages, true);
	nr_free += z->pages;
}

/* Zones for what of a usable range is not reserved. */
static void add_zones(const struct boot_range *range, const struct boot_range *reserved, size_t nr_reserved,
		      uint64_t **bitmap)
{
	uint64_t at = range->start;

	while (at < range->end) {
		const struct boot_range *r = first_reserved(reserved, nr_reserved, at, range->end);
		uint64_t end = r ? r->start : range->end;

		if (at < end)
			add_zone(at, end, bitmap);
		at = r ? r->end : range->end;
	}
}

bool memory_init(const struct boot_info *info, uint64_t reach)
{
	struct boot_range reserved[RESERVED_MAX];
	size_t nr_reserved = list_reserved(info, reserved);
	/* A range that is cut in two may take three words more than one whole. */
	uint64_t size = 3 * RESERVED_MAX * sizeof(uint64_t), place;
	uint64_t *bitmap;

	for (size_t i = 0; i < info->nr_memory; i++)
		size += zone_words((info->memory[i].end - info->memory[i].start) / HOST_PAGE) * sizeof(*bitmap);
	place = find_place(info, reserved, nr_reserved, size, reach);
	if (!place)
		return false;
	reserved[nr_reserved++] = whole_pages(place, place + size);
	bitmap = (uint64_t *)place;
	memset(bitmap, 0, size);
	nr_zones = nr_free = 0;
	for (size_t i = 0; i < info->nr_memory; i++)
		add_zones(&info->memory[i], reserved, nr_reserved, &bitmap);
	return nr_free > 0;
}

/* ---- Use -------------------------------------------------------------------------------------------------- */

static void *take(size_t count)
{
	for (size_t i = 0; i < nr_zones; i++) {
		struct zone *z = &zones[i];
		size_t page = count == 1 ? find_one(z) : find_run(z, count);

		if (page == z->pages)
			continue;
		bits_set(z, page, count, false);
		nr_free -= count;
		return (void *)(z->start + page * HOST_PAGE);
	}
	return NULL;
}

void *memory_alloc(size_t count)
{
	void *pages = NULL;

	lock();
	if (count && count <= nr_free)
		pages = take(count);
	unlock();
	if (pages)
		memset(pages, 0, count * HOST_PAGE);
	return pages;
}

static bool give_back(uint64_t start, size_t count)
{
	for (size_t i = 0; i < nr_zones; i++) {
		struct zone *z = &zones[i];
		size_t page = (start - z->start) / HOST_PAGE;

		if (start < z->start || page >= z->pages)
			continue;
		if (count > z->pages - page || !bits_are(z, page, count, false))
			return false;
		bits_set(z, page, count, true);
		nr_free += count;
		return true;
	}
	return false;
}

bool memory_free(void *pages, size_t count)
{
	bool done;

	if (!pages)
		return true;
	if (!count || (uintptr_t)pages % HOST_PAGE)
		return false;
	lock();
	done = give_back((uintptr_t)pages, count);
	unlock();
	return done;
}

size_t memory_free_pages(void)
{
	size_t count;

	lock();
	count = nr_free;
	unlock();
	return count;
}
