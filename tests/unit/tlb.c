/* SPDX-License-Identifier: MIT */
#include "tests/unit/tlb.h"
#include "mmu/ept_table.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"

/* More than a run meets between two flushes, as a rule; beyond it a CPU does forget something, as it may. */
enum { MOST = 512 };

/* What an entry at `level` that covers `gpa` said: where the next table is, or the memory. */
struct cached {
	gpa_t base; /* where the entry's span begins */
	ept_entry_t entry;
	ept_entry_t rights; /* of it and all entries before it */
	unsigned level;
};

static struct cpu {
	struct cached cached[MOST];
	unsigned nr, next;
} cpus[TLB_CPUS];

uint64_t tlb_used[EPT_LEVELS];

static gpa_t span_of(gpa_t gpa, unsigned level)
{
	return gpa & ~(EPT_SPAN(level) - 1);
}

static void keep(struct cpu *cpu, gpa_t gpa, unsigned level, ept_entry_t entry, ept_entry_t rights)
{
	gpa_t base = span_of(gpa, level);

	for (unsigned i = 0; i < cpu->nr; i++)
		if (cpu->cached[i].base == base && cpu->cached[i].level == level && cpu->cached[i].entry == entry &&
		    cpu->cached[i].rights == rights)
			return;
	cpu->cached[cpu->next] = (struct cached){.base = base, .entry = entry, .rights = rights, .level = level};
	cpu->next = (cpu->next + 1) % MOST;
	if (cpu->nr < MOST)
		cpu->nr++;
}

static hpa_t translate(ept_entry_t entry, unsigned level, gpa_t gpa)
{
	return (entry & EPT_ADDRESS & ~(EPT_SPAN(level) - 1)) | (gpa & (EPT_SPAN(level) - 1));
}

static void use(ept_entry_t entry, ept_entry_t rights, unsigned level, gpa_t gpa, tlb_fn found)
{
	tlb_used[level]++;
	found(gpa, translate(entry, level, gpa), rights);
}

/* Goes on from the table at `level`. */
static void walk(struct cpu *cpu, ept_slot_t *table, unsigned level, ept_entry_t rights, gpa_t gpa, tlb_fn found,
		 tlb_freed_fn freed)
{
	for (;; level--) {
		ept_entry_t entry;

		if (!hosted_is_out((void *)table)) {
			freed(gpa, level);
			return;
		}
		entry = atomic_load(&table[ept_index(gpa, level)]);
		if (!ept_is_present(entry))
			return;
		rights &= entry & EPT_RWX;
		keep(cpu, gpa, level, entry, rights);
		if (!ept_is_table(entry, level)) {
			use(entry, rights, level, gpa, found);
			return;
		}
		table = ept_table_at(entry);
	}
}

void tlb_access(unsigned cpu, gpa_t gpa, tlb_fn found, tlb_freed_fn freed)
{
	struct cpu *at = &cpus[cpu];
	unsigned nr = at->nr;

	for (unsigned i = 0; i < nr; i++) {
		struct cached cached = at->cached[i];

		if (cached.base != span_of(gpa, cached.level))
			continue;
		if (ept_is_table(cached.entry, cached.level))
			walk(at, ept_table_at(cached.entry), cached.level - 1, cached.rights, gpa, found, freed);
		else
			use(cached.entry, cached.rights, cached.level, gpa, found);
	}
	walk(at, vm->root, EPT_LEVELS, EPT_RWX, gpa, found, freed);
}

/* One that is cached and needs no flag: any of them will do for the CPU. */
static bool write_cached(const struct cpu *cpu, gpa_t gpa, bool sets_flags, hpa_t *hpa)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < cpu->nr; i++) {
		const struct cached *c = &cpu->cached[i];

		if (c->base != span_of(gpa, c->level) || ept_is_table(c->entry, c->level) || !(c->rights & EPT_WRITE) ||
		    (sets_flags && !(c->entry & EPT_DIRTY)) || random_below(++nr))
			continue;
		*hpa = translate(c->entry, c->level, gpa);
	}
	return nr != 0;
}

enum tlb_write tlb_write(unsigned cpu, gpa_t gpa, bool sets_flags, hpa_t *hpa)
{
	ept_slot_t *slot, *table = vm->root;
	ept_entry_t entry, rights = EPT_RWX;

	if (write_cached(&cpus[cpu], gpa, sets_flags, hpa))
		return TLB_WRITTEN;
	for (unsigned level = EPT_LEVELS;; level--, table = ept_table_at(entry)) {
		slot = &table[ept_index(gpa, level)];
		entry = atomic_load(slot);
		rights &= entry;
		if (!ept_is_present(entry) || !(rights & EPT_WRITE))
			return TLB_VIOLATION;
		if (ept_is_table(entry, level))
			continue;
		*hpa = translate(entry, level, gpa);
		if (!sets_flags || entry & EPT_DIRTY)
			return TLB_WRITTEN;
		atomic_store(slot, entry | EPT_DIRTY);
		keep(&cpus[cpu], gpa, level, entry | EPT_DIRTY, rights & EPT_RWX);
		return TLB_FLAGGED;
	}
}

void tlb_flush(unsigned cpu)
{
	cpus[cpu].nr = cpus[cpu].next = 0;
}
