/* SPDX-License-Identifier: MIT */
/* What of a commit has to wait: grace period, zap, flush, the second half of a wrap, release. */
#include "mmu/dirty.h"
#include "mmu/ept_dirty.h"
#include "mmu/map_edit.h"

/* The largest entry that could map it, by how its places in the guest and in the host lie. */
static unsigned leaf_level(const struct map_range *range)
{
	unsigned level = mmu_cpu.ept_level;

	while (level > 1 && !ALIGNED(host_to_phys(range->host) - range->start, EPT_SPAN(level)))
		level--;
	return level;
}

/*
 * Unlinks the tables that [first, last] does not need, as the map is by now: a table is not needed where one entry
 * could say all that it says. Rule 5's order for it, unlink, flush, and only then something larger, holds for what is
 * present in the end: what a fault puts there before the flush says the same as the table. Only dirty flags are nowhere
 * else: the tables of a logged range stay.
 */
static void collect(struct tl_edit *edit, gpa_t first, gpa_t last)
{
	struct ept_collect what = {.first = first, .last = last};
	const struct map_range *range;

	vm_lock_tables(edit->vm);
	vm_lock(edit->vm);
	/* relaxed: under the writer lock nobody publishes. */
	range = map_find_extent(atomic_load_explicit(&edit->vm->map, memory_order_relaxed), first, &what.lowest,
				&what.highest);
	what.level = map_is_memory(range) ? leaf_level(range) : EPT_LEVELS;
	vm_unlock(edit->vm);
	edit->cleared &= ept_collect(edit->vm, &what, &edit->garbage);
	vm_unlock_tables(edit->vm);
}

/*
 * The pages that go, for as long as CPUs set flags: what was written since the log was fetched last is in it when they
 * are gone (rule 13). Without a log of theirs their flags say nothing, and others that have the same memory do not
 * believe them either.
 */
static void take_pages(struct tl_edit *edit, const struct edit_step *step)
{
	/* relaxed: a log that begins later begins with nothing. */
	if (!step->gone_size || !atomic_load_explicit(&edit->vm->flags_on, memory_order_relaxed))
		return;
	ept_harvest(edit->vm, &(struct ept_harvest){.first = step->gone_first,
						    .last = step->gone_last,
						    .host = step->gone_host,
						    .size = step->gone_size,
						    .log = step->gone_log});
}

static void take_all_pages(struct tl_edit *edit)
{
	vm_lock_tables(edit->vm);
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			take_pages(edit, &page->step[i]);
	vm_unlock_tables(edit->vm);
	if (edit->unlogs)
		dirty_ended(edit->vm);
	edit->unlogs = false;
}

/*
 * Where no range is: what stands there says no more than "hole", which one entry could. Live ranges in between keep
 * their entries.
 */
static void collect_holes(struct tl_edit *edit)
{
	gpa_t first = 0, lowest, highest, end;

	do {
		const struct map *map;
		bool hole;

		vm_lock(edit->vm);
		map = atomic_load_explicit(&edit->vm->map, memory_order_relaxed);
		hole = map_find_extent(map, first, &lowest, &highest)->kind == MAP_HOLE;
		end = map->ranges[MAP_HOLE_ID].last;
		vm_unlock(edit->vm);
		if (hole) {
			collect(edit, first, highest);
			/* The table of 4 KiB entries at its end was looked at as a whole: small ranges share it. */
			highest |= EPT_SPAN(2) - 1;
		}
		first = highest + 1;
	} while (highest < end);
}

static void clear_step(struct tl_edit *edit, const struct edit_step *step)
{
	if (step->kind == EDIT_LOG && step->log) {
		dirty_begin(edit->vm, step->id, step->gone_first, step->gone_last);
	} else if (step->gone_first <= step->gone_last) {
		collect(edit, step->gone_first, step->gone_last);
		vm_lock_tables(edit->vm);
		ept_zap_present(edit->vm, step->gone_first, step->gone_last);
		vm_unlock_tables(edit->vm);
	}
	if (step->new_first <= step->new_last)
		collect(edit, step->new_first, step->new_last);
}

/* As far as there is room for what is unlinked; edit->cleared says whether that was all. */
static void clear_steps(struct tl_edit *edit)
{
	edit->cleared = true;
	take_all_pages(edit);
	if (edit->protects)
		dirty_protect(edit->vm);
	if (edit->collects)
		collect_holes(edit);
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			clear_step(edit, &page->step[i]);
}

bool map_settle(struct tl_edit *edit)
{
	edit->cleared = true;
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			if (page->step[i].new_first <= page->step[i].new_last)
				collect(edit, page->step[i].new_first, page->step[i].new_last);
	return edit->garbage.nr != 0;
}

static void release_steps(const struct tl_edit *edit)
{
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			if (page->step[i].release)
				page->step[i].release(page->step[i].context);
}

/*
 * Rule 7, second half. Nobody can stamp an old tag any more, and every MMIO entry is gone: the map as it is by now is
 * published again, every range under a new tag, stamping on. Without memory for that, stamping stays off, which is
 * slow but right, and the next commit tries again. False: too many maps wait for their grace period.
 */
static bool finish_wrap(struct tl_vm *vm)
{
	struct map *map;
	bool again;

	vm_lock_tables(vm);
	ept_zap_mmio(vm);
	vm_unlock_tables(vm);
	vm_lock(vm);
	map = atomic_load_explicit(&vm->map, memory_order_relaxed);
	if (map->stamping) { /* another commit, that took over an owed wrap, was here first */
		vm_unlock(vm);
		return true;
	}
	map = map_copy(vm, map, map->nr_slots, &again);
	if (map) {
		map->stamping = true;
		map_retag_all(vm, map);
		/* As KVM did before 2013, whose zap took whole tables away. Ours takes entries, which no CPU caches. */
		if (vm->invalidate == TL_INVALIDATE_ZAP)
			vm_request_flush(vm);
		map_publish(vm, map);
		vm->wraps++;
	}
	vm->wrap_owed = !map && !again;
	vm_unlock(vm);
	return map || !again;
}

/* Rules 4 and 6, in this order: zap and unlink, raise the flush number, and only then the round. */
static void clear_and_flush(struct tl_edit *edit)
{
	clear_steps(edit);
	vm_request_flush(edit->vm);
	edit->round = grace_raise(edit->vm);
	edit->stage = EDIT_WAIT_FLUSH;
}

/* Takes the stage's step, once its round has passed. */
static void next_stage(struct tl_edit *edit)
{
	if (edit->stage == EDIT_WAIT_FLUSH) {
		ept_garbage_free(edit->vm, &edit->garbage);
		if (edit->cleared) {
			edit->stage = EDIT_FINISH;
			return;
		}
	} else if (!edit->zaps && !edit->garbage.nr) {
		edit->stage = EDIT_FINISH;
		return;
	}
	clear_and_flush(edit);
}

bool map_complete(struct tl_edit *edit, struct grace_reader *self)
{
	struct tl_vm *vm = edit->vm;

	while (edit->stage != EDIT_FINISH) {
		if (!edit->passed && !grace_wait(vm, edit->round, self))
			return false;
		edit->passed = false;
		next_stage(edit);
	}
	while (edit->wraps && !finish_wrap(vm))
		if (!grace_wait(vm, grace_raise(vm), self))
			return false;
	release_steps(edit);
	tl_map_discard(edit);
	return true;
}

bool map_complete_pending(struct grace_reader *reader)
{
	while (reader->pending) {
		struct tl_edit *edit = reader->pending;

		/* Off the list first: a release hook may commit, which appends to it. */
		reader->pending = edit->next;
		if (!map_complete(edit, reader)) {
			edit->next = reader->pending;
			reader->pending = edit;
			reader->entry_round = GRACE_ATTENTION;
			return false;
		}
	}
	return true;
}
