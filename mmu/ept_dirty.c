/* SPDX-License-Identifier: MIT */
#include "mmu/ept_dirty.h"
#include "mmu/dirty.h"

/* A page that the guest may write to. */
static bool is_open_page(ept_entry_t entry)
{
	return ept_is_present(entry) && entry & EPT_WRITE;
}

static void harvest_page(ept_slot_t *slot, ept_entry_t entry, const struct ept_harvest *h, bool counts)
{
	while (is_open_page(entry) && entry & ~h->keep && (entry & EPT_ADDRESS) - h->host < h->size)
		/* acq_rel: the mark comes after it, and the flush number, too. */
		if (atomic_compare_exchange_weak_explicit(slot, &entry, entry & h->keep, memory_order_acq_rel,
							  memory_order_relaxed)) {
			if (counts && entry & EPT_DIRTY)
				dirty_mark(h->log, (entry & EPT_ADDRESS) - h->host);
			return;
		}
}

/* The pages from index `i` on of a table that begins at `base`: most of them have nothing to take. */
static void harvest_pages(ept_slot_t *table, unsigned i, gpa_t base, const struct ept_harvest *h, bool counts)
{
	uint64_t left = (h->last - base) >> PAGE_SHIFT;
	unsigned last = left < EPT_NR_ENTRIES ? (unsigned)left : EPT_NR_ENTRIES - 1;

	for (; i <= last; i++) {
		/* relaxed: a value, compared as a whole. */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (unlikely(entry & EPT_WRITE && entry & ~h->keep))
			harvest_page(&table[i], entry, h, counts);
	}
}

/* `counts`: there is a log, and all pointers on the way to the table are open. */
static void harvest_below(ept_slot_t *table, unsigned level, gpa_t base, const struct ept_harvest *h, bool counts)
{
	unsigned i = h->first > base ? (unsigned)((h->first - base) / EPT_SPAN(level)) : 0;

	if (level == 1) {
		harvest_pages(table, i, base, h, counts);
		return;
	}
	for (; i < EPT_NR_ENTRIES && base + i * EPT_SPAN(level) <= h->last; i++) {
		/* acquire: as in ept_walk(). */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);
		bool open = entry & EPT_WRITE;

		/* Below a closed one there is nothing to take, but what goes goes. */
		if (ept_leads_down(entry, ept_reserved_address()) && (open || !h->keep))
			harvest_below(ept_table_at(entry), level - 1, base + i * EPT_SPAN(level), h, counts && open);
	}
}

void ept_harvest(struct tl_vm *vm, const struct ept_harvest *harvest)
{
	harvest_below(vm->root, EPT_LEVELS, 0, harvest, harvest->log != NULL);
}

/* The entry of an open page, NULL if it is none. */
static ept_slot_t *find_open_page(const struct tl_vm *vm, gpa_t gpa, ept_entry_t *entry)
{
	struct ept_walk walk;

	ept_descend(vm, gpa, &walk);
	*entry = walk.entry;
	return walk.level == 1 && is_open_page(walk.entry) ? walk.slot : NULL;
}

ept_entry_t ept_open_page(const struct tl_vm *vm, gpa_t gpa)
{
	ept_entry_t entry;

	return find_open_page(vm, gpa, &entry) ? entry : 0;
}

void ept_clean(struct tl_vm *vm, gpa_t gpa)
{
	ept_entry_t entry;
	ept_slot_t *slot = find_open_page(vm, gpa, &entry);

	while (slot && is_open_page(entry) && entry & EPT_DIRTY)
		/* acq_rel: as above. */
		if (atomic_compare_exchange_weak_explicit(slot, &entry, entry & ~EPT_DIRTY, memory_order_acq_rel,
							  memory_order_relaxed))
			return;
}
