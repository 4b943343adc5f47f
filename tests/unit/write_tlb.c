/* SPDX-License-Identifier: MIT */
#include "tests/unit/write_tlb.h"
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "mmu/vm.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"

static ept_entry_t walk_to_slot(gpa_t gpa, unsigned *level, ept_slot_t **slot, ept_entry_t *entry)
{
	ept_slot_t *table = vm->root;
	ept_entry_t rights = EPT_RWX;

	for (*level = 4;; --*level) {
		*slot = &table[gpa >> (12 + 9 * (*level - 1)) & 511];
		*entry = atomic_load(*slot);
		rights &= *entry;
		if ((*entry & EPT_RWX) == 0 || (*entry & EPT_RWX) == 6 || *level == 1 || *entry & EPT_LARGE)
			return is_mmio_spte(*entry) ? 0 : (*entry & EPT_ADDRESS) | rights;
		table = phys_to_host(*entry & EPT_ADDRESS);
	}
}

ept_entry_t write_tlb_walk(gpa_t gpa, unsigned *level)
{
	ept_slot_t *slot;
	ept_entry_t entry;

	return walk_to_slot(gpa, level, &slot, &entry);
}

enum { TLB_SIZE = 2048, NR_CPUS = 8, LOG_SIZE = 512 };

/* Each is touched by its own thread only. */
static struct cpu {
	gpa_t writable[TLB_SIZE]; /* the page, and 1; as dirty as may be */
	bool sets_flags, logs;
	gpa_t log[LOG_SIZE];
	unsigned nr_logged;
} cpus[NR_CPUS];

_Atomic unsigned write_log_full;

void flush_write_tlb(struct tl_vm *of)
{
	struct cpu *cpu = &cpus[hosted_cpu];

	for (unsigned i = 0; i < TLB_SIZE; i++)
		cpu->writable[i] = 0;
	if (cpu->sets_flags == atomic_load(&of->flags_on))
		return;
	cpu->sets_flags = !cpu->sets_flags;
	cpu->logs = atomic_load(&of->dirty_by) == DIRTY_BY_PML;
}

void drain_write_log(void)
{
	struct cpu *cpu = &cpus[hosted_cpu];

	for (unsigned i = 0; i < cpu->nr_logged; i++)
		dirty_note(vm, cpu->log[i]);
	cpu->nr_logged = 0;
}

/* False: the entry is another one by now. */
static bool set_flag(struct cpu *cpu, gpa_t gpa, ept_slot_t *slot, ept_entry_t entry)
{
	if (!cpu->sets_flags || entry & EPT_DIRTY)
		return true;
	if (cpu->logs && cpu->nr_logged == LOG_SIZE) {
		atomic_fetch_add(&write_log_full, 1);
		drain_write_log();
	}
	if (!atomic_compare_exchange_strong(slot, &entry, entry | EPT_DIRTY))
		return false;
	if (cpu->logs)
		cpu->log[cpu->nr_logged++] = gpa;
	return true;
}

bool may_write(gpa_t gpa)
{
	struct cpu *cpu = &cpus[hosted_cpu];
	gpa_t *cached = &cpu->writable[gpa >> PAGE_SHIFT & (TLB_SIZE - 1)];
	ept_entry_t entry;
	ept_slot_t *slot;
	unsigned level;

	if (*cached == (gpa | 1))
		return true;
	do {
		if (!(walk_to_slot(gpa, &level, &slot, &entry) & EPT_WRITE))
			return false;
	} while (!set_flag(cpu, gpa, slot, entry));
	*cached = gpa | 1;
	return true;
}
