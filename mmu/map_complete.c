/* SPDX-License-Identifier: MIT */
/* What of a commit has to wait: grace period, zap, flush, the second half of a wrap, release. */
#include "mmu/ept_table.h"
#include "mmu/map_edit.h"

static void zap_steps(const struct tl_edit *edit)
{
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			if (page->step[i].zap_first <= page->step[i].zap_last)
				ept_zap_present(edit->vm, page->step[i].zap_first, page->step[i].zap_last);
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

	ept_zap_mmio(vm);
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
		map_publish(vm, map);
		vm->wraps++;
	}
	vm->wrap_owed = !map && !again;
	vm_unlock(vm);
	return map || !again;
}

bool map_complete(struct tl_edit *edit, struct grace_reader *self)
{
	struct tl_vm *vm = edit->vm;

	if (edit->stage == EDIT_WAIT_GRACE) {
		if (!grace_wait(vm, edit->round, self))
			return false;
		edit->stage = EDIT_FINISH;
		if (edit->zaps) {
			/* Rule 4, in this order: zap, raise the flush number, and only then the round. */
			zap_steps(edit);
			vm_request_flush(vm);
			edit->round = grace_raise(vm);
			edit->stage = EDIT_WAIT_FLUSH;
		}
	}
	if (edit->stage == EDIT_WAIT_FLUSH) {
		if (!grace_wait(vm, edit->round, self))
			return false;
		edit->stage = EDIT_FINISH;
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
