/* SPDX-License-Identifier: MIT */
/*
 * What is done at entries and exits against leaks by speculation. What MSRs do is done by the VMCS' MSR lists, and
 * costs no instruction; what instructions do, by an entry and an exit routine of their own in entry.asm. A CPU that
 * needs nothing has neither.
 */
#ifndef VMX_MITIGATION_H
#define VMX_MITIGATION_H

#include "vmx/capability.h"
#include "vmx/vcpu.h"

/* The bits of vmx_guard. entry.asm writes them as numbers. */
enum { GUARD_VERW = 1, GUARD_RSB = 2, GUARD_BHI = 4 };

/* Which of them are done; not 0: vCPUs go through vmx_exit_guarded. */
extern uint8_t vmx_guard;
/* What VERW names: a data segment's selector, that of the host's stack. */
extern uint16_t vmx_guard_selector;

/* A mask of 1 << enum tl_mitigation. */
extern uint32_t vmx_mitigations;

/* Those that the CPU needs and has the means for. */
uint32_t mitigations_needed(const struct vmx_capability *capability);

/* Chooses, once, for all CPUs. TL_UNSUPPORTED: one that was asked for cannot be done. */
enum tl_status mitigations_choose(const struct vmx_capability *capability);

/* Of the calling CPU, as it comes up and goes down. */
void mitigations_start(void);
void mitigations_stop(void);

/* HOST_RIP of an ordinary vCPU. */
uintptr_t mitigations_exit_address(bool traced);

/* Has the entries and exits of the vCPU, whose VMCS is loaded, switch its MSRs. After its IA32_SPEC_CTRL has changed,
 * too.
 */
void mitigations_set_msrs(struct tl_vcpu *vcpu);

/* Before a vCPU runs that was not the last one on this CPU. */
void mitigations_switch_vcpu(void);

/* The bits of IA32_SPEC_CTRL that a guest may set; 0: it has no such MSR, nor an IBPB. */
uint64_t mitigations_spec_ctrl_bits(void);
/* CPUID.7.0:EDX of the guest, and its IA32_ARCH_CAPABILITIES, which it has where the CPU has it. */
uint32_t mitigations_guest_features(uint32_t edx);
uint64_t mitigations_guest_arch_capabilities(void);

void mitigations_describe(void);

#endif
