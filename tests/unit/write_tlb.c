/* SPDX-License-Identifier: MIT */
#include "tests/unit/write_tlb.h"
#include "mmu/hooks.h"
#include "mmu/vm.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"

ept_entry_t write_tlb_walk(gpa_t gpa, unsigned *level)
{
	const ept_slot_t *table = vm->root;
	ept_entry_t rights = EPT_RWX;

	for (*level = 4;; --*level) {
		ept_entry_t entry = atomic_load(&table[gpa >> (12 + 9 * (*level - 1)) & 511]);

		rights &= entry;
		if ((entry & EPT_RWX) == 0 || (entry & EPT_RWX) == 6 || *level == 1 || entry & EPT_LARGE)
			return is_mmio_spte(entry) ? 0 : (entry & EPT_ADDRESS) | rights;
		table = phys_to_host(entry & EPT_ADDRESS);
	}
}

enum { TLB_SIZE = 2048, NR_CPUS = 8 };
static _Atomic gpa_t tlb[NR_CPUS][TLB_SIZE];

void flush_write_tlb(struct tl_vm *of)
{
	(void)of;
	for (unsigned i = 0; i < TLB_SIZE; i++)
		atomic_store(&tlb[hosted_cpu][i], 0);
}

bool may_write(gpa_t gpa)
{
	_Atomic gpa_t *cached = &tlb[hosted_cpu][gpa >> PAGE_SHIFT & (TLB_SIZE - 1)];
	unsigned level;

	if (atomic_load(cached) == (gpa | 1))
		return true;
	if (!(write_tlb_walk(gpa, &level) & EPT_WRITE))
		return false;
	atomic_store(cached, gpa | 1);
	return true;
}
