/* SPDX-License-Identifier: MIT */
#include "mmu/dirty.h"
#include "mmu/ept_dirty.h"
#include "mmu/ept_protect.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"

void dirty_mark(_Atomic uint64_t *log, uint64_t offset)
{
	uint64_t page = offset >> PAGE_SHIFT;

	/* seq_cst: against the exchange in take(), and on the sides of the entry that opens the page. */
	atomic_fetch_or_explicit(&log[page / 64], BIT(page % 64), memory_order_seq_cst);
}

void dirty_mark_some(_Atomic uint64_t *log, uint64_t offset, uint64_t count)
{
	for (uint64_t page = offset >> PAGE_SHIFT, here; count; page += here, count -= here) {
		here = 64 - page % 64;
		if (here > count)
			here = count;
		/* seq_cst: as above. */
		atomic_fetch_or_explicit(&log[page / 64], ~0ull >> (64 - here) << page % 64, memory_order_seq_cst);
	}
}

static enum tl_status change_log(struct tl_vm *vm, tl_range_id id, _Atomic uint64_t *log)
{
	struct tl_edit *edit;
	enum tl_status status;

	if (grace_current())
		return TL_WOULD_WAIT;
	edit = tl_map_edit(vm);
	if (!edit)
		return TL_NO_MEMORY;
	status = map_note_log(edit, id, log);
	if (status == TL_OK)
		return tl_map_commit(edit);
	tl_map_discard(edit);
	return status;
}

enum tl_status tl_dirty_start(struct tl_vm *vm, tl_range_id id, uint64_t *log)
{
	if (!log)
		return TL_INVALID_ARGUMENT;
	/* Atomic and plain words are alike in memory; the embedder's type says less of how it is used. */
	return change_log(vm, id, (_Atomic uint64_t *)(void *)log);
}

enum tl_status tl_dirty_stop(struct tl_vm *vm, tl_range_id id)
{
	return change_log(vm, id, NULL);
}

bool dirty_find_range(struct tl_vm *vm, tl_range_id id, struct map_range *range)
{
	const struct map *map;
	bool found;

	vm_lock(vm);
	/* relaxed: under the writer lock nobody publishes. */
	map = atomic_load_explicit(&vm->map, memory_order_relaxed);
	found = id >= MAP_FIRST_ID && id < map->nr_slots && map->ranges[id].kind != MAP_FREE;
	if (found)
		*range = map->ranges[id];
	vm_unlock(vm);
	return found;
}

ALWAYS_INLINE void take_word(_Atomic uint64_t *log, uint64_t *pages)
{
	/* relaxed: one that is marked meanwhile comes with the next fetch. */
	if (atomic_load_explicit(log, memory_order_relaxed))
		/* seq_cst: the marks are taken before anything is closed. */
		*pages = atomic_exchange_explicit(log, 0, memory_order_seq_cst);
}

enum { WORDS_AT_ONCE = 8 };

static void take(_Atomic uint64_t *log, uint64_t *pages, uint64_t nr_words)
{
	uint64_t i = 0;

	__builtin_memset(pages, 0, nr_words * sizeof(pages[0]));
	for (; nr_words - i >= WORDS_AT_ONCE; i += WORDS_AT_ONCE) {
		if (!any_of_words(&log[i], WORDS_AT_ONCE))
			continue;
#pragma GCC unroll 8
		for (unsigned j = 0; j < WORDS_AT_ONCE; j++)
			take_word(&log[i + j], &pages[i + j]);
	}
	for (; i < nr_words; i++)
		take_word(&log[i], &pages[i]);
}

static size_t count_pages(const uint64_t *pages, uint64_t nr_words)
{
	size_t count = 0;

	for (uint64_t i = 0; i < nr_words; i++)
		for (uint64_t left = pages[i]; left; left &= left - 1)
			count++;
	return count;
}

/* Marks the page of a logged range that is behind `entry`, if there is one. */
static bool mark_behind(const struct map_range *range, ept_entry_t entry)
{
	uint64_t offset;

	if (!dirty_log(range))
		return false;
	offset = (entry & EPT_ADDRESS) - host_to_phys(range->host);
	if (offset > range->last - range->start)
		return false;
	dirty_mark(range->log, offset);
	return true;
}

void dirty_note(struct tl_vm *vm, gpa_t gpa)
{
	/* acquire: rule 2. */
	const struct map *map = atomic_load_explicit(&vm->map, memory_order_acquire);
	ept_entry_t entry = ept_open_page(vm, gpa);

	/*
	 * The flag decides: since the CPU wrote the record the page may have been fetched. If the page is no longer
	 * the range's that is there now, who takes the entry away marks it.
	 */
	if (entry & EPT_DIRTY)
		mark_behind(map_find(map, gpa), entry);
}

/* Larger leaves of a logged range are not written through: theirs are set beforehand. */
static bool says_written(const struct tl_vm *vm, ept_entry_t entry)
{
	return entry & EPT_DIRTY && entry & EPT_WRITE && !(entry & EPT_LARGE) &&
	       atomic_load_explicit(&vm->flags_on, memory_order_relaxed);
}

/* The flag is of the page that is behind the entry, whose range may be elsewhere by now. */
static void mark_anywhere(const struct map *map, ept_entry_t entry)
{
	for (uint32_t id = MAP_FIRST_ID; id < map->nr_slots; id++)
		if (mark_behind(&map->ranges[id], entry))
			return;
}

void dirty_replace(const struct tl_vm *vm, const struct map *map, ept_entry_t entry)
{
	if (unlikely(says_written(vm, entry)))
		mark_anywhere(map, entry);
}

void dirty_zap(struct tl_vm *vm, gpa_t gpa, ept_entry_t entry)
{
	const struct map_range *range;
	const struct map *map;

	if (likely(!says_written(vm, entry)))
		return;
	vm_lock(vm);
	map = atomic_load_explicit(&vm->map, memory_order_relaxed);
	range = map_find(map, gpa);
	/* Without a log of the range's that is there the flag was set beforehand, whoever else has the same memory. */
	if (map_is_memory(range) && host_to_phys(range->host + (gpa - range->start)) == (entry & EPT_ADDRESS))
		mark_behind(range, entry);
	else
		mark_anywhere(map, entry);
	vm_unlock(vm);
}

static void harvest(struct tl_vm *vm, const struct map_range *range, ept_entry_t keep)
{
	ept_harvest(vm, &(struct ept_harvest){.first = range->start,
					      .last = range->last,
					      .host = host_to_phys(range->host),
					      .size = range->last - range->start + 1,
					      .log = range->log,
					      .keep = keep});
}

/* Marks what the CPUs have noted until now. The flags are taken with it; by PML the fetch does that page by page. */
static void gather(struct tl_vm *vm, const struct map_range *range)
{
	if (!atomic_load_explicit(&vm->flags_on, memory_order_relaxed))
		return;
	if (dirty_by(vm) == DIRTY_BY_PML) {
		/* Each vCPU empties its buffer before it announces the round. */
		grace_wait(vm, grace_raise(vm), NULL);
		return;
	}
	vm_lock_tables(vm);
	harvest(vm, range, ~EPT_DIRTY);
	vm_unlock_tables(vm);
}

static void clean_taken(struct tl_vm *vm, const struct map_range *range, const uint64_t *pages, uint64_t nr_words)
{
	for (uint64_t i = 0; i < nr_words; i++)
		for (uint64_t left = pages[i]; left; left &= left - 1)
			ept_clean(vm, range->start + ((i * 64 + (unsigned)__builtin_ctzll(left)) << PAGE_SHIFT));
}

/*
 * What was taken is to be noted anew when it is written again; by flags it is already. Called after the marks were
 * taken: where one of them was made by protection, dirty_by says so.
 */
static void rearm(struct tl_vm *vm, const struct map_range *range, const uint64_t *pages, uint64_t nr_words)
{
	enum dirty_by by = dirty_by(vm);

	if (by == DIRTY_BY_FLAGS)
		return;
	vm_lock_tables(vm);
	if (by == DIRTY_BY_PML) {
		clean_taken(vm, range, pages, nr_words);
	} else {
		/* On the way from flags to protection: what is below a closed pointer would not be looked at. */
		if (atomic_load_explicit(&vm->flags_on, memory_order_relaxed))
			harvest(vm, range, ~(EPT_DIRTY | EPT_WRITE));
		ept_close(vm, range->start, range->last, by);
	}
	vm_unlock_tables(vm);
}

/*
 * The marks are taken first and the range is closed, or the flags of PML are taken, after that: what is opened or
 * written between the two is closed again or in what was taken, and who writes to a page later marks it once more. The
 * round lets everybody finish who had marked a page and not written it, and with it CPUs forget which flags were set.
 */
enum tl_status tl_dirty_fetch(struct tl_vm *vm, tl_range_id id, uint64_t *pages, size_t *count)
{
	struct map_range range;
	uint64_t nr_words;

	if (grace_current())
		return TL_WOULD_WAIT;
	if (!dirty_find_range(vm, id, &range))
		return TL_NO_RANGE;
	if (!dirty_log(&range))
		return TL_INVALID_ARGUMENT;
	nr_words = (((range.last - range.start + 1) >> PAGE_SHIFT) + 63) / 64;
	gather(vm, &range);
	take(range.log, pages, nr_words);
	if (count)
		*count = count_pages(pages, nr_words);
	rearm(vm, &range, pages, nr_words);
	vm_request_flush(vm);
	grace_wait(vm, grace_raise(vm), NULL);
	return TL_OK;
}

bool dirty_is_logged(struct tl_vm *vm, gpa_t first, gpa_t last)
{
	const struct map *map = atomic_load_explicit(&vm->map, memory_order_relaxed);

	if (!atomic_load_explicit(&vm->flags_on, memory_order_relaxed))
		return false;
	if (vm->logs_going)
		return true;
	for (uint32_t id = MAP_FIRST_ID; id < map->nr_slots; id++) {
		const struct map_range *range = &map->ranges[id];

		if (dirty_log(range) && range->start <= last && range->last >= first)
			return true;
	}
	return false;
}

bool dirty_give_up_flags(struct tl_vm *vm, struct grace_reader *self)
{
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		return false;
	atomic_store_explicit(&vm->dirty_by, DIRTY_BY_PROTECTION, memory_order_relaxed);
	edit->round = grace_raise(vm);
	edit->zaps = edit->protects = true;
	map_defer(self, edit);
	tl_log(TL_LOG_INFO, "a guest has page tables in memory that must not be written: "
			    "its writes are logged by write protection from now on");
	return true;
}

static uint32_t nr_slots(struct tl_vm *vm)
{
	uint32_t nr;

	vm_lock(vm);
	nr = atomic_load_explicit(&vm->map, memory_order_relaxed)->nr_slots;
	vm_unlock(vm);
	return nr;
}

void dirty_protect(struct tl_vm *vm)
{
	struct map_range range;

	/* Every range that has been logged by flags: those that come are closed by dirty_begin(). */
	for (tl_range_id id = MAP_FIRST_ID; id < nr_slots(vm); id++)
		if (dirty_find_range(vm, id, &range) && dirty_log(&range)) {
			vm_lock_tables(vm);
			harvest(vm, &range, ~(EPT_DIRTY | EPT_WRITE));
			vm_unlock_tables(vm);
		}
	atomic_store_explicit(&vm->flags_on, false, memory_order_relaxed);
}
