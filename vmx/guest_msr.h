/* SPDX-License-Identifier: MIT */
/* The MSRs that a guest has: one table, from which docs/msrs.md is made as well. */
#ifndef VMX_GUEST_MSR_H
#define VMX_GUEST_MSR_H

#include "vmx/mtrr.h"
#include "vmx/vcpu.h"

/*
 * X(first, last, name, what a read is, what a write is, the reader, the writer, more about it), ascending. PASSED: the
 * register itself, without an exit where there are MSR bitmaps. FAULTS: #GP(0). EMBEDDERS: tl_processor's callbacks; as
 * is whatever the table has not.
 */
#define GUEST_MSRS(X)                                                                                                  \
	X(0x010, 0x010, IA32_TIME_STAMP_COUNTER, EMULATED, EMULATED, msr_read_tsc, msr_write_tsc,                      \
	  "The host's and an offset, which a write moves, for this vCPU; so do RDTSC and RDTSCP, without an exit")     \
	X(0x017, 0x017, IA32_PLATFORM_ID, CONSTANT, FAULTS, msr_read_zero, NULL, "0")                                  \
	X(0x01b, 0x01b, IA32_APIC_BASE, EMBEDDERS, EMBEDDERS, msr_read_apic_base, msr_write_embedders,                 \
	  "Reads as 0 without a processor of the embedder's")                                                          \
	X(0x02a, 0x02a, EBL_CR_POWERON, CONSTANT, FAULTS, msr_read_zero, NULL, "0")                                    \
	X(0x03a, 0x03a, IA32_FEATURE_CONTROL, CONSTANT, FAULTS, msr_read_feature_control, NULL,                        \
	  "1: locked, without VMX and SGX")                                                                            \
	X(0x03b, 0x03b, IA32_TSC_ADJUST, EMULATED, EMULATED, msr_read_tsc_adjust, msr_write_tsc_adjust,                \
	  "What writes have moved this vCPU's offset by")                                                              \
	X(0x048, 0x048, IA32_SPEC_CTRL, EMULATED, EMULATED, msr_read_spec_ctrl, msr_write_spec_ctrl,                   \
	  "Switched at entries and exits; #GP(0) where the host leaves it alone, as CPUID says")                       \
	X(0x049, 0x049, IA32_PRED_CMD, FAULTS, EMULATED, NULL, msr_write_pred_cmd, "IBPB; as IA32_SPEC_CTRL")          \
	X(0x079, 0x079, IA32_BIOS_UPDT_TRIG, FAULTS, IGNORED, NULL, msr_write_nothing, "No microcode is loaded")       \
	X(0x08b, 0x08b, IA32_BIOS_SIGN_ID, CONSTANT, IGNORED, msr_read_zero, msr_write_nothing, "0")                   \
	X(0x0ce, 0x0ce, MSR_PLATFORM_INFO, CONSTANT, FAULTS, msr_read_zero, NULL, "0: nothing can be programmed")      \
	X(0x0fe, 0x0fe, IA32_MTRRCAP, CONSTANT, FAULTS, mtrr_read, NULL, "8 variable ranges, fixed ones, WC")          \
	X(0x10a, 0x10a, IA32_ARCH_CAPABILITIES, CONSTANT, FAULTS, msr_read_arch_capabilities, NULL,                    \
	  "The CPU's, and what the host does for its guests")                                                          \
	X(0x174, 0x174, IA32_SYSENTER_CS, PASSED, PASSED, msr_read_field, msr_write_sysenter_cs, "")                   \
	X(0x175, 0x176, IA32_SYSENTER_ESP and _EIP, PASSED, PASSED, msr_read_field, msr_write_base, "")                \
	X(0x179, 0x179, IA32_MCG_CAP, CONSTANT, FAULTS, msr_read_zero, NULL,                                           \
	  "0: no banks; Xen looks without asking CPUID")                                                               \
	X(0x17a, 0x17a, IA32_MCG_STATUS, CONSTANT, IGNORED, msr_read_zero, msr_write_nothing, "0")                     \
	X(0x1a0, 0x1a0, IA32_MISC_ENABLE, EMULATED, EMULATED, msr_read_misc_enable, msr_write_misc_enable,             \
	  "Fast strings as the CPU has them; may be turned off and on, to no effect; no BTS, no PEBS")                 \
	X(0x1d9, 0x1d9, IA32_DEBUGCTL, EMULATED, EMULATED, msr_read_field, msr_write_debugctl,                         \
	  "BTF alone may be set; switched at entries and exits")                                                       \
	X(0x200, 0x20f, IA32_MTRR_PHYSBASE0 to _PHYSMASK7, EMULATED, EMULATED, mtrr_read, mtrr_write, MTRR_NOTE)       \
	X(0x250, 0x250, IA32_MTRR_FIX64K_00000, EMULATED, EMULATED, mtrr_read, mtrr_write, MTRR_NOTE)                  \
	X(0x258, 0x259, IA32_MTRR_FIX16K_80000 and _A0000, EMULATED, EMULATED, mtrr_read, mtrr_write, MTRR_NOTE)       \
	X(0x268, 0x26f, IA32_MTRR_FIX4K_C0000 to _F8000, EMULATED, EMULATED, mtrr_read, mtrr_write, MTRR_NOTE)         \
	X(0x277, 0x277, IA32_PAT, EMULATED, EMULATED, msr_read_pat, msr_write_pat, "Switched at entries and exits")    \
	X(0x2ff, 0x2ff, IA32_MTRR_DEF_TYPE, EMULATED, EMULATED, mtrr_read, mtrr_write,                                 \
	  "On, and write-back, when a vCPU is created: as firmware leaves it")                                         \
	X(0x6e0, 0x6e0, IA32_TSC_DEADLINE, EMBEDDERS, EMBEDDERS, msr_read_embedders, msr_write_embedders, "")          \
	X(0x800, 0x8ff, the x2APIC, EMBEDDERS, EMBEDDERS, msr_read_embedders, msr_write_embedders, "")                 \
	X(0xda0, 0xda0, IA32_XSS, CONSTANT, EMULATED, msr_read_xss, msr_write_xss,                                     \
	  "0, and so is what may be written; #GP(0) where CPUID shows no XSAVES")                                      \
	X(0xc0000080, 0xc0000080, IA32_EFER, EMULATED, EMULATED, msr_read_efer, msr_write_efer,                        \
	  "Switched at entries and exits")                                                                             \
	X(0xc0000081, 0xc0000083, IA32_STAR to IA32_CSTAR, PASSED, PASSED, msr_read_cpu, msr_write_cpu,                \
	  "Switched with the vCPU")                                                                                    \
	X(0xc0000084, 0xc0000084, IA32_FMASK, PASSED, PASSED, msr_read_cpu, msr_write_fmask, "Switched with the vCPU") \
	X(0xc0000100, 0xc0000101, IA32_FS_BASE and IA32_GS_BASE, PASSED, PASSED, msr_read_field, msr_write_base, "")   \
	X(0xc0000102, 0xc0000102, IA32_KERNEL_GS_BASE, PASSED, PASSED, msr_read_cpu, msr_write_cpu,                    \
	  "Switched with the vCPU")                                                                                    \
	X(0xc0000103, 0xc0000103, IA32_TSC_AUX, PASSED, PASSED, msr_read_tsc_aux, msr_write_tsc_aux,                   \
	  "Switched with the vCPU; #GP(0) where CPUID shows no RDTSCP")

#define MTRR_NOTE "Kept, and of no effect: memory is write-back, or what the guest's PAT makes of it"

enum msr_access { MSR_PASSED, MSR_EMULATED, MSR_CONSTANT, MSR_IGNORED, MSR_EMBEDDERS, MSR_FAULTS };

struct guest_msr {
	uint32_t first, last;
	bool passed;
	bool is_state; /* a snapshot of the vCPU has it */
	/* False: #GP(0), as if it is NULL. */
	bool (*read)(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value);
	bool (*write)(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value);
};

enum {
#define X(first, last, name, reads, writes, reader, writer, note) +1
	NR_GUEST_MSRS = GUEST_MSRS(X)
#undef X
};

extern const struct guest_msr guest_msrs[NR_GUEST_MSRS];

#endif
