/* SPDX-License-Identifier: MIT */
/*
 * Paging for a guest in protected mode that has turned none on, where the CPU lacks "unrestricted guest" and insists on
 * paging (SDM vol. 3, A.7): a page directory of 4 MiB pages that maps what the guest can address one to one. It stands
 * in a ROM range of a page, TL_FLAT_PAGING_AT, and CR3 names it as long as the guest has no paging of its own.
 */
#ifndef VMX_FLAT_PAGING_H
#define VMX_FLAT_PAGING_H

#include "vmx/vcpu.h"

/* Fills the directory, which all VMs share. Context: the first CPU that comes up, once. */
enum tl_status flat_paging_create(void);

/* Puts it into the VM's map unless it is there. Errors: those of tl_map_commit(). Context: host. */
enum tl_status flat_paging_add(struct tl_vm *vm);

/* Whether the guest has to have it in this mode. */
bool flat_paging_is_needed(const struct tl_vcpu *vcpu);

/*
 * From the next entry on the guest has it, or its own CR3 again. Meanwhile that is in vcpu->flat_cr3, and loads and
 * stores of CR3 exit.
 */
void flat_paging_use(struct tl_vcpu *vcpu);
void flat_paging_leave(struct tl_vcpu *vcpu);

/* CR4 and EFER of a guest that has it, as the CPU gets them. */
uint64_t flat_paging_cr4(uint64_t cr4);
uint64_t flat_paging_efer(uint64_t efer);

#endif
