/* SPDX-License-Identifier: MIT */
/*
 * What CPUID has answered a vCPU before, where it is the same as long as the vCPU stays on this CPU: then it is
 * answered again without executing the instruction, and before all registers are saved.
 */
#ifndef VMX_CPUID_CACHE_H
#define VMX_CPUID_CACHE_H

#include "vmx/vcpu.h"

ALWAYS_INLINE struct cpuid_answer *cpuid_cache_find(struct tl_vcpu *vcpu, uint32_t leaf)
{
	return &vcpu->cpuid[leaf & (CPUID_CACHE_SIZE - 1)];
}

ALWAYS_INLINE void cpuid_answer(struct tl_vcpu *vcpu, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	vcpu->gpr[TL_RAX] = eax;
	vcpu->gpr[TL_RBX] = ebx;
	vcpu->gpr[TL_RCX] = ecx;
	vcpu->gpr[TL_RDX] = edx;
}

/* Each place gets a leaf that is never looked for there. */
static inline void cpuid_cache_forget(struct tl_vcpu *vcpu)
{
	for (unsigned i = 0; i < CPUID_CACHE_SIZE; i++)
		vcpu->cpuid[i].leaf = ~i;
}

#endif
