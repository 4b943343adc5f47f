/* SPDX-License-Identifier: MIT */
#include "mmu/ept_collect.h"
#include "mmu/dirty.h"
#include "mmu/ept_table.h"

_Static_assert(EPT_LEVELS < PAGE_SIZE, "a level fits beside the address of a table");

/* The first and the last index in a table at `level`, which begins at `base`, that meets [first, last]. */
static unsigned first_index(gpa_t base, unsigned level, gpa_t first)
{
	return first > base ? (unsigned)((first - base) / EPT_SPAN(level)) : 0;
}

static unsigned last_index(gpa_t base, unsigned level, gpa_t last)
{
	gpa_t index = (last - base) / EPT_SPAN(level);

	return index < EPT_NR_ENTRIES ? (unsigned)index : EPT_NR_ENTRIES - 1;
}

/*
 * What comes too late into a table that is unlinked is made again, but not its dirty flag: so nobody publishes a log
 * between the look whether there is one and the unlinking. False: it stays, or somebody else has changed the slot.
 */
static bool take_out(struct tl_vm *vm, ept_slot_t *slot, ept_entry_t *entry, unsigned level, gpa_t first)
{
	bool done = false;

	vm_lock(vm);
	/* acq_rel: what others put there stays readable until it is freed. It fails where flags of the entry change. */
	while (!done && ept_leads_down(*entry, ept_reserved_address()) &&
	       !dirty_is_logged(vm, first, first + (EPT_SPAN(level) - 1)))
		done = atomic_compare_exchange_strong_explicit(slot, entry, 0, memory_order_acq_rel,
							       memory_order_acquire);
	vm_unlock(vm);
	return done;
}

/* Unlinks the table below the slot, which is of `level` and begins at `first`. False: there is no room for it. */
static bool unlink_table(struct tl_vm *vm, ept_slot_t *slot, ept_entry_t entry, unsigned level, gpa_t first,
			 struct ept_garbage *garbage)
{
	if (garbage->nr == EPT_GARBAGE_MAX)
		return false;
	if (!take_out(vm, slot, &entry, level, first))
		return true;
	garbage->table[garbage->nr++] = (entry & EPT_ADDRESS) | (level - 1);
	/* relaxed: a count. */
	atomic_fetch_add_explicit(&vm->unlinked, ept_count_mmio_below(ept_table_at(entry), level - 1),
				  memory_order_relaxed);
	return true;
}

static bool is_empty(const ept_slot_t *table)
{
	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++)
		/* relaxed: an entry that comes too late is lost with its table, and made again. */
		if (atomic_load_explicit(&table[i], memory_order_relaxed))
			return false;
	return true;
}

/* Nothing is lost with it but answers that a search gives again. */
static bool is_only_mmio(const ept_slot_t *table)
{
	for (unsigned i = 0; i < EPT_NR_ENTRIES; i++) {
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (entry && !is_mmio_spte(entry))
			return false;
	}
	return true;
}

static bool collect_below(struct tl_vm *vm, const struct ept_collect *what, ept_slot_t *table, unsigned level,
			  gpa_t base, struct ept_garbage *garbage)
{
	unsigned end = last_index(base, level, what->last);

	for (unsigned i = first_index(base, level, what->first); i <= end; i++) {
		/* acquire: as in ept_walk(). */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);
		gpa_t first = base + i * EPT_SPAN(level), last = first + (EPT_SPAN(level) - 1);
		bool needed;

		if (!ept_leads_down(entry, ept_reserved_address()))
			continue;
		needed = first < what->lowest || last > what->highest || level > what->level;
		if (needed && level > 2 && !collect_below(vm, what, ept_table_at(entry), level - 1, first, garbage))
			return false;
		if (needed && !is_empty(ept_table_at(entry)))
			continue;
		if (!unlink_table(vm, &table[i], entry, level, first, garbage))
			return false;
	}
	return true;
}

bool ept_collect(struct tl_vm *vm, const struct ept_collect *what, struct ept_garbage *garbage)
{
	return collect_below(vm, what, vm->root, EPT_LEVELS, 0, garbage);
}

/* False: there is no room left, and the hand is where to go on. */
static bool collect_mmio_below(struct tl_vm *vm, ept_slot_t *table, unsigned level, gpa_t base, gpa_t from, gpa_t to,
			       struct ept_garbage *garbage)
{
	unsigned end = last_index(base, level, to);

	for (unsigned i = first_index(base, level, from); i <= end; i++) {
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);
		gpa_t first = base + i * EPT_SPAN(level);

		if (!ept_leads_down(entry, ept_reserved_address()))
			continue;
		if (level > 2 && !collect_mmio_below(vm, ept_table_at(entry), level - 1, first, from, to, garbage))
			return false;
		if (is_only_mmio(ept_table_at(entry)) && !unlink_table(vm, &table[i], entry, level, first, garbage)) {
			vm->collect_hand = first;
			return false;
		}
	}
	return true;
}

void ept_collect_mmio(struct tl_vm *vm, struct ept_garbage *garbage)
{
	gpa_t hand = vm->collect_hand, last = BIT(48) - 1;

	if (collect_mmio_below(vm, vm->root, EPT_LEVELS, 0, hand, last, garbage) && hand)
		collect_mmio_below(vm, vm->root, EPT_LEVELS, 0, 0, hand - 1, garbage);
}

static void free_below(struct tl_vm *vm, ept_slot_t *table, unsigned level)
{
	for (unsigned i = 0; level > 1 && i < EPT_NR_ENTRIES; i++) {
		/* relaxed: nobody writes there any more, and who did has announced a round since. */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_relaxed);

		if (ept_leads_down(entry, ept_reserved_address()))
			free_below(vm, ept_table_at(entry), level - 1);
	}
	ept_page_free(vm, table);
	/* relaxed: a count. */
	atomic_fetch_add_explicit(&vm->tables_freed, 1, memory_order_relaxed);
}

void ept_garbage_free(struct tl_vm *vm, struct ept_garbage *garbage)
{
	while (garbage->nr) {
		uint64_t table = garbage->table[--garbage->nr];

		free_below(vm, ept_table_at(table), (unsigned)(table & (PAGE_SIZE - 1)));
	}
}
