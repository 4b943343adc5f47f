/* SPDX-License-Identifier: MIT */
#include "guest/pc/pc_shake.h"

/* Where nothing of a PC is. */
#define SHAKE_SPARE 0xe0000000ull

enum { SHAKE_INVALIDATE, SHAKE_MOVE, SHAKE_REPLACE, SHAKE_ADD, SHAKE_KINDS };

/* Away and back: its entries are stale, though it is where it was. */
static enum tl_status move_and_return(struct tl_edit *edit, const struct tl_range *range, tl_range_id id)
{
	enum tl_status status = tl_map_move(edit, id, SHAKE_SPARE);

	return status == TL_OK ? tl_map_move(edit, id, range->start) : status;
}

/* A range of its own in the place of another one. */
static enum tl_status replace(struct tl_edit *edit, const struct tl_range *range, tl_range_id *id)
{
	enum tl_status status = tl_map_remove(edit, *id);

	return status == TL_OK ? tl_map_add(edit, range, id) : status;
}

/* What was added by one shake goes with the next one of the kind. */
static enum tl_status add_or_remove(struct pc *pc, struct tl_edit *edit)
{
	const struct tl_range range = {.kind = TL_RANGE_MMIO,
				       .start = SHAKE_SPARE + (2ull << 20),
				       .size = 4096,
				       .access = local_apic_access,
				       .context = &pc->machine.bus};

	pc->shake_added = !pc->shake_added;
	return pc->shake_added ? tl_map_add(edit, &range, &pc->shake_id) : tl_map_remove(edit, pc->shake_id);
}

/* Of the local APICs' first page: what it is now, for a guest that does not move it meanwhile. It keeps its id. */
static enum tl_status edit_apics(struct pc *pc, struct tl_edit *edit)
{
	struct pc_apic_page page;
	const struct tl_range *range;

	lock_acquire(&pc->apic_pages);
	page = pc->apic_page[0];
	lock_release(&pc->apic_pages);
	range = &(struct tl_range){.start = page.at};
	return page.users && page.mapped ? move_and_return(edit, range, page.id) : TL_NO_RANGE;
}

/* The board's ranges in turn, and the local APICs' as the last one. */
static enum tl_status edit_one(struct pc *pc, struct tl_edit *edit, unsigned kind, unsigned which)
{
	struct machine *machine = &pc->machine;

	if (kind == SHAKE_ADD)
		return add_or_remove(pc, edit);
	if (which == machine->nr_ranges)
		return edit_apics(pc, edit);
	return kind == SHAKE_MOVE ? move_and_return(edit, &machine->range[which], machine->id[which])
				  : replace(edit, &machine->range[which], &machine->id[which]);
}

void pc_shake(struct pc *pc)
{
	unsigned kind = pc->shakes % SHAKE_KINDS, which = pc->shakes / SHAKE_KINDS % (pc->machine.nr_ranges + 1);
	enum tl_status status;
	struct tl_edit *edit;

	pc->shakes++;
	if (kind == SHAKE_INVALIDATE) {
		tl_vm_invalidate_mmio(pc->vm);
		return;
	}
	edit = tl_map_edit(pc->vm);
	if (!edit)
		return;
	status = edit_one(pc, edit, kind, which);
	if (status == TL_OK)
		status = tl_map_commit(edit);
	else
		tl_map_discard(edit);
	if (status != TL_OK)
		pc_end(pc, GUEST_EXIT, 1, tl_status_text(status));
}
