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

static void keep(struct cpu *cpu, gpa_t gpa, unsigned level, ept_entry_t entry)
{
	gpa_t base = span_of(gpa, level);

	for (unsigned i = 0; i < cpu->nr; i++)
		if (cpu->cached[i].base == base && cpu->cached[i].level == level && cpu->cached[i].entry == entry)
			return;
	cpu->cached[cpu->next] = (struct cached){.base = base, .entry = entry, .level = level};
	cpu->next = (cpu->next + 1) % MOST;
	if (cpu->nr < MOST)
		cpu->nr++;
}

static void use(ept_entry_t entry, unsigned level, gpa_t gpa, tlb_fn found)
{
	hpa_t hpa = (entry & EPT_ADDRESS & ~(EPT_SPAN(level) - 1)) | (gpa & (EPT_SPAN(level) - 1));

	tlb_used[level]++;
	found(gpa, hpa, entry & EPT_RWX);
}

/* Goes on from the table at `level`. */
static void walk(struct cpu *cpu, ept_slot_t *table, unsigned level, gpa_t gpa, tlb_fn found, tlb_freed_fn freed)
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
		keep(cpu, gpa, level, entry);
		if (!ept_is_table(entry, level)) {
			use(entry, level, gpa, found);
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
			walk(at, ept_table_at(cached.entry), cached.level - 1, gpa, found, freed);
		else
			use(cached.entry, cached.level, gpa, found);
	}
	walk(at, vm->root, EPT_LEVELS, gpa, found, freed);
}

void tlb_flush(unsigned cpu)
{
	cpus[cpu].nr = cpus[cpu].next = 0;
}
