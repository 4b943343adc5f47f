/* SPDX-License-Identifier: MIT */
#include "mmu/map_edit.h"
#include "mmu/hooks.h"

struct tl_edit *tl_map_edit(struct tl_vm *vm)
{
	/* acquire: the page's former owner is done with it. */
	struct tl_edit *edit = atomic_exchange_explicit(&vm->spare_edit, NULL, memory_order_acquire);

	if (!edit)
		edit = hooks->alloc_pages(1);
	if (!edit)
		return NULL;
	edit->first.next = NULL;
	edit->first.nr_steps = 0;
	edit->last = &edit->first;
	edit->vm = vm;
	edit->next = NULL;
	edit->nr_adds = 0;
	/* relaxed: only tells TL_CONFLICT from the writer's own mistake. */
	edit->base = atomic_load_explicit(&vm->publications, memory_order_relaxed);
	edit->stage = EDIT_WAIT_GRACE;
	edit->passed = edit->takes = edit->zaps = edit->wraps = edit->settles = edit->cleared = false;
	edit->protects = edit->collects = false;
	edit->garbage.nr = 0;
	return edit;
}

static struct edit_step *next_step(struct tl_edit *edit)
{
	if (unlikely(edit->last->nr_steps == EDIT_STEPS_PER_PAGE)) {
		struct edit_page *page = hooks->alloc_pages(1);

		if (!page)
			return NULL;
		edit->last->next = page;
		edit->last = page;
	}
	return &edit->last->step[edit->last->nr_steps];
}

static enum tl_status note(struct tl_edit *edit, enum edit_kind kind, tl_range_id id, uint64_t value)
{
	struct edit_step *step;

	if (kind != EDIT_ADD && id < MAP_FIRST_ID)
		return TL_NO_RANGE;
	step = next_step(edit);
	if (!step)
		return TL_NO_MEMORY;
	step->kind = kind;
	step->id = id;
	if (kind == EDIT_MOVE)
		step->start = value;
	else
		step->size = value;
	edit->last->nr_steps++;
	return TL_OK;
}

static enum tl_status check_place(uint64_t start, uint64_t size)
{
	unsigned width = mmu_cpu.maxphyaddr < 48 ? mmu_cpu.maxphyaddr : 48;

	if (size == 0)
		return TL_INVALID_ARGUMENT;
	if (start + (size - 1) < start)
		return TL_WRAPS;
	if ((start + (size - 1)) >> width)
		return TL_TOO_HIGH;
	return TL_OK;
}

/* A kind of memory with its callback. */
static enum tl_status check_rights(enum tl_range_kind kind, tl_mmio_fn access)
{
	if (access && (kind == TL_RANGE_RAM || kind == TL_RANGE_PASSTHROUGH))
		return TL_INVALID_ARGUMENT;
	if (kind != TL_RANGE_EXECUTE_ONLY || mmu_cpu.execute_only)
		return TL_OK;
	tl_log(TL_LOG_ERROR, "this CPU has no execute-only EPT entries: let the guest read the memory (TL_RANGE_ROM).");
	return TL_UNSUPPORTED;
}

static enum tl_status check_memory(const struct tl_range *range)
{
	enum tl_status status = check_rights(range->kind, range->access);
	hpa_t host = host_to_phys(range->host);

	if (!range->host || range->options || range->doorbell)
		return TL_INVALID_ARGUMENT;
	if (status != TL_OK)
		return status;
	if (!ALIGNED(range->start | range->size | (uintptr_t)range->host, PAGE_SIZE))
		return TL_UNALIGNED;
	/* What is uncached is in no L1 cache. */
	if (range->kind != TL_RANGE_PASSTHROUGH && ept_l1tf_target(host, host + range->size, mmu_cpu.maxphyaddr))
		return TL_RAM_AT_L1TF_TARGET;
	return TL_OK;
}

/* What the guest's writes there would do beside the CPU's, memory does not (rule 19). */
static enum tl_status check_apic(const struct tl_range *range)
{
	if (!range->access || range->size != PAGE_SIZE)
		return TL_INVALID_ARGUMENT;
	if (mmu_cpu.apic_accesses)
		return check_memory(range);
	tl_log(TL_LOG_ERROR,
	       "this CPU does not virtualize APIC accesses: give the guest its local APIC as TL_RANGE_MMIO.");
	return TL_UNSUPPORTED;
}

static enum tl_status check_device(const struct tl_range *range)
{
	const struct tl_mmio_options *options = range->options;

	if (range->host || range->doorbell || (options && options->sizes & ~15u))
		return TL_INVALID_ARGUMENT;
	return TL_OK;
}

static enum tl_status check_doorbell(const struct tl_range *range)
{
	const struct tl_doorbell *bell = range->doorbell;

	if (range->host || range->options || !bell || !bell->counts || bell->signal > TL_SIGNAL_CALL ||
	    bell->stride_shift > 63 || (bell->nr_matches != 0) != (bell->matches != NULL))
		return TL_INVALID_ARGUMENT;
	return TL_OK;
}

static enum tl_status check_kind(const struct tl_range *range)
{
	switch (range->kind) {
	case TL_RANGE_RAM:
	case TL_RANGE_ROM:
	case TL_RANGE_EXECUTE_ONLY:
	case TL_RANGE_PASSTHROUGH:
		return check_memory(range);
	case TL_RANGE_APIC:
		return check_apic(range);
	case TL_RANGE_MMIO:
		return check_device(range);
	case TL_RANGE_DOORBELL:
		return check_doorbell(range);
	default:
		return TL_INVALID_ARGUMENT;
	}
}

enum tl_status tl_map_add(struct tl_edit *edit, const struct tl_range *range, tl_range_id *id)
{
	enum tl_status status = check_place(range->start, range->size);
	struct edit_step *step;

	if (status != TL_OK)
		return status;
	status = check_kind(range);
	if (status != TL_OK)
		return status;
	step = next_step(edit);
	if (!step)
		return TL_NO_MEMORY;
	step->kind = EDIT_ADD;
	step->range = *range;
	step->id_out = id;
	edit->last->nr_steps++;
	edit->nr_adds++;
	return TL_OK;
}

enum tl_status tl_map_remove(struct tl_edit *edit, tl_range_id id)
{
	return note(edit, EDIT_REMOVE, id, 0);
}

/* Height and alignment depend on the range, so the commit checks them. */
enum tl_status tl_map_move(struct tl_edit *edit, tl_range_id id, uint64_t start)
{
	return note(edit, EDIT_MOVE, id, start);
}

enum tl_status tl_map_resize(struct tl_edit *edit, tl_range_id id, uint64_t size)
{
	if (size == 0)
		return TL_INVALID_ARGUMENT;
	return note(edit, EDIT_RESIZE, id, size);
}

enum tl_status tl_map_protect(struct tl_edit *edit, tl_range_id id, enum tl_range_kind kind, tl_mmio_fn access)
{
	enum tl_status status = check_rights(kind, access);
	struct edit_step *step;

	if (kind != TL_RANGE_RAM && kind != TL_RANGE_ROM && kind != TL_RANGE_EXECUTE_ONLY)
		return TL_INVALID_ARGUMENT;
	if (status != TL_OK)
		return status;
	status = note(edit, EDIT_PROTECT, id, 0);
	if (status != TL_OK)
		return status;
	step = &edit->last->step[edit->last->nr_steps - 1];
	step->range.kind = kind;
	step->range.access = access;
	return TL_OK;
}

enum tl_status map_note_log(struct tl_edit *edit, tl_range_id id, _Atomic uint64_t *log)
{
	enum tl_status status = note(edit, EDIT_LOG, id, 0);

	if (status == TL_OK)
		edit->last->step[edit->last->nr_steps - 1].log = log;
	return status;
}

void tl_map_discard(struct tl_edit *edit)
{
	struct edit_page *page = edit->first.next;
	struct tl_vm *vm = edit->vm;

	while (page) {
		struct edit_page *next = page->next;

		hooks->free_pages(page, 1);
		page = next;
	}
	/* release: whoever takes the page next finds us done with it. */
	edit = atomic_exchange_explicit(&vm->spare_edit, edit, memory_order_acq_rel);
	if (unlikely(edit))
		hooks->free_pages(edit, 1);
}
