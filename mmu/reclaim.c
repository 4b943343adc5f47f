/* SPDX-License-Identifier: MIT */
/*
 * Tables are a cache as well: those that hold nothing but MMIO entries can be made again. They are given up when the
 * VM may have no more, by the vCPU that needs one, and when the embedder asks. A commit that takes MMIO ranges away
 * walks nothing; it counts what may have been left, and when that is much a vCPU unlinks it.
 */
#include "mmu/ept_collect.h"
#include "mmu/map_edit.h"

void tl_vm_limit_ept_pages(struct tl_vm *vm, size_t ept_pages)
{
	/* relaxed: a number, it orders nothing. */
	atomic_store_explicit(&vm->max_ept_pages, ept_pages ? ept_pages : VM_DEFAULT_EPT_PAGES, memory_order_relaxed);
}

/* A transaction without edits, of which the second half is left: flush, and free. NULL: no page, or no table. */
static struct tl_edit *give_up_tables(struct tl_vm *vm)
{
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		return NULL;
	vm_lock_tables(vm);
	ept_collect_mmio(vm, &edit->garbage);
	vm_unlock_tables(vm);
	if (!edit->garbage.nr) {
		tl_map_discard(edit);
		return NULL;
	}
	/* Rule 6: unlinked, then the flush number, then the round. */
	vm_request_flush(vm);
	edit->round = grace_raise(vm);
	edit->stage = EDIT_WAIT_FLUSH;
	edit->cleared = true;
	return edit;
}

bool vm_reclaim(struct tl_vm *vm, struct grace_reader *self)
{
	struct tl_edit *edit = give_up_tables(vm);

	if (edit)
		map_defer(self, edit);
	return edit != NULL;
}

void vm_too_many_gone(struct tl_vm *vm)
{
	/* Before the round of the publication, as each flush number. */
	vm_request_flush(vm);
}

void vm_collect_gone(struct tl_vm *vm, struct grace_reader *self)
{
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		return;
	vm_lock(vm);
	atomic_store_explicit(&vm->gone_tables, 0, memory_order_relaxed);
	/* Of the last publication: who holds an older map may still make entries of what is gone. */
	edit->round = atomic_load_explicit(&vm->round, memory_order_relaxed);
	vm_unlock(vm);
	edit->zaps = edit->collects = true;
	map_defer(self, edit);
}

enum tl_status tl_vm_trim(struct tl_vm *vm)
{
	/* What the guest touches meanwhile is made again: as many as there are now, and no more, are looked at. */
	size_t most = atomic_load_explicit(&vm->nr_ept_pages, memory_order_relaxed);
	struct tl_edit *edit;

	if (grace_current())
		return TL_WOULD_WAIT;
	for (size_t freed = 0; freed < most && (edit = give_up_tables(vm)); freed += EPT_GARBAGE_MAX)
		map_complete(edit, NULL);
	return TL_OK;
}
