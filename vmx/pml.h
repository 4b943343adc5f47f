/* SPDX-License-Identifier: MIT */
/*
 * The EPT's accessed and dirty flags, and page-modification logging (SDM vol. 3, 29.3.5 and 29.3.6), in a vCPU's VMCS.
 * They are on while some range of the VM is logged by them, and off otherwise: with flags on, the CPU's reads of guest
 * page tables count as writes.
 *
 * Where the CPU sets the dirty flag of a page it also writes the page's address into the vCPU's buffer, from the last
 * of 512 entries down, and exits when there is no room. The buffer is empty whenever the vCPU has announced a round or
 * is outside tl_vcpu_run() (rule 13).
 */
#ifndef VMX_PML_H
#define VMX_PML_H

#include "vmx/vcpu.h"

/* Turns flags and buffer on or off, as the VM has it by now. Precondition: no entry since the last pml_drain(). */
COLD void pml_follow(struct tl_vcpu *vcpu);

/* Notes what is in the buffer and empties it. Context: inside tl_vcpu_run(), before a round is announced. */
COLD void pml_drain_buffer(struct tl_vcpu *vcpu);

ALWAYS_INLINE void pml_drain(struct tl_vcpu *vcpu)
{
	if (unlikely(vcpu->flags_on))
		pml_drain_buffer(vcpu);
}

#endif
