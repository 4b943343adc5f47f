/* SPDX-License-Identifier: MIT */
/* The EPT's tables: the walk, installing an entry without a lock, zapping. */
#ifndef MMU_EPT_TABLE_H
#define MMU_EPT_TABLE_H

#include "mmu/ept.h"
#include "mmu/hooks.h"
#include "mmu/vm.h"

/* Where a walk ended: at the first entry that is no pointer to a table. */
struct ept_walk {
	ept_slot_t *slot;
	ept_entry_t entry; /* as it was read */
	unsigned level;
	bool malformed; /* it breaks SDM 29.3.3.1 and is not an MMIO entry; the CPU goes no further either */
};

ALWAYS_INLINE ept_slot_t *ept_table_at(ept_entry_t entry)
{
	return phys_to_host(entry & EPT_ADDRESS);
}

/* Address bits that this CPU does not have. */
ALWAYS_INLINE ept_entry_t ept_reserved_address(void)
{
	return EPT_ADDRESS & ~(BIT(mmu_cpu.maxphyaddr) - 1);
}

/*
 * A pointer to a table that may be followed: one that was corrupted leads anywhere. `reserved`: that of
 * ept_reserved_address().
 */
ALWAYS_INLINE bool ept_leads_down(ept_entry_t entry, ept_entry_t reserved)
{
	ept_entry_t checked = EPT_READ | EPT_LARGE | EPT_MEMORY_TYPE | EPT_IGNORE_PAT | reserved;

	return (entry & checked) == EPT_READ;
}

/* One step of ept_descend(); false: the walk ends here. acquire: the table was filled before it was linked. */
ALWAYS_INLINE bool ept_step(gpa_t gpa, ept_entry_t reserved, unsigned level, struct ept_walk *walk)
{
	walk->entry = atomic_load_explicit(walk->slot, memory_order_acquire);
	walk->level = level;
	if (level == 1 || !ept_leads_down(walk->entry, reserved))
		return false;
	walk->slot = &ept_table_at(walk->entry)[ept_index(gpa, level - 1)];
	return true;
}

/* ept_walk() without looking whether the entry at its end is malformed: enough for one that turns out fresh. */
ALWAYS_INLINE void ept_descend(const struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk)
{
	const ept_entry_t reserved = ept_reserved_address();

	walk->slot = &vm->root[ept_index(gpa, EPT_LEVELS)];
	(void)(ept_step(gpa, reserved, 4, walk) && ept_step(gpa, reserved, 3, walk) &&
	       ept_step(gpa, reserved, 2, walk) && ept_step(gpa, reserved, 1, walk));
}

_Static_assert(EPT_LEVELS == 4, "ept_descend() takes four steps at most");

/* Walks to `gpa`. Context: any reader of the VM. Concurrency: lockless. Precondition: gpa < 2^48. */
void ept_walk(const struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk);

enum ept_install { EPT_INSTALLED, EPT_RACED, EPT_NO_MEMORY };

/*
 * Puts `entry` where the walk ended, or below it at `level`, making the tables on the way and splitting a large leaf
 * that is in it. Each step is one compare-and-exchange from what was read (rule 5), so EPT_RACED changed nothing
 * that anybody could see, except tables that stay for the next one. Precondition: level <= walk->level; an MMIO entry
 * is not put over a present one.
 */
enum ept_install ept_install(struct tl_vm *vm, gpa_t gpa, struct ept_walk *walk, unsigned level, ept_entry_t entry);

/*
 * Puts `table`, filled with its parts, in the place of the large leaf where the walk ended; `page`: the rights of one
 * that is to be among them. False: the slot has changed meanwhile. Precondition: the table lock is held.
 */
bool ept_split(ept_slot_t *table, const struct ept_walk *walk, ept_entry_t page);

/* Zaps every present leaf that meets [first, last], as a whole also where it reaches further. The caller flushes. */
void ept_zap_present(struct tl_vm *vm, gpa_t first, gpa_t last);

/* Zaps every MMIO entry. Needs no flush: misconfigured entries are not cached (SDM 29.4.2). */
void ept_zap_mmio(struct tl_vm *vm);

/* The MMIO entries of the VM; those in a table whose entries are at `level`, and below. */
size_t ept_count_mmio(const struct tl_vm *vm);
size_t ept_count_mmio_below(ept_slot_t *table, unsigned level);

/* Makes and frees the whole structure. Precondition of the latter: no vCPU of the VM is left. */
bool ept_create(struct tl_vm *vm);
void ept_destroy(struct tl_vm *vm);

#endif
