/* SPDX-License-Identifier: MIT */
/* One CPU as VMX sees it. */
#ifndef VMX_CPU_H
#define VMX_CPU_H

#include "mmu/hooks.h"
#include "vmx/controls.h"
#include <stdatomic.h>

struct vmx_cpu {
	void *vmxon_region;
	bool up;
	bool had_vmxe;             /* CR4.VMXE was set before us: tl_cpu_down() leaves it */
	struct tl_vcpu *loaded;    /* whose VMCS is the current one, or NULL: its FPU state is in the registers, too */
	struct tl_vcpu *fpu_owner; /* whose FPU state is in the registers, NULL: the host's */
	struct tl_vcpu *residents; /* whose VMCS is active here; only this CPU touches the list */
	uint64_t spec_ctrl_before; /* IA32_SPEC_CTRL, to be put back */
	_Atomic uint32_t asked;    /* another CPU wants one of them */
} __attribute__((aligned(64)));    /* no two CPUs share a cache line */

extern struct vmx_cpu vmx_cpu[TL_MAX_CPUS];

/* The controls of every vCPU; valid once a CPU is up. */
extern struct vmx_controls vmx_controls;

ALWAYS_INLINE struct vmx_cpu *cpu_this(void)
{
	return &vmx_cpu[hooks->cpu_index()];
}

#endif
