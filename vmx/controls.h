/* SPDX-License-Identifier: MIT */
/*
 * The VMX controls: their bits with the SDM's names (SDM vol. 3, 25.6 to 25.8), and the values that a vCPU runs with.
 */
#ifndef VMX_CONTROLS_H
#define VMX_CONTROLS_H

#include "vmx/capability.h"

/* X(constant, bit, name) */
#define PIN_CONTROLS(X)                                                \
	X(EXTERNAL_INTERRUPT_EXITING, 0, "external-interrupt exiting") \
	X(NMI_EXITING, 3, "NMI exiting")                               \
	X(VIRTUAL_NMIS, 5, "virtual NMIs")                             \
	X(PREEMPTION_TIMER, 6, "activate VMX-preemption timer")        \
	X(POSTED_INTERRUPTS, 7, "process posted interrupts")

#define PROC_CONTROLS(X)                                             \
	X(INTERRUPT_WINDOW_EXITING, 2, "interrupt-window exiting")   \
	X(USE_TSC_OFFSETTING, 3, "use TSC offsetting")               \
	X(HLT_EXITING, 7, "HLT exiting")                             \
	X(INVLPG_EXITING, 9, "INVLPG exiting")                       \
	X(MWAIT_EXITING, 10, "MWAIT exiting")                        \
	X(RDPMC_EXITING, 11, "RDPMC exiting")                        \
	X(RDTSC_EXITING, 12, "RDTSC exiting")                        \
	X(CR3_LOAD_EXITING, 15, "CR3-load exiting")                  \
	X(CR3_STORE_EXITING, 16, "CR3-store exiting")                \
	X(TERTIARY_CONTROLS, 17, "activate tertiary controls")       \
	X(CR8_LOAD_EXITING, 19, "CR8-load exiting")                  \
	X(CR8_STORE_EXITING, 20, "CR8-store exiting")                \
	X(USE_TPR_SHADOW, 21, "use TPR shadow")                      \
	X(NMI_WINDOW_EXITING, 22, "NMI-window exiting")              \
	X(MOV_DR_EXITING, 23, "MOV-DR exiting")                      \
	X(UNCONDITIONAL_IO_EXITING, 24, "unconditional I/O exiting") \
	X(USE_IO_BITMAPS, 25, "use I/O bitmaps")                     \
	X(MONITOR_TRAP_FLAG, 27, "monitor trap flag")                \
	X(USE_MSR_BITMAPS, 28, "use MSR bitmaps")                    \
	X(MONITOR_EXITING, 29, "MONITOR exiting")                    \
	X(PAUSE_EXITING, 30, "PAUSE exiting")                        \
	X(SECONDARY_CONTROLS, 31, "activate secondary controls")

#define PROC2_CONTROLS(X)                                                       \
	X(VIRTUALIZE_APIC_ACCESSES, 0, "virtualize APIC accesses")              \
	X(ENABLE_EPT, 1, "enable EPT")                                          \
	X(DESCRIPTOR_TABLE_EXITING, 2, "descriptor-table exiting")              \
	X(ENABLE_RDTSCP, 3, "enable RDTSCP")                                    \
	X(VIRTUALIZE_X2APIC_MODE, 4, "virtualize x2APIC mode")                  \
	X(ENABLE_VPID, 5, "enable VPID")                                        \
	X(WBINVD_EXITING, 6, "WBINVD exiting")                                  \
	X(UNRESTRICTED_GUEST, 7, "unrestricted guest")                          \
	X(APIC_REGISTER_VIRTUALIZATION, 8, "APIC-register virtualization")      \
	X(VIRTUAL_INTERRUPT_DELIVERY, 9, "virtual-interrupt delivery")          \
	X(PAUSE_LOOP_EXITING, 10, "PAUSE-loop exiting")                         \
	X(RDRAND_EXITING, 11, "RDRAND exiting")                                 \
	X(ENABLE_INVPCID, 12, "enable INVPCID")                                 \
	X(ENABLE_VM_FUNCTIONS, 13, "enable VM functions")                       \
	X(VMCS_SHADOWING, 14, "VMCS shadowing")                                 \
	X(ENCLS_EXITING, 15, "enable ENCLS exiting")                            \
	X(RDSEED_EXITING, 16, "RDSEED exiting")                                 \
	X(ENABLE_PML, 17, "enable PML")                                         \
	X(EPT_VIOLATION_VE, 18, "EPT-violation #VE")                            \
	X(CONCEAL_FROM_PT, 19, "conceal VMX from PT")                           \
	X(ENABLE_XSAVES, 20, "enable XSAVES/XRSTORS")                           \
	X(PASID_TRANSLATION, 21, "PASID translation")                           \
	X(MODE_BASED_EXECUTE, 22, "mode-based execute control for EPT")         \
	X(SUB_PAGE_WRITE_PERMISSIONS, 23, "sub-page write permissions for EPT") \
	X(PT_USES_GUEST_PHYSICAL, 24, "Intel PT uses guest physical addresses") \
	X(USE_TSC_SCALING, 25, "use TSC scaling")                               \
	X(ENABLE_USER_WAIT, 26, "enable user wait and pause")                   \
	X(ENABLE_PCONFIG, 27, "enable PCONFIG")                                 \
	X(ENCLV_EXITING, 28, "enable ENCLV exiting")                            \
	X(BUS_LOCK_DETECTION, 30, "VMM bus-lock detection")                     \
	X(INSTRUCTION_TIMEOUT, 31, "instruction timeout")

#define PROC3_CONTROLS(X)                                            \
	X(LOADIWKEY_EXITING, 0, "LOADIWKEY exiting")                 \
	X(ENABLE_HLAT, 1, "enable HLAT")                             \
	X(EPT_PAGING_WRITE, 2, "EPT paging-write control")           \
	X(GUEST_PAGING_VERIFICATION, 3, "guest-paging verification") \
	X(IPI_VIRTUALIZATION, 4, "IPI virtualization")               \
	X(GPA_WIDTH, 5, "SEAM guest-physical address width")         \
	X(ENABLE_MSR_LIST, 6, "enable MSR-list instructions")        \
	X(VIRTUALIZE_SPEC_CTRL, 7, "virtualize IA32_SPEC_CTRL")

#define VM_EXIT_CONTROLS(X)                                                \
	X(SAVE_DEBUG_CONTROLS, 2, "save debug controls")                   \
	X(HOST_ADDRESS_SPACE_SIZE, 9, "host address-space size")           \
	X(LOAD_PERF_GLOBAL_CTRL, 12, "load IA32_PERF_GLOBAL_CTRL on exit") \
	X(ACKNOWLEDGE_INTERRUPT, 15, "acknowledge interrupt on exit")      \
	X(SAVE_PAT, 18, "save IA32_PAT")                                   \
	X(LOAD_PAT, 19, "load IA32_PAT on exit")                           \
	X(SAVE_EFER, 20, "save IA32_EFER")                                 \
	X(LOAD_EFER, 21, "load IA32_EFER on exit")                         \
	X(SAVE_PREEMPTION_TIMER, 22, "save VMX-preemption timer value")    \
	X(CLEAR_BNDCFGS, 23, "clear IA32_BNDCFGS")                         \
	X(CONCEAL_FROM_PT, 24, "conceal VM exits from PT")                 \
	X(CLEAR_RTIT_CTL, 25, "clear IA32_RTIT_CTL")                       \
	X(CLEAR_LBR_CTL, 26, "clear IA32_LBR_CTL")                         \
	X(CLEAR_UINV, 27, "clear UINV")                                    \
	X(LOAD_CET, 28, "load CET state on exit")                          \
	X(LOAD_PKRS, 29, "load PKRS on exit")                              \
	X(SAVE_PERF_GLOBAL_CTRL, 30, "save IA32_PERF_GLOBAL_CTRL")         \
	X(SECONDARY_CONTROLS, 31, "activate secondary VM-exit controls")

#define VM_ENTRY_CONTROLS(X)                                                \
	X(LOAD_DEBUG_CONTROLS, 2, "load debug controls")                    \
	X(IA32E_MODE_GUEST, 9, "IA-32e mode guest")                         \
	X(ENTRY_TO_SMM, 10, "entry to SMM")                                 \
	X(DEACTIVATE_DUAL_MONITOR, 11, "deactivate dual-monitor treatment") \
	X(LOAD_PERF_GLOBAL_CTRL, 13, "load IA32_PERF_GLOBAL_CTRL on entry") \
	X(LOAD_PAT, 14, "load IA32_PAT on entry")                           \
	X(LOAD_EFER, 15, "load IA32_EFER on entry")                         \
	X(LOAD_BNDCFGS, 16, "load IA32_BNDCFGS")                            \
	X(CONCEAL_FROM_PT, 17, "conceal VM entries from PT")                \
	X(LOAD_RTIT_CTL, 18, "load IA32_RTIT_CTL")                          \
	X(LOAD_UINV, 19, "load UINV")                                       \
	X(LOAD_CET, 20, "load CET state on entry")                          \
	X(LOAD_LBR_CTL, 21, "load guest IA32_LBR_CTL")                      \
	X(LOAD_PKRS, 22, "load PKRS on entry")

enum {
#define X(constant, bit, name) PIN_##constant = 1u << (bit),
	PIN_CONTROLS(X)
#undef X
#define X(constant, bit, name) PROC_##constant = 1u << (bit),
		PROC_CONTROLS(X)
#undef X
#define X(constant, bit, name) PROC2_##constant = 1u << (bit),
			PROC2_CONTROLS(X)
#undef X
#define X(constant, bit, name) PROC3_##constant = 1u << (bit),
				PROC3_CONTROLS(X)
#undef X
#define X(constant, bit, name) VM_EXIT_##constant = 1u << (bit),
					VM_EXIT_CONTROLS(X)
#undef X
#define X(constant, bit, name) VM_ENTRY_##constant = 1u << (bit),
						VM_ENTRY_CONTROLS(X)
#undef X
};

/* Those of a vCPU's local APIC (vmx/apic.c). */
#define PROC2_APIC                                                                                            \
	(PROC2_VIRTUALIZE_APIC_ACCESSES | PROC2_VIRTUALIZE_X2APIC_MODE | PROC2_APIC_REGISTER_VIRTUALIZATION | \
	 PROC2_VIRTUAL_INTERRUPT_DELIVERY)

/* What the control fields of a new vCPU's VMCS hold, and which of the optional features that means. */
struct vmx_controls {
	uint32_t pin, proc, proc2, exit, entry; /* entry: without IA-32e mode guest, which the guest's state decides */
	bool virtual_nmis;
	bool preemption_timer; /* activated and saved at exits */
	bool io_bitmaps;       /* else every I/O instruction exits */
	bool msr_bitmaps;      /* else every RDMSR and WRMSR exits */
	bool vpid;             /* with an INVVPID for one context or all */
	bool unrestricted_guest;
	bool rdtscp, invpcid; /* the guest may use the instruction */
	bool xsavec, xsaves;  /* the same; both, if what they write is right (vmx/probe_compaction.c) */
	bool pat;             /* IA32_PAT switched by entries and exits, both ways */
	bool pml;             /* may be turned on, with the EPT's accessed and dirty flags */
	/* May be turned on for a vCPU's local APIC, and off; all but the first only where that one is. */
	bool tpr_shadow, apic_accesses, x2apic_mode, virtual_interrupts, apic_registers;
	bool posted_interrupts; /* the same; and exits acknowledge interrupts then */
	bool cr3_exiting;       /* loads and stores of CR3 exit: the CPU does not let it be turned off */
};

/*
 * Works out the controls for this CPU. TL_UNSUPPORTED: a control that Trapline cannot do without is missing, or one
 * that it cannot live with is fixed to 1; the log names it. Context: any.
 */
enum tl_status controls_compute(const struct vmx_capability *capability, struct vmx_controls *controls);

/* The SDM's name of one control, "a reserved bit" where it has none. `bit`: 0 to 63. */
const char *control_name(enum vmx_control_word word, unsigned bit);

/* The name of a control word, as in "pin-based controls". */
const char *control_word_name(enum vmx_control_word word);

#endif
