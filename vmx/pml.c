/* SPDX-License-Identifier: MIT */
#include "vmx/pml.h"
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "vmx/asm.h"
#include "vmx/controls.h"
#include "vmx/vmcs_field.h"

#define EPTP_ACCESSED_DIRTY BIT(6) /* SDM vol. 3, table 25-9 */

enum { PML_ENTRIES = PAGE_SIZE / sizeof(uint64_t), PML_LAST = PML_ENTRIES - 1 };

void pml_follow(struct tl_vcpu *vcpu)
{
	/* relaxed: a flush number was raised after it changed, and is what brought us here. */
	bool on = atomic_load_explicit(&vcpu->vm->flags_on, memory_order_relaxed);

	if (on == vcpu->flags_on)
		return;
	vcpu->flags_on = on;
	vmcs_write(VMCS_EPT_POINTER, vcpu->eptp | (on ? EPTP_ACCESSED_DIRTY : 0));
	if (!vcpu->pml)
		return;
	vmcs_write(VMCS_PML_ADDRESS, host_to_phys(vcpu->pml));
	vmcs_write(VMCS_PML_INDEX, PML_LAST);
	vmcs_write(VMCS_PROC2_CONTROLS,
		   (vmcs_read(VMCS_PROC2_CONTROLS) & ~(uint64_t)PROC2_ENABLE_PML) | (on ? PROC2_ENABLE_PML : 0));
}

void pml_drain_buffer(struct tl_vcpu *vcpu)
{
	unsigned next, i;

	if (!vcpu->pml)
		return;
	/* The entry that comes next; behind entry 0 it wraps to 0xffff. */
	next = (unsigned)vmcs_read(VMCS_PML_INDEX);
	if (likely(next == PML_LAST))
		return;
	for (i = next < PML_ENTRIES ? next + 1 : 0; i < PML_ENTRIES; i++)
		dirty_note(vcpu->vm, vcpu->pml[i]);
	vmcs_write(VMCS_PML_INDEX, PML_LAST);
}
