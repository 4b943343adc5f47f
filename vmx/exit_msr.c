/* SPDX-License-Identifier: MIT */
/*
 * The guest's MSRs: a table of those that it has. Anything else raises #GP(0), as a CPU without it would. FS_BASE,
 * GS_BASE and the SYSENTER MSRs are in the VMCS and pass without an exit where there is an MSR bitmap.
 */
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/mitigation.h"
#include "vmx/msr.h"

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* IA32_PAT: eight memory types, each 0, 1, 4, 5, 6 or 7 (SDM vol. 3, 12.12.2). */
static bool is_pat(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

/* Without a processor of the embedder's: no local APIC, nothing of what MISC_ENABLE enables. What CPUID says, too. */
static bool read_embedders(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 0;
	if (vcpu->processor && vcpu->processor->read_msr)
		return vcpu->processor->read_msr(vcpu, msr, value);
	return msr == MSR_IA32_APIC_BASE || msr == MSR_IA32_MISC_ENABLE;
}

static bool read_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_IA32_TIME_STAMP_COUNTER:
		*value = rdtsc() + vmcs_read(VMCS_TSC_OFFSET);
		return true;
	/* No microcode revision. */
	case MSR_IA32_BIOS_SIGN_ID:
		*value = 0;
		return true;
	case MSR_IA32_FEATURE_CONTROL:
		*value = 1; /* locked, VMX off */
		return true;
	case MSR_IA32_SPEC_CTRL:
		*value = vcpu->spec_ctrl;
		return mitigations_spec_ctrl_bits();
	case MSR_IA32_ARCH_CAPABILITIES:
		*value = mitigations_guest_arch_capabilities();
		return vmx_capability.has_arch_capabilities;
	case MSR_IA32_SYSENTER_CS:
		*value = vmcs_read(VMCS_GUEST_SYSENTER_CS);
		return true;
	case MSR_IA32_SYSENTER_ESP:
		*value = vmcs_read(VMCS_GUEST_SYSENTER_ESP);
		return true;
	case MSR_IA32_SYSENTER_EIP:
		*value = vmcs_read(VMCS_GUEST_SYSENTER_EIP);
		return true;
	case MSR_IA32_DEBUGCTL:
		*value = vmcs_read(VMCS_GUEST_DEBUGCTL);
		return true;
	case MSR_IA32_PAT:
		*value = vcpu->msr_pat;
		return true;
	case MSR_IA32_EFER:
		*value = vcpu->mode.efer;
		return true;
	case MSR_IA32_STAR:
	case MSR_IA32_LSTAR:
	case MSR_IA32_CSTAR:
	case MSR_IA32_FMASK:
	case MSR_IA32_KERNEL_GS_BASE:
		*value = rdmsr(msr);
		return true;
	case MSR_IA32_FS_BASE:
		*value = vmcs_read(VMCS_GUEST_FS_BASE);
		return true;
	case MSR_IA32_GS_BASE:
		*value = vmcs_read(VMCS_GUEST_GS_BASE);
		return true;
	case MSR_IA32_TSC_AUX:
		if (!vmx_controls.rdtscp)
			return false;
		*value = rdmsr(msr);
		return true;
	default:
		return read_embedders(vcpu, msr, value);
	}
}

static bool write_base(vmcs_field_t field, uint64_t value)
{
	if (!is_canonical(value))
		return false;
	vmcs_write(field, value);
	return true;
}

static bool write_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case MSR_IA32_TIME_STAMP_COUNTER:
		vmcs_write(VMCS_TSC_OFFSET, value - rdtsc());
		return true;
	case MSR_IA32_BIOS_SIGN_ID:
		return true;
	case MSR_IA32_SPEC_CTRL:
		if (!mitigations_spec_ctrl_bits() || value & ~mitigations_spec_ctrl_bits())
			return false;
		vcpu->spec_ctrl = value;
		mitigations_set_msrs(vcpu);
		return true;
	case MSR_IA32_PRED_CMD:
		if (!mitigations_spec_ctrl_bits() || value & ~PRED_CMD_IBPB)
			return false;
		if (value)
			wrmsr(MSR_IA32_PRED_CMD, value);
		return true;
	case MSR_IA32_SYSENTER_CS:
		vmcs_write(VMCS_GUEST_SYSENTER_CS, (uint32_t)value);
		return true;
	case MSR_IA32_SYSENTER_ESP:
		return write_base(VMCS_GUEST_SYSENTER_ESP, value);
	case MSR_IA32_SYSENTER_EIP:
		return write_base(VMCS_GUEST_SYSENTER_EIP, value);
	case MSR_IA32_DEBUGCTL:
		/* LBR is not given to guests; BTF is in the VMCS. */
		if (value & ~(uint64_t)DEBUGCTL_BTF)
			return false;
		vmcs_write(VMCS_GUEST_DEBUGCTL, value);
		return true;
	case MSR_IA32_PAT:
		if (!is_pat(value))
			return false;
		vcpu->msr_pat = value;
		if (vmx_controls.pat)
			vmcs_write(VMCS_GUEST_PAT, value);
		return true;
	case MSR_IA32_EFER:
		return cr_write_efer(vcpu, value);
	/* Not switched by VMX: the guest's values stand in the CPU while it is loaded (vmx/extended_state.c). */
	case MSR_IA32_LSTAR:
	case MSR_IA32_CSTAR:
	case MSR_IA32_KERNEL_GS_BASE:
		if (!is_canonical(value))
			return false;
		wrmsr(msr, value);
		return true;
	case MSR_IA32_STAR:
		wrmsr(msr, value);
		return true;
	case MSR_IA32_FMASK:
		wrmsr(msr, (uint32_t)value);
		return true;
	case MSR_IA32_FS_BASE:
		return write_base(VMCS_GUEST_FS_BASE, value);
	case MSR_IA32_GS_BASE:
		return write_base(VMCS_GUEST_GS_BASE, value);
	case MSR_IA32_TSC_AUX:
		if (!vmx_controls.rdtscp || value >> 32)
			return false;
		wrmsr(msr, value);
		return true;
	default:
		return vcpu->processor && vcpu->processor->write_msr && vcpu->processor->write_msr(vcpu, msr, value);
	}
}

enum vcpu_action exit_rdmsr(struct tl_vcpu *vcpu)
{
	uint64_t value;

	if (!read_msr(vcpu, (uint32_t)vcpu->gpr[TL_RCX], &value))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	vcpu->gpr[TL_RAX] = (uint32_t)value;
	vcpu->gpr[TL_RDX] = value >> 32;
	return exit_skip_instruction(vcpu);
}

enum vcpu_action exit_wrmsr(struct tl_vcpu *vcpu)
{
	uint64_t value = vcpu->gpr[TL_RDX] << 32 | (uint32_t)vcpu->gpr[TL_RAX];

	if (!write_msr(vcpu, (uint32_t)vcpu->gpr[TL_RCX], value))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	return exit_skip_instruction(vcpu);
}
