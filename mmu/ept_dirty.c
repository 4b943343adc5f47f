/* SPDX-License-Identifier: MIT */
#include "mmu/ept_dirty.h"
#include "mmu/dirty.h"

/* A page that the guest may write to. */
static bool is_open_page(ept_entry_t entry)
{
	return ept_is_present(entry) && entry & EPT_WRITE;
}

enum { ENTRIES_AT_ONCE = 32, TAKEN_AT_ONCE = 8 };

/* acq_rel: the mark comes after it, and the flush number, too. */
ALWAYS_INLINE bool take_from(ept_slot_t *slot, ept_entry_t entry, ept_entry_t kept)
{
	return atomic_compare_exchange_strong_explicit(slot, &entry, kept, memory_order_acq_rel, memory_order_relaxed);
}

ALWAYS_INLINE bool is_now(const ept_slot_t *slot, ept_entry_t entry)
{
	/* relaxed: a hint, to spare an exchange that would fail. */
	return atomic_load_explicit(slot, memory_order_relaxed) == entry;
}

/*
 * Takes what goes of the entry in `slot`, which is `entry`, and of those behind it, `most` in all, for as long as they
 * are of the pages behind it and otherwise the same: what is written lies side by side as a rule, and between two that
 * are alike there is hardly one that is not. Returns how many that were.
 */
static unsigned take_all_like(ept_slot_t *slot, unsigned most, ept_entry_t entry, ept_entry_t kept)
{
	unsigned n = 0;

	for (; most - n >= TAKEN_AT_ONCE && is_now(&slot[TAKEN_AT_ONCE - 1], entry + (TAKEN_AT_ONCE - 1) * PAGE_SIZE);
	     n += TAKEN_AT_ONCE, slot += TAKEN_AT_ONCE) {
#pragma GCC unroll 8
		for (unsigned i = 0; i < TAKEN_AT_ONCE; i++, entry += PAGE_SIZE, kept += PAGE_SIZE)
			if (!take_from(&slot[i], entry, kept))
				return n + i;
	}
	for (; n < most && is_now(slot, entry) && take_from(slot, entry, kept); n++, slot++) {
		entry += PAGE_SIZE;
		kept += PAGE_SIZE;
	}
	return n;
}

/* Where among the entries from `i` to `end`, about, one has any of `bits`. */
static __attribute__((noinline)) unsigned skip(const ept_slot_t *table, unsigned i, unsigned end, ept_entry_t bits)
{
	const ept_slot_t *at = &table[i];

	while (at + ENTRIES_AT_ONCE <= &table[end] && !(any_of_words(at, ENTRIES_AT_ONCE) & bits))
		at += ENTRIES_AT_ONCE;
	return (unsigned)(at - table);
}

/*
 * The marks of entries side by side are set together, before the lock is given up under which a later fetch looks.
 * Returns how many entries are done with, of `most`; 0: the first has changed meanwhile.
 */
static unsigned harvest_some(ept_slot_t *slot, unsigned most, const struct ept_harvest *h, bool counts)
{
	/* relaxed: a value, compared as a whole. */
	const ept_entry_t entry = atomic_load_explicit(slot, memory_order_relaxed);
	const uint64_t offset = (entry & EPT_ADDRESS) - h->host, left = (h->size - offset) >> PAGE_SHIFT;
	unsigned taken;

	if (!(entry & EPT_WRITE && entry & ~h->keep) || !is_open_page(entry) || offset >= h->size)
		return 1;
	taken = take_all_like(slot, left < most ? (unsigned)left : most, entry, entry & h->keep);
	if (taken && counts && entry & EPT_DIRTY)
		dirty_mark_some(h->log, offset, taken);
	return taken;
}

/* The pages from index `i` to `last` of a table: most of them have nothing to take. */
static void harvest_pages(ept_slot_t *table, unsigned i, unsigned last, const struct ept_harvest *h, bool counts)
{
	const unsigned end = last + 1;
	unsigned stop;

	while (i < end) {
		i = skip(table, i, end, ~h->keep);
		stop = i + ENTRIES_AT_ONCE < end ? i + ENTRIES_AT_ONCE : end;
		while (i < stop)
			i += harvest_some(&table[i], end - i, h, counts);
	}
}

/* Below a closed pointer there is nothing to take, but what goes goes. `counts` becomes false there. */
ALWAYS_INLINE bool leads_on(ept_entry_t entry, ept_entry_t reserved, const struct ept_harvest *h, bool *counts)
{
	bool open = entry & EPT_WRITE;

	*counts &= open;
	return ept_leads_down(entry, reserved) && (open || !h->keep);
}

/* `counts`: there is a log, and all pointers on the way to the table are open. */
static void harvest_below(ept_slot_t *table, unsigned level, gpa_t base, const struct ept_harvest *h, bool counts)
{
	const gpa_t last = h->last - base < EPT_SPAN(level + 1) ? h->last : base + (EPT_SPAN(level + 1) - 1);
	unsigned i = ept_index(h->first > base ? h->first : base, level), end = ept_index(last, level);

	if (level == 1) {
		harvest_pages(table, i, end, h, counts);
		return;
	}
	for (; i <= end; i++) {
		/* acquire: as in ept_walk(). */
		ept_entry_t entry = atomic_load_explicit(&table[i], memory_order_acquire);
		bool count = counts;

		if (leads_on(entry, ept_reserved_address(), h, &count))
			harvest_below(ept_table_at(entry), level - 1, base + i * EPT_SPAN(level), h, count);
	}
}

/* From a table that has all of [first, last] on to the one below it that has, too; NULL: there is nothing to take. */
ALWAYS_INLINE ept_slot_t *narrow(ept_slot_t *table, unsigned level, ept_entry_t reserved, const struct ept_harvest *h,
				 bool *counts)
{
	/* acquire: as in ept_walk(). */
	ept_entry_t entry = atomic_load_explicit(&table[ept_index(h->first, level)], memory_order_acquire);

	return leads_on(entry, reserved, h, counts) ? ept_table_at(entry) : NULL;
}

void ept_harvest(struct tl_vm *vm, const struct ept_harvest *harvest)
{
	const gpa_t first = harvest->first, differ = first ^ harvest->last;
	const ept_entry_t reserved = ept_reserved_address();
	bool counts = harvest->log != NULL;
	ept_slot_t *table = vm->root;
	unsigned level = EPT_LEVELS;

	if (differ < EPT_SPAN(4) && level-- && (table = narrow(table, 4, reserved, harvest, &counts)) &&
	    differ < EPT_SPAN(3) && level-- && (table = narrow(table, 3, reserved, harvest, &counts)) &&
	    differ < EPT_SPAN(2) && level--)
		table = narrow(table, 2, reserved, harvest, &counts);
	if (table)
		harvest_below(table, level, first & ~(EPT_SPAN(level + 1) - 1), harvest, counts);
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
