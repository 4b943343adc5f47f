/* SPDX-License-Identifier: MIT */
/* The guest's registers that VMX does not switch: FPU and vectors, SYSCALL's MSRs, debug registers, CR2. */
#ifndef VMX_EXTENDED_STATE_H
#define VMX_EXTENDED_STATE_H

#include "vmx/vcpu.h"

/* Lets the calling CPU save and load all of it: CR0.TS and EM off; CR4.OSFXSR, OSXMMEXCPT and OSXSAVE on. */
void extended_state_enable(void);

/*
 * The components of XCR0 that a guest may turn on, 0 without XSAVE. Not those of MPX and AMX, whose instructions CPUID
 * hides.
 */
uint64_t extended_state_components(void);

/*
 * IA32_XSS while a vCPU is loaded, where guests have XSAVES: no component of it, since each is more than registers that
 * XSAVES saves (PT, CET, HDC, UINTR, LBR, HWP, PASID have MSRs that decide about the host as well).
 */
#define GUEST_XSS UINT64_C(0)

/* The rules of XSETBV for what the guest may have (SDM vol. 1, 13.3). */
bool extended_state_is_xcr0(uint64_t value);

/* Pages of a vCPU's save area. */
size_t extended_state_pages(void);

/* A vCPU's registers after RESET (SDM vol. 3, table 10-1). */
void extended_state_init(struct tl_vcpu *vcpu);

/*
 * The registers of the calling CPU become those of `vcpu`; what was there is saved where it belongs. They stay until
 * another vCPU is loaded, so an exit and an entry cost nothing: the library itself uses general registers only.
 */
void extended_state_load(struct tl_vcpu *vcpu);

/*
 * Makes what the calling CPU holds of `vcpu`, the loaded one, an area that mmio/ reads and writes; and loads the
 * registers from that area again. SDM vol. 1, 13.
 */
void extended_state_borrow(struct tl_vcpu *vcpu, struct xstate *xstate);
void extended_state_return(struct tl_vcpu *vcpu);

/* Saves what the calling CPU holds of `vcpu`, if it does. */
void extended_state_evict(struct tl_vcpu *vcpu);

#endif
