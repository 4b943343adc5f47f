/* SPDX-License-Identifier: MIT */
/*
 * Overwrites EPT entries behind the library's back: what a stray write of the host would do. Linked into the image of
 * the system tests only; the ordinary image has no way to do this.
 */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"

bool test_corrupt_ept(struct tl_vm *vm, uint64_t gpa, unsigned level, uint64_t keep, uint64_t set);

bool test_corrupt_ept(struct tl_vm *vm, uint64_t gpa, unsigned level, uint64_t keep, uint64_t set)
{
	ept_slot_t *slot = &vm->root[ept_index(gpa, EPT_LEVELS)];

	for (unsigned at = EPT_LEVELS; at > level; at--) {
		ept_entry_t entry = atomic_load_explicit(slot, memory_order_acquire);

		if (!ept_is_table(entry, at))
			return false;
		slot = &((ept_slot_t *)phys_to_host(entry & EPT_ADDRESS))[ept_index(gpa, at - 1)];
	}
	atomic_store_explicit(slot, (atomic_load_explicit(slot, memory_order_acquire) & keep) | set,
			      memory_order_release);
	/* What the CPU and the vCPU have cached of the way there. */
	vm_request_flush(vm);
	grace_raise(vm);
	return true;
}
