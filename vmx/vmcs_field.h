/* SPDX-License-Identifier: MIT */
/*
 * The fields of the VMCS: encoding, the SDM's name, and what must be supported for the field to exist (SDM vol. 3,
 * appendix B). Gives the constants VMCS_GUEST_RIP and so on; the dump walks the same table.
 */
#ifndef VMX_VMCS_FIELD_H
#define VMX_VMCS_FIELD_H

#include "vmx/asm.h"

/*
 * X(constant, name, encoding, condition). The conditions name a control of vmx/controls.h that the CPU allows to be 1;
 * they mean something only to vmcs_dump.c, which defines them.
 */
/* clang-format off */
#define VMCS_FIELDS(X)                                                                                                 \
	/* 16-bit control fields */                                                                                    \
	X(VPID, "Virtual-processor identifier (VPID)", 0x0000, IF_PROC2(ENABLE_VPID))                                  \
	X(POSTED_INTERRUPT_VECTOR, "Posted-interrupt notification vector", 0x0002, IF_PIN(POSTED_INTERRUPTS))          \
	X(EPTP_INDEX, "EPTP index", 0x0004, IF_PROC2(EPT_VIOLATION_VE))                                                \
	X(HLAT_PREFIX_SIZE, "HLAT prefix size", 0x0006, IF_PROC3(ENABLE_HLAT))                                         \
	X(LAST_PID_POINTER_INDEX, "Last PID-pointer index", 0x0008, IF_PROC3(IPI_VIRTUALIZATION))                      \
	/* 16-bit guest-state fields */                                                                                \
	X(GUEST_ES_SELECTOR, "Guest ES selector", 0x0800, ALWAYS)                                                      \
	X(GUEST_CS_SELECTOR, "Guest CS selector", 0x0802, ALWAYS)                                                      \
	X(GUEST_SS_SELECTOR, "Guest SS selector", 0x0804, ALWAYS)                                                      \
	X(GUEST_DS_SELECTOR, "Guest DS selector", 0x0806, ALWAYS)                                                      \
	X(GUEST_FS_SELECTOR, "Guest FS selector", 0x0808, ALWAYS)                                                      \
	X(GUEST_GS_SELECTOR, "Guest GS selector", 0x080a, ALWAYS)                                                      \
	X(GUEST_LDTR_SELECTOR, "Guest LDTR selector", 0x080c, ALWAYS)                                                  \
	X(GUEST_TR_SELECTOR, "Guest TR selector", 0x080e, ALWAYS)                                                      \
	X(GUEST_INTERRUPT_STATUS, "Guest interrupt status", 0x0810, IF_PROC2(VIRTUAL_INTERRUPT_DELIVERY))              \
	X(PML_INDEX, "PML index", 0x0812, IF_PROC2(ENABLE_PML))                                                        \
	X(GUEST_UINV, "Guest UINV", 0x0814, IF_EXIT_OR_ENTRY(CLEAR_UINV, LOAD_UINV))                                   \
	/* 16-bit host-state fields */                                                                                 \
	X(HOST_ES_SELECTOR, "Host ES selector", 0x0c00, ALWAYS)                                                        \
	X(HOST_CS_SELECTOR, "Host CS selector", 0x0c02, ALWAYS)                                                        \
	X(HOST_SS_SELECTOR, "Host SS selector", 0x0c04, ALWAYS)                                                        \
	X(HOST_DS_SELECTOR, "Host DS selector", 0x0c06, ALWAYS)                                                        \
	X(HOST_FS_SELECTOR, "Host FS selector", 0x0c08, ALWAYS)                                                        \
	X(HOST_GS_SELECTOR, "Host GS selector", 0x0c0a, ALWAYS)                                                        \
	X(HOST_TR_SELECTOR, "Host TR selector", 0x0c0c, ALWAYS)                                                        \
	/* 64-bit control fields */                                                                                    \
	X(IO_BITMAP_A, "Address of I/O bitmap A", 0x2000, IF_PROC(USE_IO_BITMAPS))                                     \
	X(IO_BITMAP_B, "Address of I/O bitmap B", 0x2002, IF_PROC(USE_IO_BITMAPS))                                     \
	X(MSR_BITMAPS, "Address of MSR bitmaps", 0x2004, IF_PROC(USE_MSR_BITMAPS))                                     \
	X(EXIT_MSR_STORE_ADDRESS, "VM-exit MSR-store address", 0x2006, ALWAYS)                                         \
	X(EXIT_MSR_LOAD_ADDRESS, "VM-exit MSR-load address", 0x2008, ALWAYS)                                           \
	X(ENTRY_MSR_LOAD_ADDRESS, "VM-entry MSR-load address", 0x200a, ALWAYS)                                         \
	X(EXECUTIVE_VMCS_POINTER, "Executive-VMCS pointer", 0x200c, ALWAYS)                                            \
	X(PML_ADDRESS, "PML address", 0x200e, IF_PROC2(ENABLE_PML))                                                    \
	X(TSC_OFFSET, "TSC offset", 0x2010, ALWAYS)                                                                    \
	X(VIRTUAL_APIC_ADDRESS, "Virtual-APIC address", 0x2012, IF_PROC(USE_TPR_SHADOW))                               \
	X(APIC_ACCESS_ADDRESS, "APIC-access address", 0x2014, IF_PROC2(VIRTUALIZE_APIC_ACCESSES))                      \
	X(POSTED_INTERRUPT_DESCRIPTOR, "Posted-interrupt descriptor address", 0x2016, IF_PIN(POSTED_INTERRUPTS))       \
	X(VM_FUNCTION_CONTROLS, "VM-function controls", 0x2018, IF_PROC2(ENABLE_VM_FUNCTIONS))                         \
	X(EPT_POINTER, "EPT pointer (EPTP)", 0x201a, IF_PROC2(ENABLE_EPT))                                             \
	X(EOI_EXIT_BITMAP_0, "EOI-exit bitmap 0", 0x201c, IF_PROC2(VIRTUAL_INTERRUPT_DELIVERY))                        \
	X(EOI_EXIT_BITMAP_1, "EOI-exit bitmap 1", 0x201e, IF_PROC2(VIRTUAL_INTERRUPT_DELIVERY))                        \
	X(EOI_EXIT_BITMAP_2, "EOI-exit bitmap 2", 0x2020, IF_PROC2(VIRTUAL_INTERRUPT_DELIVERY))                        \
	X(EOI_EXIT_BITMAP_3, "EOI-exit bitmap 3", 0x2022, IF_PROC2(VIRTUAL_INTERRUPT_DELIVERY))                        \
	X(EPTP_LIST_ADDRESS, "EPTP-list address", 0x2024, IF_EPTP_SWITCHING)                                           \
	X(VMREAD_BITMAP, "VMREAD-bitmap address", 0x2026, IF_PROC2(VMCS_SHADOWING))                                    \
	X(VMWRITE_BITMAP, "VMWRITE-bitmap address", 0x2028, IF_PROC2(VMCS_SHADOWING))                                  \
	X(VE_INFORMATION_ADDRESS, "Virtualization-exception information", 0x202a, IF_PROC2(EPT_VIOLATION_VE))          \
	X(XSS_EXITING_BITMAP, "XSS-exiting bitmap", 0x202c, IF_PROC2(ENABLE_XSAVES))                                   \
	X(ENCLS_EXITING_BITMAP, "ENCLS-exiting bitmap", 0x202e, IF_PROC2(ENCLS_EXITING))                               \
	X(SPP_TABLE_POINTER, "Sub-page-permission-table pointer", 0x2030, IF_PROC2(SUB_PAGE_WRITE_PERMISSIONS))        \
	X(TSC_MULTIPLIER, "TSC multiplier", 0x2032, IF_PROC2(USE_TSC_SCALING))                                         \
	X(PROC3_CONTROLS, "Tertiary processor-based VM-execution controls", 0x2034, IF_PROC(TERTIARY_CONTROLS))        \
	X(ENCLV_EXITING_BITMAP, "ENCLV-exiting bitmap", 0x2036, IF_PROC2(ENCLV_EXITING))                               \
	X(LOW_PASID_DIRECTORY, "Low PASID directory address", 0x2038, IF_PROC2(PASID_TRANSLATION))                     \
	X(HIGH_PASID_DIRECTORY, "High PASID directory address", 0x203a, IF_PROC2(PASID_TRANSLATION))                   \
	X(SHARED_EPT_POINTER, "Shared EPT pointer", 0x203c, IF_PROC3(GPA_WIDTH))                                       \
	X(PCONFIG_EXITING_BITMAP, "PCONFIG-exiting bitmap", 0x203e, IF_PROC2(ENABLE_PCONFIG))                          \
	X(HLAT_POINTER, "HLAT pointer (HLATP)", 0x2040, IF_PROC3(ENABLE_HLAT))                                         \
	X(PID_POINTER_TABLE, "PID-pointer table address", 0x2042, IF_PROC3(IPI_VIRTUALIZATION))                        \
	X(EXIT2_CONTROLS, "Secondary VM-exit controls", 0x2044, IF_EXIT(SECONDARY_CONTROLS))                           \
	X(SPEC_CTRL_MASK, "IA32_SPEC_CTRL mask", 0x204a, IF_PROC3(VIRTUALIZE_SPEC_CTRL))                               \
	X(SPEC_CTRL_SHADOW, "IA32_SPEC_CTRL shadow", 0x204c, IF_PROC3(VIRTUALIZE_SPEC_CTRL))                           \
	/* 64-bit read-only data field */                                                                              \
	X(GUEST_PHYSICAL_ADDRESS, "Guest-physical address", 0x2400, IF_PROC2(ENABLE_EPT))                              \
	/* 64-bit guest-state fields */                                                                                \
	X(LINK_POINTER, "VMCS link pointer", 0x2800, ALWAYS)                                                           \
	X(GUEST_DEBUGCTL, "Guest IA32_DEBUGCTL", 0x2802, ALWAYS)                                                       \
	X(GUEST_PAT, "Guest IA32_PAT", 0x2804, IF_EXIT_OR_ENTRY(SAVE_PAT, LOAD_PAT))                                   \
	X(GUEST_EFER, "Guest IA32_EFER", 0x2806, IF_EXIT_OR_ENTRY(SAVE_EFER, LOAD_EFER))                               \
	X(GUEST_PERF_GLOBAL_CTRL, "Guest IA32_PERF_GLOBAL_CTRL", 0x2808,                                               \
	  IF_EXIT_OR_ENTRY(SAVE_PERF_GLOBAL_CTRL, LOAD_PERF_GLOBAL_CTRL))                                              \
	X(GUEST_PDPTE0, "Guest PDPTE0", 0x280a, IF_PROC2(ENABLE_EPT))                                                  \
	X(GUEST_PDPTE1, "Guest PDPTE1", 0x280c, IF_PROC2(ENABLE_EPT))                                                  \
	X(GUEST_PDPTE2, "Guest PDPTE2", 0x280e, IF_PROC2(ENABLE_EPT))                                                  \
	X(GUEST_PDPTE3, "Guest PDPTE3", 0x2810, IF_PROC2(ENABLE_EPT))                                                  \
	X(GUEST_BNDCFGS, "Guest IA32_BNDCFGS", 0x2812, IF_EXIT_OR_ENTRY(CLEAR_BNDCFGS, LOAD_BNDCFGS))                  \
	X(GUEST_RTIT_CTL, "Guest IA32_RTIT_CTL", 0x2814, IF_EXIT_OR_ENTRY(CLEAR_RTIT_CTL, LOAD_RTIT_CTL))              \
	X(GUEST_LBR_CTL, "Guest IA32_LBR_CTL", 0x2816, IF_EXIT_OR_ENTRY(CLEAR_LBR_CTL, LOAD_LBR_CTL))                  \
	X(GUEST_PKRS, "Guest IA32_PKRS", 0x2818, IF_ENTRY(LOAD_PKRS))                                                  \
	/* 64-bit host-state fields */                                                                                 \
	X(HOST_PAT, "Host IA32_PAT", 0x2c00, IF_EXIT(LOAD_PAT))                                                        \
	X(HOST_EFER, "Host IA32_EFER", 0x2c02, IF_EXIT(LOAD_EFER))                                                     \
	X(HOST_PERF_GLOBAL_CTRL, "Host IA32_PERF_GLOBAL_CTRL", 0x2c04, IF_EXIT(LOAD_PERF_GLOBAL_CTRL))                 \
	X(HOST_PKRS, "Host IA32_PKRS", 0x2c06, IF_EXIT(LOAD_PKRS))                                                     \
	/* 32-bit control fields */                                                                                    \
	X(PIN_CONTROLS, "Pin-based VM-execution controls", 0x4000, ALWAYS)                                             \
	X(PROC_CONTROLS, "Primary processor-based VM-execution controls", 0x4002, ALWAYS)                              \
	X(EXCEPTION_BITMAP, "Exception bitmap", 0x4004, ALWAYS)                                                        \
	X(PAGE_FAULT_ERROR_CODE_MASK, "Page-fault error-code mask", 0x4006, ALWAYS)                                    \
	X(PAGE_FAULT_ERROR_CODE_MATCH, "Page-fault error-code match", 0x4008, ALWAYS)                                  \
	X(CR3_TARGET_COUNT, "CR3-target count", 0x400a, ALWAYS)                                                        \
	X(EXIT_CONTROLS, "Primary VM-exit controls", 0x400c, ALWAYS)                                                   \
	X(EXIT_MSR_STORE_COUNT, "VM-exit MSR-store count", 0x400e, ALWAYS)                                             \
	X(EXIT_MSR_LOAD_COUNT, "VM-exit MSR-load count", 0x4010, ALWAYS)                                               \
	X(ENTRY_CONTROLS, "VM-entry controls", 0x4012, ALWAYS)                                                         \
	X(ENTRY_MSR_LOAD_COUNT, "VM-entry MSR-load count", 0x4014, ALWAYS)                                             \
	X(ENTRY_INTERRUPTION_INFORMATION, "VM-entry interruption-information field", 0x4016, ALWAYS)                   \
	X(ENTRY_EXCEPTION_ERROR_CODE, "VM-entry exception error code", 0x4018, ALWAYS)                                 \
	X(ENTRY_INSTRUCTION_LENGTH, "VM-entry instruction length", 0x401a, ALWAYS)                                     \
	X(TPR_THRESHOLD, "TPR threshold", 0x401c, IF_PROC(USE_TPR_SHADOW))                                             \
	X(PROC2_CONTROLS, "Secondary processor-based VM-execution controls", 0x401e, IF_PROC(SECONDARY_CONTROLS))      \
	X(PLE_GAP, "PLE_Gap", 0x4020, IF_PROC2(PAUSE_LOOP_EXITING))                                                    \
	X(PLE_WINDOW, "PLE_Window", 0x4022, IF_PROC2(PAUSE_LOOP_EXITING))                                              \
	X(INSTRUCTION_TIMEOUT, "Instruction-timeout control", 0x4024, IF_PROC2(INSTRUCTION_TIMEOUT))                   \
	/* 32-bit read-only data fields */                                                                             \
	X(INSTRUCTION_ERROR, "VM-instruction error", 0x4400, ALWAYS)                                                   \
	X(EXIT_REASON, "Exit reason", 0x4402, ALWAYS)                                                                  \
	X(EXIT_INTERRUPTION_INFORMATION, "VM-exit interruption information", 0x4404, ALWAYS)                           \
	X(EXIT_INTERRUPTION_ERROR_CODE, "VM-exit interruption error code", 0x4406, ALWAYS)                             \
	X(IDT_VECTORING_INFORMATION, "IDT-vectoring information field", 0x4408, ALWAYS)                                \
	X(IDT_VECTORING_ERROR_CODE, "IDT-vectoring error code", 0x440a, ALWAYS)                                        \
	X(EXIT_INSTRUCTION_LENGTH, "VM-exit instruction length", 0x440c, ALWAYS)                                       \
	X(EXIT_INSTRUCTION_INFORMATION, "VM-exit instruction information", 0x440e, ALWAYS)                             \
	/* 32-bit guest-state fields */                                                                                \
	X(GUEST_ES_LIMIT, "Guest ES limit", 0x4800, ALWAYS)                                                            \
	X(GUEST_CS_LIMIT, "Guest CS limit", 0x4802, ALWAYS)                                                            \
	X(GUEST_SS_LIMIT, "Guest SS limit", 0x4804, ALWAYS)                                                            \
	X(GUEST_DS_LIMIT, "Guest DS limit", 0x4806, ALWAYS)                                                            \
	X(GUEST_FS_LIMIT, "Guest FS limit", 0x4808, ALWAYS)                                                            \
	X(GUEST_GS_LIMIT, "Guest GS limit", 0x480a, ALWAYS)                                                            \
	X(GUEST_LDTR_LIMIT, "Guest LDTR limit", 0x480c, ALWAYS)                                                        \
	X(GUEST_TR_LIMIT, "Guest TR limit", 0x480e, ALWAYS)                                                            \
	X(GUEST_GDTR_LIMIT, "Guest GDTR limit", 0x4810, ALWAYS)                                                        \
	X(GUEST_IDTR_LIMIT, "Guest IDTR limit", 0x4812, ALWAYS)                                                        \
	X(GUEST_ES_ACCESS_RIGHTS, "Guest ES access rights", 0x4814, ALWAYS)                                            \
	X(GUEST_CS_ACCESS_RIGHTS, "Guest CS access rights", 0x4816, ALWAYS)                                            \
	X(GUEST_SS_ACCESS_RIGHTS, "Guest SS access rights", 0x4818, ALWAYS)                                            \
	X(GUEST_DS_ACCESS_RIGHTS, "Guest DS access rights", 0x481a, ALWAYS)                                            \
	X(GUEST_FS_ACCESS_RIGHTS, "Guest FS access rights", 0x481c, ALWAYS)                                            \
	X(GUEST_GS_ACCESS_RIGHTS, "Guest GS access rights", 0x481e, ALWAYS)                                            \
	X(GUEST_LDTR_ACCESS_RIGHTS, "Guest LDTR access rights", 0x4820, ALWAYS)                                        \
	X(GUEST_TR_ACCESS_RIGHTS, "Guest TR access rights", 0x4822, ALWAYS)                                            \
	X(GUEST_INTERRUPTIBILITY, "Guest interruptibility state", 0x4824, ALWAYS)                                      \
	X(GUEST_ACTIVITY, "Guest activity state", 0x4826, ALWAYS)                                                      \
	X(GUEST_SMBASE, "Guest SMBASE", 0x4828, ALWAYS)                                                                \
	X(GUEST_SYSENTER_CS, "Guest IA32_SYSENTER_CS", 0x482a, ALWAYS)                                                 \
	X(PREEMPTION_TIMER_VALUE, "VMX-preemption timer value", 0x482e, IF_PIN(PREEMPTION_TIMER))                      \
	/* 32-bit host-state field */                                                                                  \
	X(HOST_SYSENTER_CS, "Host IA32_SYSENTER_CS", 0x4c00, ALWAYS)                                                   \
	/* Natural-width control fields */                                                                             \
	X(CR0_GUEST_HOST_MASK, "CR0 guest/host mask", 0x6000, ALWAYS)                                                  \
	X(CR4_GUEST_HOST_MASK, "CR4 guest/host mask", 0x6002, ALWAYS)                                                  \
	X(CR0_READ_SHADOW, "CR0 read shadow", 0x6004, ALWAYS)                                                          \
	X(CR4_READ_SHADOW, "CR4 read shadow", 0x6006, ALWAYS)                                                          \
	X(CR3_TARGET_VALUE_0, "CR3-target value 0", 0x6008, IF_CR3_TARGETS(1))                                         \
	X(CR3_TARGET_VALUE_1, "CR3-target value 1", 0x600a, IF_CR3_TARGETS(2))                                         \
	X(CR3_TARGET_VALUE_2, "CR3-target value 2", 0x600c, IF_CR3_TARGETS(3))                                         \
	X(CR3_TARGET_VALUE_3, "CR3-target value 3", 0x600e, IF_CR3_TARGETS(4))                                         \
	/* Natural-width read-only data fields */                                                                      \
	X(EXIT_QUALIFICATION, "Exit qualification", 0x6400, ALWAYS)                                                    \
	X(IO_RCX, "I/O RCX", 0x6402, ALWAYS)                                                                           \
	X(IO_RSI, "I/O RSI", 0x6404, ALWAYS)                                                                           \
	X(IO_RDI, "I/O RDI", 0x6406, ALWAYS)                                                                           \
	X(IO_RIP, "I/O RIP", 0x6408, ALWAYS)                                                                           \
	X(GUEST_LINEAR_ADDRESS, "Guest-linear address", 0x640a, ALWAYS)                                                \
	/* Natural-width guest-state fields */                                                                         \
	X(GUEST_CR0, "Guest CR0", 0x6800, ALWAYS)                                                                      \
	X(GUEST_CR3, "Guest CR3", 0x6802, ALWAYS)                                                                      \
	X(GUEST_CR4, "Guest CR4", 0x6804, ALWAYS)                                                                      \
	X(GUEST_ES_BASE, "Guest ES base", 0x6806, ALWAYS)                                                              \
	X(GUEST_CS_BASE, "Guest CS base", 0x6808, ALWAYS)                                                              \
	X(GUEST_SS_BASE, "Guest SS base", 0x680a, ALWAYS)                                                              \
	X(GUEST_DS_BASE, "Guest DS base", 0x680c, ALWAYS)                                                              \
	X(GUEST_FS_BASE, "Guest FS base", 0x680e, ALWAYS)                                                              \
	X(GUEST_GS_BASE, "Guest GS base", 0x6810, ALWAYS)                                                              \
	X(GUEST_LDTR_BASE, "Guest LDTR base", 0x6812, ALWAYS)                                                          \
	X(GUEST_TR_BASE, "Guest TR base", 0x6814, ALWAYS)                                                              \
	X(GUEST_GDTR_BASE, "Guest GDTR base", 0x6816, ALWAYS)                                                          \
	X(GUEST_IDTR_BASE, "Guest IDTR base", 0x6818, ALWAYS)                                                          \
	X(GUEST_DR7, "Guest DR7", 0x681a, ALWAYS)                                                                      \
	X(GUEST_RSP, "Guest RSP", 0x681c, ALWAYS)                                                                      \
	X(GUEST_RIP, "Guest RIP", 0x681e, ALWAYS)                                                                      \
	X(GUEST_RFLAGS, "Guest RFLAGS", 0x6820, ALWAYS)                                                                \
	X(GUEST_PENDING_DEBUG_EXCEPTIONS, "Guest pending debug exceptions", 0x6822, ALWAYS)                            \
	X(GUEST_SYSENTER_ESP, "Guest IA32_SYSENTER_ESP", 0x6824, ALWAYS)                                               \
	X(GUEST_SYSENTER_EIP, "Guest IA32_SYSENTER_EIP", 0x6826, ALWAYS)                                               \
	X(GUEST_S_CET, "Guest IA32_S_CET", 0x6828, IF_ENTRY(LOAD_CET))                                                 \
	X(GUEST_SSP, "Guest SSP", 0x682a, IF_ENTRY(LOAD_CET))                                                          \
	X(GUEST_INTERRUPT_SSP_TABLE, "Guest IA32_INTERRUPT_SSP_TABLE_ADDR", 0x682c, IF_ENTRY(LOAD_CET))                \
	/* Natural-width host-state fields */                                                                          \
	X(HOST_CR0, "Host CR0", 0x6c00, ALWAYS)                                                                        \
	X(HOST_CR3, "Host CR3", 0x6c02, ALWAYS)                                                                        \
	X(HOST_CR4, "Host CR4", 0x6c04, ALWAYS)                                                                        \
	X(HOST_FS_BASE, "Host FS base", 0x6c06, ALWAYS)                                                                \
	X(HOST_GS_BASE, "Host GS base", 0x6c08, ALWAYS)                                                                \
	X(HOST_TR_BASE, "Host TR base", 0x6c0a, ALWAYS)                                                                \
	X(HOST_GDTR_BASE, "Host GDTR base", 0x6c0c, ALWAYS)                                                            \
	X(HOST_IDTR_BASE, "Host IDTR base", 0x6c0e, ALWAYS)                                                            \
	X(HOST_SYSENTER_ESP, "Host IA32_SYSENTER_ESP", 0x6c10, ALWAYS)                                                 \
	X(HOST_SYSENTER_EIP, "Host IA32_SYSENTER_EIP", 0x6c12, ALWAYS)                                                 \
	X(HOST_RSP, "Host RSP", 0x6c14, ALWAYS)                                                                        \
	X(HOST_RIP, "Host RIP", 0x6c16, ALWAYS)                                                                        \
	X(HOST_S_CET, "Host IA32_S_CET", 0x6c18, IF_EXIT(LOAD_CET))                                                    \
	X(HOST_SSP, "Host SSP", 0x6c1a, IF_EXIT(LOAD_CET))                                                             \
	X(HOST_INTERRUPT_SSP_TABLE, "Host IA32_INTERRUPT_SSP_TABLE_ADDR", 0x6c1c, IF_EXIT(LOAD_CET))
/* clang-format on */

#define X(constant, name, encoding, condition) static const vmcs_field_t VMCS_##constant = {encoding};
VMCS_FIELDS(X)
#undef X

/* The fields of segment register i (enum tl_segment_name) follow each other in ES, CS, SS, DS, FS, GS, LDTR, TR. */
#define VMCS_GUEST_SELECTOR(i)      ((vmcs_field_t){0x0800 + 2 * (uint32_t)(i)})
#define VMCS_GUEST_PDPTE(i)         ((vmcs_field_t){0x280a + 2 * (uint32_t)(i)})
#define VMCS_GUEST_LIMIT(i)         ((vmcs_field_t){0x4800 + 2 * (uint32_t)(i)})
#define VMCS_GUEST_ACCESS_RIGHTS(i) ((vmcs_field_t){0x4814 + 2 * (uint32_t)(i)})
#define VMCS_GUEST_BASE(i)          ((vmcs_field_t){0x6806 + 2 * (uint32_t)(i)})

/* Bits 11:10 of an encoding (SDM vol. 3, 25.11.2). */
enum vmcs_field_type { VMCS_CONTROL, VMCS_READ_ONLY, VMCS_GUEST_STATE, VMCS_HOST_STATE, VMCS_NR_TYPES };

static inline enum vmcs_field_type vmcs_field_type(vmcs_field_t field)
{
	return (enum vmcs_field_type)(field.encoding >> 10 & 3);
}

#endif
