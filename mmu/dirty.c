/* SPDX-License-Identifier: MIT */
#include "mmu/dirty.h"
#include "mmu/ept_protect.h"
#include "mmu/map_edit.h"

void dirty_mark(_Atomic uint64_t *log, uint64_t offset)
{
	uint64_t page = offset >> PAGE_SHIFT;

	/* seq_cst: against the exchange in take(), and on the sides of the entry that opens the page. */
	atomic_fetch_or_explicit(&log[page / 64], BIT(page % 64), memory_order_seq_cst);
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

/* The range as it is; false: there is none. */
static bool find_range(struct tl_vm *vm, tl_range_id id, struct map_range *range)
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

static size_t take(_Atomic uint64_t *log, uint64_t *pages, uint64_t nr_pages)
{
	size_t count = 0;

	for (uint64_t i = 0; i < (nr_pages + 63) / 64; i++) {
		/* relaxed: one that is marked meanwhile comes with the next fetch. */
		pages[i] = atomic_load_explicit(&log[i], memory_order_relaxed);
		/* seq_cst: the marks are taken before anything is closed. */
		if (pages[i])
			pages[i] = atomic_exchange_explicit(&log[i], 0, memory_order_seq_cst);
		for (uint64_t left = pages[i]; left; left &= left - 1)
			count++;
	}
	return count;
}

/*
 * The marks are taken first and the range is closed after that: what is opened between the two is closed again, and
 * who opens a page later marks it once more. The round lets everybody finish who had marked a page and not written it.
 */
enum tl_status tl_dirty_fetch(struct tl_vm *vm, tl_range_id id, uint64_t *pages, size_t *count)
{
	struct map_range range;
	size_t taken;

	if (grace_current())
		return TL_WOULD_WAIT;
	if (!find_range(vm, id, &range))
		return TL_NO_RANGE;
	if (!dirty_log(&range))
		return TL_INVALID_ARGUMENT;
	taken = take(range.log, pages, (range.last - range.start + 1) >> PAGE_SHIFT);
	if (count)
		*count = taken;
	vm_lock_tables(vm);
	ept_close(vm, range.start, range.last);
	vm_unlock_tables(vm);
	vm_request_flush(vm);
	grace_wait(vm, grace_raise(vm), NULL);
	return TL_OK;
}
