/* SPDX-License-Identifier: MIT */
/* How a log begins in the EPT, and what is over when the last one has ended. */
#include "mmu/dirty.h"
#include "mmu/ept_protect.h"
#include "mmu/hooks.h"

/* A log of no more than this splits its large leaves when it begins, so that no write has to. */
#define MOST_SPLIT_AT_START (8 * EPT_SPAN(2))

/* Walks to the leaf at `gpa`, where a span of 2 MiB begins; false: it is no large one of the range's logged memory. */
static bool find_large(struct tl_vm *vm, tl_range_id id, gpa_t gpa, struct ept_walk *walk)
{
	struct map_range range;

	if (!dirty_find_range(vm, id, &range) || !dirty_log(&range) || gpa - range.start > range.last - range.start)
		return false;
	ept_descend(vm, gpa, walk);
	return walk->level == 2 && (walk->entry & (EPT_READ | EPT_LARGE)) == (EPT_READ | EPT_LARGE) &&
	       (walk->entry & EPT_ADDRESS) == host_to_phys(range.host + (gpa - range.start));
}

/* False: there is no page for that. No hook is called with the lock held. */
static bool split_at_start(struct tl_vm *vm, tl_range_id id, gpa_t gpa)
{
	ept_slot_t *table;
	struct ept_walk walk;
	bool is_large;

	vm_lock_tables(vm);
	is_large = find_large(vm, id, gpa, &walk);
	vm_unlock_tables(vm);
	if (!is_large)
		return true;
	table = ept_page_alloc(vm);
	if (!table)
		return false;
	vm_lock_tables(vm);
	/* Where the CPU notes the writes all pages are open. The lock keeps that on this side of dirty_protect(). */
	if (find_large(vm, id, gpa, &walk) &&
	    ept_split(table, &walk, dirty_by(vm) == DIRTY_BY_PROTECTION ? 0 : EPT_WRITE))
		table = NULL;
	vm_unlock_tables(vm);
	if (table)
		ept_page_free(vm, table);
	return true;
}

/*
 * What the first write to each large leaf would do is done beforehand where they are few. Who writes through an open
 * page before the caller's flush writes before the log begins.
 */
static void split_few(struct tl_vm *vm, tl_range_id id, gpa_t first, gpa_t last)
{
	const gpa_t span = EPT_SPAN(2);

	if (last - first >= MOST_SPLIT_AT_START)
		return;
	for (gpa_t gpa = first & ~(span - 1); gpa <= last; gpa += span)
		if (!split_at_start(vm, id, gpa))
			return;
}

void dirty_begin(struct tl_vm *vm, tl_range_id id, gpa_t first, gpa_t last)
{
	enum dirty_by by;

	vm_lock_tables(vm);
	/* Once: if it changes meanwhile, dirty_protect() takes what was begun by flags. */
	by = dirty_by(vm);
	ept_close(vm, first, last, by);
	/* relaxed: the flush number, raised after it, has vCPUs look. The lock keeps it on this side of
	 * dirty_protect(). */
	if (by != DIRTY_BY_PROTECTION)
		atomic_store_explicit(&vm->flags_on, true, memory_order_relaxed);
	vm_unlock_tables(vm);
	split_few(vm, id, first, last);
}

static bool any_log(const struct map *map)
{
	for (uint32_t id = MAP_FIRST_ID; id < map->nr_slots; id++)
		if (dirty_log(&map->ranges[id]))
			return true;
	return false;
}

void dirty_ended(struct tl_vm *vm)
{
	/* Under the lock that a log is published under: dirty_begin() comes after that. */
	vm_lock(vm);
	vm->logs_going--;
	if (!any_log(atomic_load_explicit(&vm->map, memory_order_relaxed)))
		atomic_store_explicit(&vm->flags_on, false, memory_order_relaxed);
	vm_unlock(vm);
}
