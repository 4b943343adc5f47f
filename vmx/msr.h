/* SPDX-License-Identifier: MIT */
/* MSR numbers and bits in the SDM's spelling (SDM vol. 4; vol. 3, appendix A). */
#ifndef VMX_MSR_H
#define VMX_MSR_H

#include <stdint.h>

#define MSR_IA32_TIME_STAMP_COUNTER      0x010
#define MSR_IA32_APIC_BASE               0x01b
#define MSR_IA32_FEATURE_CONTROL         0x03a
#define MSR_IA32_TSC_ADJUST              0x03b
#define MSR_IA32_SPEC_CTRL               0x048
#define MSR_IA32_PRED_CMD                0x049
#define MSR_IA32_BIOS_SIGN_ID            0x08b
#define MSR_IA32_MTRRCAP                 0x0fe
#define MSR_IA32_ARCH_CAPABILITIES       0x10a
#define MSR_IA32_FLUSH_CMD               0x10b
#define MSR_IA32_SYSENTER_CS             0x174
#define MSR_IA32_SYSENTER_ESP            0x175
#define MSR_IA32_SYSENTER_EIP            0x176
#define MSR_IA32_MISC_ENABLE             0x1a0
#define MISC_ENABLE_FAST_STRINGS         BIT(0)
#define MSR_IA32_DEBUGCTL                0x1d9
#define MSR_IA32_MTRR_PHYSBASE0          0x200
#define MSR_IA32_MTRR_FIX64K_00000       0x250
#define MSR_IA32_MTRR_FIX16K_80000       0x258
#define MSR_IA32_MTRR_FIX4K_C0000        0x268
#define MSR_IA32_PAT                     0x277
#define MSR_IA32_MTRR_DEF_TYPE           0x2ff
#define MSR_IA32_VMX_BASIC               0x480
#define MSR_IA32_VMX_PINBASED_CTLS       0x481
#define MSR_IA32_VMX_PROCBASED_CTLS      0x482
#define MSR_IA32_VMX_EXIT_CTLS           0x483
#define MSR_IA32_VMX_ENTRY_CTLS          0x484
#define MSR_IA32_VMX_MISC                0x485
#define MSR_IA32_VMX_CR0_FIXED0          0x486
#define MSR_IA32_VMX_CR0_FIXED1          0x487
#define MSR_IA32_VMX_CR4_FIXED0          0x488
#define MSR_IA32_VMX_CR4_FIXED1          0x489
#define MSR_IA32_VMX_VMCS_ENUM           0x48a
#define MSR_IA32_VMX_PROCBASED_CTLS2     0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP        0x48c
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS  0x48d
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48e
#define MSR_IA32_VMX_TRUE_EXIT_CTLS      0x48f
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS     0x490
#define MSR_IA32_VMX_VMFUNC              0x491
#define MSR_IA32_VMX_PROCBASED_CTLS3     0x492
#define MSR_IA32_VMX_EXIT_CTLS2          0x493
#define MSR_IA32_X2APIC_FIRST            0x800
#define MSR_IA32_X2APIC_TPR              0x808
#define MSR_IA32_X2APIC_EOI              0x80b
#define MSR_IA32_X2APIC_SELF_IPI         0x83f
#define MSR_IA32_XSS                     0xda0
#define MSR_IA32_EFER                    0xc0000080
#define MSR_IA32_STAR                    0xc0000081
#define MSR_IA32_LSTAR                   0xc0000082
#define MSR_IA32_CSTAR                   0xc0000083
#define MSR_IA32_FMASK                   0xc0000084
#define MSR_IA32_FS_BASE                 0xc0000100
#define MSR_IA32_GS_BASE                 0xc0000101
#define MSR_IA32_KERNEL_GS_BASE          0xc0000102
#define MSR_IA32_TSC_AUX                 0xc0000103

#define FEATURE_CONTROL_LOCKED          (UINT64_C(1) << 0)
#define FEATURE_CONTROL_VMX_IN_SMX      (UINT64_C(1) << 1)
#define FEATURE_CONTROL_VMX_OUTSIDE_SMX (UINT64_C(1) << 2)

#define ARCH_CAPABILITIES_RDCL_NO        (UINT64_C(1) << 0)
#define ARCH_CAPABILITIES_IBRS_ALL       (UINT64_C(1) << 1)
#define ARCH_CAPABILITIES_RSBA           (UINT64_C(1) << 2)
#define ARCH_CAPABILITIES_SKIP_L1DFL     (UINT64_C(1) << 3)
#define ARCH_CAPABILITIES_SSB_NO         (UINT64_C(1) << 4)
#define ARCH_CAPABILITIES_MDS_NO         (UINT64_C(1) << 5)
#define ARCH_CAPABILITIES_PSCHANGE_MC_NO (UINT64_C(1) << 6)
#define ARCH_CAPABILITIES_TAA_NO         (UINT64_C(1) << 8)
#define ARCH_CAPABILITIES_SBDR_SSDP_NO   (UINT64_C(1) << 13)
#define ARCH_CAPABILITIES_FBSDP_NO       (UINT64_C(1) << 14)
#define ARCH_CAPABILITIES_PSDP_NO        (UINT64_C(1) << 15)
#define ARCH_CAPABILITIES_FB_CLEAR       (UINT64_C(1) << 17)
#define ARCH_CAPABILITIES_RRSBA          (UINT64_C(1) << 19)
#define ARCH_CAPABILITIES_BHI_NO         (UINT64_C(1) << 20)
#define ARCH_CAPABILITIES_PBRSB_NO       (UINT64_C(1) << 24)
#define ARCH_CAPABILITIES_GDS_NO         (UINT64_C(1) << 26)
#define ARCH_CAPABILITIES_RFDS_NO        (UINT64_C(1) << 27)
#define ARCH_CAPABILITIES_RFDS_CLEAR     (UINT64_C(1) << 28)

#define SPEC_CTRL_IBRS      (UINT64_C(1) << 0)
#define SPEC_CTRL_STIBP     (UINT64_C(1) << 1)
#define SPEC_CTRL_SSBD      (UINT64_C(1) << 2)
#define SPEC_CTRL_BHI_DIS_S (UINT64_C(1) << 10)
#define PRED_CMD_IBPB       (UINT64_C(1) << 0)
#define FLUSH_CMD_L1D       (UINT64_C(1) << 0)

/* IA32_VMX_BASIC (SDM vol. 3, A.1) */
#define VMX_BASIC_REVISION_MASK      UINT64_C(0x7fffffff)
#define VMX_BASIC_REGION_SIZE_SHIFT  32
#define VMX_BASIC_REGION_SIZE_MASK   UINT64_C(0x1fff)
#define VMX_BASIC_32_BIT_ADDRESSES   (UINT64_C(1) << 48)
#define VMX_BASIC_MEMORY_TYPE_SHIFT  50
#define VMX_BASIC_INS_OUTS_INFO      (UINT64_C(1) << 54)
#define VMX_BASIC_TRUE_CONTROLS      (UINT64_C(1) << 55)
#define VMX_BASIC_NO_ERROR_CODE_RULE (UINT64_C(1) << 56)

/* IA32_VMX_MISC (SDM vol. 3, A.6) */
#define VMX_MISC_PREEMPTION_TIMER_MASK  UINT64_C(0x1f)
#define VMX_MISC_STORE_LMA              (UINT64_C(1) << 5)
#define VMX_MISC_ACTIVITY_HLT           (UINT64_C(1) << 6)
#define VMX_MISC_ACTIVITY_SHUTDOWN      (UINT64_C(1) << 7)
#define VMX_MISC_ACTIVITY_WAIT_FOR_SIPI (UINT64_C(1) << 8)
#define VMX_MISC_CR3_TARGETS_SHIFT      16
#define VMX_MISC_CR3_TARGETS_MASK       UINT64_C(0x1ff)
#define VMX_MISC_VMWRITE_ANY            (UINT64_C(1) << 29)
#define VMX_MISC_INJECT_ZERO_LENGTH     (UINT64_C(1) << 30)

/* IA32_VMX_EPT_VPID_CAP (SDM vol. 3, A.10) */
#define VMX_EPT_EXECUTE_ONLY               (UINT64_C(1) << 0)
#define VMX_EPT_4_LEVEL                    (UINT64_C(1) << 6)
#define VMX_EPT_5_LEVEL                    (UINT64_C(1) << 7)
#define VMX_EPT_UNCACHEABLE                (UINT64_C(1) << 8)
#define VMX_EPT_WRITE_BACK                 (UINT64_C(1) << 14)
#define VMX_EPT_2M_PAGES                   (UINT64_C(1) << 16)
#define VMX_EPT_1G_PAGES                   (UINT64_C(1) << 17)
#define VMX_EPT_INVEPT                     (UINT64_C(1) << 20)
#define VMX_EPT_ACCESSED_DIRTY             (UINT64_C(1) << 21)
#define VMX_EPT_ADVANCED_EXIT_INFORMATION  (UINT64_C(1) << 22)
#define VMX_EPT_INVEPT_SINGLE_CONTEXT      (UINT64_C(1) << 25)
#define VMX_EPT_INVEPT_ALL_CONTEXT         (UINT64_C(1) << 26)
#define VMX_VPID_INVVPID                   (UINT64_C(1) << 32)
#define VMX_VPID_INVVPID_ADDRESS           (UINT64_C(1) << 40)
#define VMX_VPID_INVVPID_SINGLE_CONTEXT    (UINT64_C(1) << 41)
#define VMX_VPID_INVVPID_ALL_CONTEXT       (UINT64_C(1) << 42)
#define VMX_VPID_INVVPID_RETAINING_GLOBALS (UINT64_C(1) << 43)

#endif
