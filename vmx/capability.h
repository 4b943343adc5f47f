/* SPDX-License-Identifier: MIT */
/* What the CPU can do, read once (SDM vol. 3, appendix A), and the rule for what a control may be set to. */
#ifndef VMX_CAPABILITY_H
#define VMX_CAPABILITY_H

#include "mmu/types.h"
#include <trapline.h>

/* The words of control bits that a VMCS holds. */
enum vmx_control_word { VMX_PIN, VMX_PROC, VMX_PROC2, VMX_PROC3, VMX_EXIT, VMX_ENTRY, VMX_NR_CONTROL_WORDS };

/* One control word of the CPU: the bits that must be 1, and those that may be (SDM vol. 3, A.2). */
struct vmx_control {
	uint64_t allowed0; /* 1: must be 1 */
	uint64_t allowed1; /* 1: may be 1 */
};

/* What we ask of a control word. Bits in none of the masks become what the CPU fixes them to, else 0. */
struct control_request {
	uint64_t required;
	uint64_t optional;
	uint64_t forbidden;
};

/*
 * Applies allowed-0 and allowed-1. True: *value satisfies the request; optional bits that the CPU lacks are dropped.
 * False: *conflict holds the required bits that cannot be 1 and the forbidden ones that cannot be 0.
 */
static inline bool control_adjust(struct vmx_control control, struct control_request request, uint64_t *value,
				  uint64_t *conflict)
{
	*value = (request.required | request.optional | control.allowed0) & control.allowed1;
	*conflict = (request.required & ~control.allowed1) | (request.forbidden & control.allowed0);
	return *conflict == 0;
}

/*
 * X(member, MSR, condition): the MSRs that say what VMX can do; the condition is a C expression on `c`, the struct so
 * far. Two CPUs of one machine must agree in each of them.
 */
#define CAPABILITY_MSRS(X)                                                          \
	X(basic, IA32_VMX_BASIC, true)                                              \
	X(pin, IA32_VMX_PINBASED_CTLS, true)                                        \
	X(proc, IA32_VMX_PROCBASED_CTLS, true)                                      \
	X(exit, IA32_VMX_EXIT_CTLS, true)                                           \
	X(entry, IA32_VMX_ENTRY_CTLS, true)                                         \
	X(misc, IA32_VMX_MISC, true)                                                \
	X(cr0_fixed0, IA32_VMX_CR0_FIXED0, true)                                    \
	X(cr0_fixed1, IA32_VMX_CR0_FIXED1, true)                                    \
	X(cr4_fixed0, IA32_VMX_CR4_FIXED0, true)                                    \
	X(cr4_fixed1, IA32_VMX_CR4_FIXED1, true)                                    \
	X(vmcs_enum, IA32_VMX_VMCS_ENUM, true)                                      \
	X(true_pin, IA32_VMX_TRUE_PINBASED_CTLS, capability_has_true_controls(c))   \
	X(true_proc, IA32_VMX_TRUE_PROCBASED_CTLS, capability_has_true_controls(c)) \
	X(true_exit, IA32_VMX_TRUE_EXIT_CTLS, capability_has_true_controls(c))      \
	X(true_entry, IA32_VMX_TRUE_ENTRY_CTLS, capability_has_true_controls(c))    \
	X(proc2, IA32_VMX_PROCBASED_CTLS2, capability_has_proc2(c))                 \
	X(proc3, IA32_VMX_PROCBASED_CTLS3, capability_has_proc3(c))                 \
	X(ept_vpid, IA32_VMX_EPT_VPID_CAP, capability_has_ept_or_vpid(c))           \
	X(vmfunc, IA32_VMX_VMFUNC, capability_has_vmfunc(c))                        \
	X(arch, IA32_ARCH_CAPABILITIES, c->has_arch_capabilities)

/* The MSRs as read; 0 where the CPU has none of that number. */
struct vmx_capability_msrs {
#define X(member, msr, condition) uint64_t member;
	CAPABILITY_MSRS(X)
#undef X
};

/* X(member, register, bit, name): CPUID features; `register` is one of a leaf that capability_read() reads. */
#define CAPABILITY_FEATURES(X)                                            \
	X(smx, leaf1.ecx, 6, "SMX")                                       \
	X(pcid, leaf1.ecx, 17, "PCID")                                    \
	X(x2apic, leaf1.ecx, 21, "x2APIC")                                \
	X(xsave, leaf1.ecx, 26, "XSAVE")                                  \
	X(pat, leaf1.edx, 16, "PAT")                                      \
	X(fsgsbase, leaf7.ebx, 0, "FSGSBASE")                             \
	X(fdp_on_exceptions, leaf7.ebx, 6, "FDP_EXCPTN_ONLY")             \
	X(smep, leaf7.ebx, 7, "SMEP")                                     \
	X(invpcid, leaf7.ebx, 10, "INVPCID")                              \
	X(rtm, leaf7.ebx, 11, "RTM")                                      \
	X(smap, leaf7.ebx, 20, "SMAP")                                    \
	X(umip, leaf7.ecx, 2, "UMIP")                                     \
	X(la57, leaf7.ecx, 16, "5-level paging")                          \
	X(md_clear, leaf7.edx, 10, "MD_CLEAR")                            \
	X(ibrs, leaf7.edx, 26, "IBRS")                                    \
	X(stibp, leaf7.edx, 27, "STIBP")                                  \
	X(l1d_flush, leaf7.edx, 28, "L1D_FLUSH")                          \
	X(has_arch_capabilities, leaf7.edx, 29, "IA32_ARCH_CAPABILITIES") \
	X(ssbd, leaf7.edx, 31, "SSBD")                                    \
	X(bhi_ctrl, leaf7_2.edx, 4, "BHI_CTRL")                           \
	X(xsavec, leaf13.eax, 1, "XSAVEC")                                \
	X(xsaves, leaf13.eax, 3, "XSAVES")                                \
	X(nx, extended1.edx, 20, "NX")                                    \
	X(page_1g, extended1.edx, 26, "1 GiB pages")                      \
	X(rdtscp, extended1.edx, 27, "RDTSCP")

struct vmx_capability {
	struct vmx_capability_msrs msr;
	struct vmx_control control[VMX_NR_CONTROL_WORDS]; /* from the TRUE MSRs where they are */
	uint32_t revision;                                /* of VMXON region and VMCS */

	/* CPUID */
	uint8_t physical_bits, linear_bits;
#define X(member, register, bit, name) bool member;
	CAPABILITY_FEATURES(X)
#undef X
	uint64_t xcr0; /* the components that XCR0 may enable, 0 without XSAVE */

	/* Derived from the MSRs, for short. */
	bool ept_2m, ept_1g, ept_accessed_dirty, ept_execute_only;
	bool invept_single, invept_all;
	bool invvpid_address, invvpid_single, invvpid_all, invvpid_retaining_globals;
	bool activity_hlt;
	bool no_page_size_change_mce;    /* PSCHANGE_MC_NO: large executable leaves are safe */
	unsigned preemption_timer_shift; /* counts down once for each 2^shift TSC ticks */
};

/* The first CPU's, read-only from the end of its tl_cpu_up() on. */
extern struct vmx_capability vmx_capability;

/* Reads the calling CPU's. Precondition: CPUID says VMX. */
void capability_read(struct vmx_capability *capability);

/* The first thing that is missing: TL_OK, TL_NO_EPT, TL_NO_EPT_4_LEVEL, TL_NO_EPT_WRITE_BACK or TL_NO_INVEPT. */
enum tl_status capability_check(const struct vmx_capability *capability);

/* The name of the first MSR or CPUID feature in which two CPUs differ, NULL if they are alike. */
const char *capability_difference(const struct vmx_capability *a, const struct vmx_capability *b);

#endif
