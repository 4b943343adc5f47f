/* SPDX-License-Identifier: MIT */
#include "vmx/mitigation.h"
#include "mmu/hooks.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/msr.h"

uint8_t vmx_guard;
uint16_t vmx_guard_selector;
uint32_t vmx_mitigations;

static uint32_t asked_for;
static bool were_asked_for;

enum tl_status tl_mitigations(uint32_t mitigations)
{
	/* The first CPU that came up has decided for all. */
	if (mitigations >> TL_NR_MITIGATIONS || vmx_capability.physical_bits)
		return TL_INVALID_ARGUMENT;
	asked_for = mitigations;
	were_asked_for = true;
	return TL_OK;
}

/* ---- The choice -------------------------------------------------------------------------------------------------- */

static bool says(const struct vmx_capability *c, uint64_t bits)
{
	return (c->msr.arch & bits) == bits;
}

/* Whether what an instruction or an MSR does is there: microcode brings it. */
static bool has_means(const struct vmx_capability *c, enum tl_mitigation which)
{
	switch (which) {
	case TL_MITIGATION_L1D_FLUSH:
		return c->l1d_flush;
	case TL_MITIGATION_SPEC_CTRL:
		return c->ibrs;
	default:
		/* VERW is harmless where it clears nothing; filling the RSB takes calls alone, and a history branches.
		 */
		return true;
	}
}

/* SDM vol. 4, IA32_ARCH_CAPABILITIES. An L1D flush of a CPU that has MD_CLEAR empties the buffers as well. */
static bool needs_verw(const struct vmx_capability *c)
{
	bool mds = !says(c, ARCH_CAPABILITIES_MDS_NO);
	bool taa = c->rtm && !says(c, ARCH_CAPABILITIES_TAA_NO);
	bool stale_data =
		says(c, ARCH_CAPABILITIES_FB_CLEAR) &&
		!says(c, ARCH_CAPABILITIES_SBDR_SSDP_NO | ARCH_CAPABILITIES_FBSDP_NO | ARCH_CAPABILITIES_PSDP_NO);
	bool rfds = says(c, ARCH_CAPABILITIES_RFDS_CLEAR) && !says(c, ARCH_CAPABILITIES_RFDS_NO);

	return c->md_clear && (mds || taa || stale_data || rfds);
}

uint32_t mitigations_needed(const struct vmx_capability *c)
{
	bool l1d_flush = c->l1d_flush && !says(c, ARCH_CAPABILITIES_RDCL_NO) && !says(c, ARCH_CAPABILITIES_SKIP_L1DFL);
	/* Enhanced IBRS keeps a guest's entries of the RSB from the host's returns, all but perhaps the first (PBRSB).
	 */
	bool rsb = c->ibrs && !says(c, ARCH_CAPABILITIES_IBRS_ALL | ARCH_CAPABILITIES_PBRSB_NO);
	/* By what a guest leaves in the branch history enhanced IBRS does not tell guest and host apart. */
	bool bhi = c->ibrs && says(c, ARCH_CAPABILITIES_IBRS_ALL) && !says(c, ARCH_CAPABILITIES_BHI_NO);
	uint32_t mask = 0;

	mask |= (uint32_t)l1d_flush << TL_MITIGATION_L1D_FLUSH;
	mask |= (uint32_t)(!l1d_flush && needs_verw(c)) << TL_MITIGATION_VERW;
	mask |= (uint32_t)rsb << TL_MITIGATION_RSB;
	mask |= (uint32_t)c->ibrs << TL_MITIGATION_SPEC_CTRL;
	mask |= (uint32_t)bhi << TL_MITIGATION_BHI;
	return mask;
}

static bool is_on(enum tl_mitigation which)
{
	return vmx_mitigations >> which & 1;
}

/* The CPU itself keeps the history out of predictions where it can: what branches overwrite is too long there. */
static bool bhi_by_msr(const struct vmx_capability *c)
{
	return is_on(TL_MITIGATION_BHI) && is_on(TL_MITIGATION_SPEC_CTRL) && c->bhi_ctrl;
}

static uint8_t guard_of(const struct vmx_capability *c)
{
	unsigned guard = 0;

	guard |= is_on(TL_MITIGATION_VERW) ? GUARD_VERW : 0;
	guard |= is_on(TL_MITIGATION_RSB) ? GUARD_RSB : 0;
	guard |= is_on(TL_MITIGATION_BHI) && !bhi_by_msr(c) ? GUARD_BHI : 0;
	return (uint8_t)guard;
}

enum tl_status mitigations_choose(const struct vmx_capability *c)
{
	vmx_mitigations = were_asked_for ? asked_for : mitigations_needed(c);
	for (enum tl_mitigation which = 0; which < TL_NR_MITIGATIONS; which++) {
		if (!is_on(which) || has_means(c, which))
			continue;
		tl_log(TL_LOG_ERROR,
		       "this CPU has no %s, so that it cannot be used: update its microcode, or do without.",
		       which == TL_MITIGATION_L1D_FLUSH ? "IA32_FLUSH_CMD" : "IA32_SPEC_CTRL");
		return TL_UNSUPPORTED;
	}
	vmx_guard = guard_of(c);
	vmx_guard_selector = read_ss();
	return TL_OK;
}

/* ---- One CPU ----------------------------------------------------------------------------------------------------- */

static uint64_t bhi_bit(void)
{
	return bhi_by_msr(&vmx_capability) ? SPEC_CTRL_BHI_DIS_S : 0;
}

static uint64_t host_spec_ctrl(void)
{
	return cpu_this()->spec_ctrl_before | SPEC_CTRL_IBRS | bhi_bit();
}

/* With enhanced IBRS once is enough; the older kind has to be set anew at each exit, which the exit's list does. */
void mitigations_start(void)
{
	if (!is_on(TL_MITIGATION_SPEC_CTRL))
		return;
	cpu_this()->spec_ctrl_before = rdmsr(MSR_IA32_SPEC_CTRL);
	wrmsr(MSR_IA32_SPEC_CTRL, host_spec_ctrl());
}

void mitigations_stop(void)
{
	if (is_on(TL_MITIGATION_SPEC_CTRL))
		wrmsr(MSR_IA32_SPEC_CTRL, cpu_this()->spec_ctrl_before);
}

uintptr_t mitigations_exit_address(bool traced)
{
	if (vmx_guard)
		return (uintptr_t)(traced ? vmx_exit_traced_guarded : vmx_exit_guarded);
	return (uintptr_t)(traced ? vmx_exit_traced : vmx_exit_entry);
}

/* ---- A vCPU ------------------------------------------------------------------------------------------------------ */

/* The guest keeps the host's bit for its history, which it does not see: one MSR less to switch, and its kernel gains.
 */
static uint64_t spec_ctrl_in_guest(const struct tl_vcpu *vcpu)
{
	return vcpu->spec_ctrl | bhi_bit();
}

void mitigations_set_msrs(struct tl_vcpu *vcpu)
{
	bool enhanced = says(&vmx_capability, ARCH_CAPABILITIES_IBRS_ALL);
	unsigned entry = 0, exit = 0;

	if (is_on(TL_MITIGATION_SPEC_CTRL) && (!enhanced || spec_ctrl_in_guest(vcpu) != host_spec_ctrl())) {
		vcpu->entry_msr[entry++] =
			(struct msr_list_entry){.msr = MSR_IA32_SPEC_CTRL, .value = spec_ctrl_in_guest(vcpu)};
		vcpu->exit_msr[exit++] = (struct msr_list_entry){.msr = MSR_IA32_SPEC_CTRL, .value = host_spec_ctrl()};
	}
	/* Last: what the entry itself reads of the host's is emptied as well. */
	if (is_on(TL_MITIGATION_L1D_FLUSH))
		vcpu->entry_msr[entry++] = (struct msr_list_entry){.msr = MSR_IA32_FLUSH_CMD, .value = FLUSH_CMD_L1D};
	vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDRESS, host_to_phys(vcpu->entry_msr));
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, entry);
	vmcs_write(VMCS_EXIT_MSR_LOAD_ADDRESS, host_to_phys(vcpu->exit_msr));
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, exit);
}

void mitigations_switch_vcpu(void)
{
	/* What one guest has taught the branch predictors is not for another one. */
	if (is_on(TL_MITIGATION_SPEC_CTRL))
		wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
}

/* ---- What a guest sees ------------------------------------------------------------------------------------------- */

uint64_t mitigations_spec_ctrl_bits(void)
{
	const struct vmx_capability *c = &vmx_capability;

	if (!is_on(TL_MITIGATION_SPEC_CTRL))
		return 0;
	return SPEC_CTRL_IBRS | (c->stibp ? SPEC_CTRL_STIBP : 0) | (c->ssbd ? SPEC_CTRL_SSBD : 0);
}

uint32_t mitigations_guest_features(uint32_t edx)
{
	uint64_t bits = mitigations_spec_ctrl_bits();
	uint32_t shown = edx & (uint32_t)~BITS(31, 26);

	if (bits & SPEC_CTRL_IBRS)
		shown |= edx & (uint32_t)BIT(26);
	if (bits & SPEC_CTRL_STIBP)
		shown |= edx & (uint32_t)BIT(27);
	if (bits & SPEC_CTRL_SSBD)
		shown |= edx & (uint32_t)BIT(31);
	return shown | (edx & (uint32_t)BIT(29));
}

uint64_t mitigations_guest_arch_capabilities(void)
{
	uint64_t shown = ARCH_CAPABILITIES_RDCL_NO | ARCH_CAPABILITIES_RSBA | ARCH_CAPABILITIES_SSB_NO |
			 ARCH_CAPABILITIES_MDS_NO | ARCH_CAPABILITIES_TAA_NO | ARCH_CAPABILITIES_SBDR_SSDP_NO |
			 ARCH_CAPABILITIES_FBSDP_NO | ARCH_CAPABILITIES_PSDP_NO | ARCH_CAPABILITIES_FB_CLEAR |
			 ARCH_CAPABILITIES_RRSBA | ARCH_CAPABILITIES_BHI_NO | ARCH_CAPABILITIES_PBRSB_NO |
			 ARCH_CAPABILITIES_GDS_NO | ARCH_CAPABILITIES_RFDS_NO | ARCH_CAPABILITIES_RFDS_CLEAR;

	if (is_on(TL_MITIGATION_SPEC_CTRL))
		shown |= ARCH_CAPABILITIES_IBRS_ALL;
	/* What EPT's large pages and the flushes at entries do for it, it need not do itself. */
	return (vmx_capability.msr.arch & shown) | ARCH_CAPABILITIES_SKIP_L1DFL | ARCH_CAPABILITIES_PSCHANGE_MC_NO;
}

void mitigations_describe(void)
{
	tl_log(TL_LOG_INFO, "mitigations:%s%s%s%s%s%s%s", vmx_mitigations ? "" : " none",
	       is_on(TL_MITIGATION_L1D_FLUSH) ? " l1d-flush" : "", is_on(TL_MITIGATION_VERW) ? " verw" : "",
	       is_on(TL_MITIGATION_RSB) ? " rsb" : "", is_on(TL_MITIGATION_SPEC_CTRL) ? " spec-ctrl" : "",
	       is_on(TL_MITIGATION_BHI) ? " bhi" : "", were_asked_for ? ", as was asked for" : "");
}
