/* SPDX-License-Identifier: MIT */
#include "vmx/flat_paging.h"
#include "mmu/hooks.h"
#include "mmu/map.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"

enum { ENTRIES = 1024, LARGE_PAGE_SHIFT = 22 };
/* Accessed and dirty, so that the CPU has nothing to write. Any privilege may do anything but for what EPT says. */
enum { LARGE_LEAF = 0xe7, CR3_EXITING = PROC_CR3_LOAD_EXITING | PROC_CR3_STORE_EXITING };

static uint32_t *directory;

enum tl_status flat_paging_create(void)
{
	if (directory)
		return TL_OK;
	directory = page_alloc(1);
	if (!directory)
		return TL_NO_MEMORY;
	for (uint32_t i = 0; i < ENTRIES; i++)
		directory[i] = i << LARGE_PAGE_SHIFT | LARGE_LEAF;
	return TL_OK;
}

static bool is_there(struct tl_vm *vm)
{
	/* acquire: rule 2. No reader is needed: while a vCPU is being created the embedder edits no map. */
	const struct map *map = atomic_load_explicit(&vm->map, memory_order_acquire);

	return map_find(map, TL_FLAT_PAGING_AT)->host == (const uint8_t *)directory;
}

enum tl_status flat_paging_add(struct tl_vm *vm)
{
	const struct tl_range range = {
		.kind = TL_RANGE_ROM, .start = TL_FLAT_PAGING_AT, .size = PAGE_SIZE, .host = directory};
	struct tl_edit *edit;
	enum tl_status status;

	if (is_there(vm))
		return TL_OK;
	edit = tl_map_edit(vm);
	if (!edit)
		return TL_NO_MEMORY;
	status = tl_map_add(edit, &range, NULL);
	if (status == TL_OK)
		return tl_map_commit(edit);
	tl_map_discard(edit);
	return status;
}

bool flat_paging_is_needed(const struct tl_vcpu *vcpu)
{
	return !vmx_controls.unrestricted_guest && (vcpu->mode.cr0 & (CR0_PE | CR0_PG)) == CR0_PE;
}

void flat_paging_use(struct tl_vcpu *vcpu)
{
	if (!vcpu->flat)
		vcpu->flat_cr3 = vmcs_read(VMCS_GUEST_CR3);
	vcpu->flat = true;
	vmcs_write(VMCS_GUEST_CR3, TL_FLAT_PAGING_AT);
	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) | CR3_EXITING);
}

void flat_paging_leave(struct tl_vcpu *vcpu)
{
	if (!vcpu->flat)
		return;
	vcpu->flat = false;
	vmcs_write(VMCS_GUEST_CR3, vcpu->flat_cr3);
	/* A CPU may fix these controls to 1. */
	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) & (~(uint64_t)CR3_EXITING | vmx_controls.proc));
}

uint64_t flat_paging_cr4(uint64_t cr4)
{
	/* What checks accesses by the page tables' own rights is off without paging. */
	return (cr4 | CR4_PSE) & ~(uint64_t)(CR4_PAE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE);
}

uint64_t flat_paging_efer(uint64_t efer)
{
	/* With CR0.PG, LME would have to be LMA (SDM vol. 3, 27.3.1.1). */
	return efer & ~(uint64_t)(EFER_LME | EFER_LMA);
}
