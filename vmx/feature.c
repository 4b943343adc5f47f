/* SPDX-License-Identifier: MIT */
#include "vmx/feature.h"
#include "mmu/hooks.h"
#include "vmx/controls.h"

static uint32_t features_off, trusted;

enum tl_status tl_features_off(uint32_t features)
{
	/* The first CPU that came up has decided for all. */
	if (features >> TL_NR_FEATURES || vmx_capability.physical_bits)
		return TL_INVALID_ARGUMENT;
	features_off = features;
	return TL_OK;
}

enum tl_status tl_features_trusted(uint32_t features)
{
	if (features >> TL_NR_FEATURES || vmx_capability.physical_bits)
		return TL_INVALID_ARGUMENT;
	trusted = features;
	return TL_OK;
}

bool features_trusted(enum tl_feature feature)
{
	return trusted >> feature & 1;
}

static enum tl_status hide_control(struct vmx_capability *c, enum vmx_control_word word, uint32_t control)
{
	if (c->control[word].allowed0 & control) {
		tl_log(TL_LOG_ERROR, "this CPU fixes the VMX control \"%s\" to 1, so it cannot be done without.",
		       control_name(word, (unsigned)__builtin_ctz(control)));
		return TL_UNSUPPORTED;
	}
	c->control[word].allowed1 &= ~(uint64_t)control;
	return TL_OK;
}

static enum tl_status hide(struct vmx_capability *c, enum tl_feature feature)
{
	switch (feature) {
	case TL_FEATURE_VPID:
		return hide_control(c, VMX_PROC2, PROC2_ENABLE_VPID);
	case TL_FEATURE_UNRESTRICTED_GUEST:
		return hide_control(c, VMX_PROC2, PROC2_UNRESTRICTED_GUEST);
	case TL_FEATURE_PML:
		return hide_control(c, VMX_PROC2, PROC2_ENABLE_PML);
	case TL_FEATURE_PREEMPTION_TIMER:
		return hide_control(c, VMX_PIN, PIN_PREEMPTION_TIMER);
	case TL_FEATURE_VIRTUAL_NMIS:
		return hide_control(c, VMX_PIN, PIN_VIRTUAL_NMIS);
	case TL_FEATURE_MONITOR_TRAP_FLAG:
		return hide_control(c, VMX_PROC, PROC_MONITOR_TRAP_FLAG);
	case TL_FEATURE_IO_BITMAPS:
		return hide_control(c, VMX_PROC, PROC_USE_IO_BITMAPS);
	case TL_FEATURE_MSR_BITMAPS:
		return hide_control(c, VMX_PROC, PROC_USE_MSR_BITMAPS);
	case TL_FEATURE_EPT_2M:
		c->ept_2m = c->ept_1g = false;
		return TL_OK;
	case TL_FEATURE_EPT_1G:
		c->ept_1g = false;
		return TL_OK;
	case TL_FEATURE_EPT_ACCESSED_DIRTY:
		c->ept_accessed_dirty = false;
		return TL_OK;
	case TL_FEATURE_EPT_EXECUTE_ONLY:
		c->ept_execute_only = false;
		return TL_OK;
	case TL_FEATURE_INVEPT_SINGLE:
		c->invept_single = false;
		return TL_OK;
	case TL_FEATURE_XSAVE:
		c->xsave = c->xsavec = c->xsaves = false;
		c->xcr0 = 0;
		return TL_OK;
	case TL_FEATURE_TPR_SHADOW:
		return hide_control(c, VMX_PROC, PROC_USE_TPR_SHADOW);
	case TL_FEATURE_APIC_ACCESSES:
		return hide_control(c, VMX_PROC2, PROC2_VIRTUALIZE_APIC_ACCESSES);
	case TL_FEATURE_X2APIC_MODE:
		return hide_control(c, VMX_PROC2, PROC2_VIRTUALIZE_X2APIC_MODE);
	case TL_FEATURE_VIRTUAL_INTERRUPTS:
		return hide_control(c, VMX_PROC2, PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	case TL_FEATURE_APIC_REGISTERS:
		return hide_control(c, VMX_PROC2, PROC2_APIC_REGISTER_VIRTUALIZATION);
	case TL_FEATURE_POSTED_INTERRUPTS:
		return hide_control(c, VMX_PIN, PIN_POSTED_INTERRUPTS);
	case TL_FEATURE_XSAVES:
		c->xsavec = c->xsaves = false;
		return TL_OK;
	case TL_NR_FEATURES:
		break;
	}
	return TL_INVALID_ARGUMENT;
}

enum tl_status features_hide(struct vmx_capability *c)
{
	enum tl_status status = TL_OK;

	for (enum tl_feature feature = 0; feature < TL_NR_FEATURES && status == TL_OK; feature++)
		if (features_off >> feature & 1)
			status = hide(c, feature);
	return status;
}
