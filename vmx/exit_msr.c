/* SPDX-License-Identifier: MIT */
/* RDMSR and WRMSR, by the table of the guest's MSRs. */
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"
#include "vmx/guest_msr.h"
#include "vmx/mitigation.h"
#include "vmx/msr.h"

/* What MISC_ENABLE has besides: no branch trace store, no precise events (SDM vol. 4, 2.1). */
#define MISC_ENABLE_FIXED BITS(12, 11)

static bool is_canonical(uint64_t address)
{
	return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

/* ---- Constants and the embedder's -------------------------------------------------------------------------------- */

static bool msr_read_zero(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = 0;
	return true;
}

static bool msr_write_nothing(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	(void)msr;
	(void)value;
	return true;
}

static bool msr_read_feature_control(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = FEATURE_CONTROL_LOCKED;
	return true;
}

static bool msr_read_embedders(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	*value = 0;
	return vcpu->processor && vcpu->processor->read_msr && vcpu->processor->read_msr(vcpu, msr, value);
}

static bool msr_write_embedders(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return vcpu->processor && vcpu->processor->write_msr && vcpu->processor->write_msr(vcpu, msr, value);
}

/* Without a local APIC it says so. */
static bool msr_read_apic_base(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	if (vcpu->processor && vcpu->processor->read_msr)
		return msr_read_embedders(vcpu, msr, value);
	return msr_read_zero(vcpu, msr, value);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

static bool msr_read_tsc(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = rdtsc() + vcpu->tsc_offset;
	return true;
}

static bool msr_read_tsc_adjust(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = vcpu->tsc_adjust;
	return true;
}

/* Either MSR moves with the other (SDM vol. 3, 18.17.3). */
static bool msr_write_tsc_adjust(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	vcpu->tsc_offset += value - vcpu->tsc_adjust;
	vcpu->tsc_adjust = value;
	vmcs_write(VMCS_TSC_OFFSET, vcpu->tsc_offset);
	return true;
}

static bool msr_write_tsc(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return msr_write_tsc_adjust(vcpu, msr, vcpu->tsc_adjust + value - (rdtsc() + vcpu->tsc_offset));
}

uint64_t tl_vcpu_tsc_offset(const struct tl_vcpu *vcpu)
{
	return vcpu->tsc_offset;
}

/* ---- Speculation ------------------------------------------------------------------------------------------------- */

static bool msr_read_spec_ctrl(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = vcpu->spec_ctrl;
	return mitigations_spec_ctrl_bits();
}

static bool msr_write_spec_ctrl(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (!mitigations_spec_ctrl_bits() || value & ~mitigations_spec_ctrl_bits())
		return false;
	vcpu->spec_ctrl = value;
	mitigations_set_msrs(vcpu);
	return true;
}

static bool msr_write_pred_cmd(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	if (!mitigations_spec_ctrl_bits() || value & ~PRED_CMD_IBPB)
		return false;
	if (value)
		wrmsr(msr, value);
	return true;
}

static bool msr_read_arch_capabilities(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = mitigations_guest_arch_capabilities();
	return vmx_capability.has_arch_capabilities;
}

/* ---- Modes ------------------------------------------------------------------------------------------------------- */

static bool msr_read_misc_enable(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = MISC_ENABLE_FIXED | (vcpu->no_fast_strings ? 0 : MISC_ENABLE_FAST_STRINGS);
	return true;
}

static bool msr_write_misc_enable(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	if ((value ^ MISC_ENABLE_FIXED) & ~MISC_ENABLE_FAST_STRINGS)
		return false;
	vcpu->no_fast_strings = !(value & MISC_ENABLE_FAST_STRINGS);
	return true;
}

static bool msr_write_debugctl(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	(void)msr;
	if (value & ~(uint64_t)DEBUGCTL_BTF)
		return false;
	vmcs_write(VMCS_GUEST_DEBUGCTL, value);
	return true;
}

/* Eight memory types, each 0, 1, 4, 5, 6 or 7 (SDM vol. 3, 12.12.2). */
static bool is_pat(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		unsigned type = value >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static bool msr_read_pat(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = vcpu->msr_pat;
	return true;
}

static bool msr_write_pat(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (!is_pat(value))
		return false;
	vcpu->msr_pat = value;
	if (vmx_controls.pat)
		vmcs_write(VMCS_GUEST_PAT, value);
	return true;
}

static bool msr_read_efer(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)msr;
	*value = vcpu->mode.efer;
	return true;
}

static bool msr_write_efer(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)msr;
	return cr_write_efer(vcpu, value);
}

static bool msr_read_xss(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	(void)msr;
	*value = GUEST_XSS;
	return vmx_controls.xsaves;
}

static bool msr_write_xss(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	(void)msr;
	return vmx_controls.xsaves && value == GUEST_XSS;
}

/* ---- Those that pass, where there are no MSR bitmaps ------------------------------------------------------------- */

static vmcs_field_t field_of(uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_SYSENTER_CS:
		return VMCS_GUEST_SYSENTER_CS;
	case MSR_IA32_SYSENTER_ESP:
		return VMCS_GUEST_SYSENTER_ESP;
	case MSR_IA32_SYSENTER_EIP:
		return VMCS_GUEST_SYSENTER_EIP;
	case MSR_IA32_DEBUGCTL:
		return VMCS_GUEST_DEBUGCTL;
	case MSR_IA32_FS_BASE:
		return VMCS_GUEST_FS_BASE;
	default:
		return VMCS_GUEST_GS_BASE;
	}
}

static bool msr_read_field(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	*value = vmcs_read(field_of(msr));
	return true;
}

static bool msr_write_sysenter_cs(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	vmcs_write(field_of(msr), (uint32_t)value);
	return true;
}

static bool msr_write_base(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	if (!is_canonical(value))
		return false;
	vmcs_write(field_of(msr), value);
	return true;
}

/* Not switched by VMX: the guest's values stand in the CPU while it is loaded (vmx/extended_state.c). */
static bool msr_read_cpu(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	*value = rdmsr(msr);
	return true;
}

static bool msr_write_cpu(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	if (msr != MSR_IA32_STAR && !is_canonical(value))
		return false;
	wrmsr(msr, value);
	return true;
}

static bool msr_write_fmask(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return !(value >> 32) && msr_write_cpu(vcpu, msr, value);
}

static bool msr_read_tsc_aux(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	return vmx_controls.rdtscp && msr_read_cpu(vcpu, msr, value);
}

static bool msr_write_tsc_aux(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	return vmx_controls.rdtscp && !(value >> 32) && msr_write_cpu(vcpu, msr, value);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* Time goes on: what the guest has made of its TSC is in IA32_TSC_ADJUST. */
#define IS_STATE(msr, reads, writes) \
	((reads) <= MSR_EMULATED && (writes) <= MSR_EMULATED && (msr) != MSR_IA32_TIME_STAMP_COUNTER)

const struct guest_msr guest_msrs[NR_GUEST_MSRS] = {
#define X(first, last, name, reads, writes, reader, writer, note) \
	{first, last, MSR_##reads == MSR_PASSED, IS_STATE(first, MSR_##reads, MSR_##writes), reader, writer},
	GUEST_MSRS(X)
#undef X
};

/* What the table has not is the embedder's, too. */
static const struct guest_msr *find(uint32_t msr)
{
	static const struct guest_msr other = {.read = msr_read_embedders, .write = msr_write_embedders};
	unsigned low = 0, high = NR_GUEST_MSRS;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (msr > guest_msrs[middle].last)
			low = middle + 1;
		else if (msr < guest_msrs[middle].first)
			high = middle;
		else
			return &guest_msrs[middle];
	}
	return &other;
}

static bool read_guest_msr(struct tl_vcpu *vcpu, uint32_t number, uint64_t *value)
{
	const struct guest_msr *msr = find(number);

	return msr->read && msr->read(vcpu, number, value);
}

static bool write_guest_msr(struct tl_vcpu *vcpu, uint32_t number, uint64_t value)
{
	const struct guest_msr *msr = find(number);

	return msr->write && msr->write(vcpu, number, value);
}

enum vcpu_action exit_rdmsr(struct tl_vcpu *vcpu)
{
	uint64_t value;

	if (!read_guest_msr(vcpu, (uint32_t)vcpu->gpr[TL_RCX], &value))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	vcpu->gpr[TL_RAX] = (uint32_t)value;
	vcpu->gpr[TL_RDX] = value >> 32;
	return exit_skip_instruction(vcpu);
}

enum vcpu_action exit_wrmsr(struct tl_vcpu *vcpu)
{
	uint64_t value = vcpu->gpr[TL_RDX] << 32 | (uint32_t)vcpu->gpr[TL_RAX];

	if (!write_guest_msr(vcpu, (uint32_t)vcpu->gpr[TL_RCX], value))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	return exit_skip_instruction(vcpu);
}

enum tl_status tl_vcpu_get_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	return read_guest_msr(vcpu, msr, value) ? TL_OK : TL_INVALID_ARGUMENT;
}

enum tl_status tl_vcpu_set_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	return write_guest_msr(vcpu, msr, value) ? TL_OK : TL_INVALID_ARGUMENT;
}

bool tl_msr_next(uint32_t *msr)
{
	for (unsigned i = 0; i < NR_GUEST_MSRS; i++) {
		const struct guest_msr *row = &guest_msrs[i];

		if (!row->is_state || *msr >= row->last)
			continue;
		*msr = *msr < row->first ? row->first : *msr + 1;
		return true;
	}
	return false;
}
