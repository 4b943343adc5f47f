/* SPDX-License-Identifier: MIT */
#include "mmu/ept_protect.h"
#include "mmu/dirty.h"

/*
 * Takes the right to write. Waits for who is opening it: what he closes below would else be open under an entry that
 * was closed only later. He waits for nobody but those further down.
 */
static void close_entry(ept_slot_t *slot, ept_entry_t entry)
{
	while (ept_is_present(entry) && entry & (EPT_WRITE | EPT_OPENING)) {
		if (entry & EPT_OPENING) {
			__builtin_ia32_pause();
			entry = atomic_load_explicit(slot, memory_order_relaxed);
			continue;
		}
		/* acq_rel: after the bits were taken, and before the flush number is raised. */
		if (atomic_compare_exchange_weak_explicit(slot, &entry, entry & ~EPT_WRITE, memory_order_acq_rel,
							  memory_order_relaxed))
			return;
	}
}

/* A page whose writes the CPU notes need not be closed: only what it has noted so far has to go. */
static void clean_entry(ept_slot_t *slot, ept_entry_t entry)
{
	while (ept_is_present(entry) && entry & EPT_DIRTY)
		/* acq_rel: as above. */
		if (atomic_compare_exchange_weak_explicit(slot, &entry, entry & ~EPT_DIRTY, memory_order_acq_rel,
							  memory_order_relaxed))
			return;
}

static void close_or_clean(ept_slot_t *slot, ept_entry_t entry, unsigned level, bool cleans)
{
	if (level == 1 && cleans)
		clean_entry(slot, entry);
	else
		close_entry(slot, entry);
}

static void close_below(ept_slot_t *table, unsigned level, gpa_t base, gpa_t first, gpa_t last, bool cleans)
{
	unsigned i = first > base ? (unsigned)((first - base) / EPT_SPAN(level)) : 0;

	for (; i < EPT_NR_ENTRIES && base + i * EPT_SPAN(level) <= last; i++) {
		/* acquire: as in ept_walk(). */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);
		gpa_t start = base + i * EPT_SPAN(level);
		bool whole = start >= first && start + (EPT_SPAN(level) - 1) <= last;

		if (!whole && level > 1 && ept_leads_down(entry, ept_reserved_address()))
			close_below(ept_table_at(entry), level - 1, start, first, last, cleans);
		else /* also a leaf that reaches out of the span: more faults, no harm */
			close_or_clean(&table[i], entry, level, cleans);
	}
}

void ept_close(struct tl_vm *vm, gpa_t first, gpa_t last, enum dirty_by by)
{
	close_below(vm->root, EPT_LEVELS, 0, first, last, by != DIRTY_BY_PROTECTION);
}

enum { ENTRIES_AT_ONCE = 32 };

/* As a rule: what can be read is no MMIO entry, and what is open nobody is opening. */
ALWAYS_INLINE bool close_plain(ept_slot_t *slot, ept_entry_t entry)
{
	return likely((entry & (EPT_READ | EPT_WRITE)) == (EPT_READ | EPT_WRITE)) &&
	       /* acq_rel: as above. */
	       likely(atomic_compare_exchange_strong_explicit(slot, &entry, entry & ~EPT_WRITE, memory_order_acq_rel,
							      memory_order_relaxed));
}

/* All entries of a table. Of those that are closed, or clean, there may be many: they are passed by together. */
static void close_or_clean_all(ept_slot_t *table, unsigned level, bool cleans)
{
	const bool closes = level > 1 || !cleans;
	const ept_entry_t goes = closes ? EPT_WRITE | EPT_OPENING : EPT_DIRTY;

	for (ept_slot_t *slot = table; slot < table + EPT_NR_ENTRIES; slot += ENTRIES_AT_ONCE) {
		if (!(any_of_words(slot, ENTRIES_AT_ONCE) & goes))
			continue;
		for (ept_slot_t *at = slot; at < slot + ENTRIES_AT_ONCE; at++) {
			/* relaxed: a value, compared as a whole. */
			ept_entry_t entry = atomic_load_explicit(at, memory_order_relaxed);

			if (!closes || !close_plain(at, entry))
				close_or_clean(at, entry, level, cleans);
		}
	}
}

static enum ept_open open_entry(ept_slot_t *slot, ept_entry_t entry, unsigned level, bool cleans)
{
	ept_slot_t *table = ept_table_at(entry);
	ept_entry_t closed = entry;

	if (entry & EPT_OPENING || !atomic_compare_exchange_strong_explicit(slot, &entry, entry | EPT_OPENING,
									    memory_order_acquire, memory_order_relaxed))
		return EPT_BUSY;
	close_or_clean_all(table, level - 1, cleans);
	/*
	 * It fails where the table was unlinked meanwhile: then there is nothing to open. release: closed below first.
	 */
	entry = closed | EPT_OPENING;
	atomic_compare_exchange_strong_explicit(slot, &entry, closed | EPT_WRITE, memory_order_release,
						memory_order_relaxed);
	return EPT_OPENED;
}

enum ept_open ept_open(struct tl_vm *vm, gpa_t gpa)
{
	bool cleans = dirty_by(vm) != DIRTY_BY_PROTECTION, opened = false;
	ept_slot_t *table = vm->root;

	for (unsigned level = EPT_LEVELS; level > 1; level--) {
		ept_slot_t *slot = &table[ept_index(gpa, level)];
		ept_entry_t entry = atomic_load_explicit(slot, memory_order_acquire);

		if (!ept_leads_down(entry, ept_reserved_address()))
			break;
		if (unlikely(!(entry & EPT_WRITE))) {
			if (open_entry(slot, entry, level, cleans) == EPT_BUSY)
				return EPT_BUSY;
			opened = true;
		}
		table = ept_table_at(entry);
	}
	return opened ? EPT_OPENED : EPT_WAS_OPEN;
}
