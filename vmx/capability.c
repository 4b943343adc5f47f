/* SPDX-License-Identifier: MIT */
#include "vmx/capability.h"
#include "vmx/asm.h"
#include "vmx/controls.h"
#include "vmx/msr.h"

struct vmx_capability vmx_capability;

static bool capability_has_true_controls(const struct vmx_capability *c)
{
	return c->msr.basic & VMX_BASIC_TRUE_CONTROLS;
}

/* The upper half of a capability MSR says which controls may be 1. */
static bool may_be_set(uint64_t msr, uint32_t control)
{
	return msr >> 32 & control;
}

static bool capability_has_proc2(const struct vmx_capability *c)
{
	return may_be_set(c->msr.proc, PROC_SECONDARY_CONTROLS);
}

static bool capability_has_proc3(const struct vmx_capability *c)
{
	return may_be_set(c->msr.proc, PROC_TERTIARY_CONTROLS);
}

static bool capability_has_ept_or_vpid(const struct vmx_capability *c)
{
	return may_be_set(c->msr.proc2, PROC2_ENABLE_EPT | PROC2_ENABLE_VPID);
}

static bool capability_has_vmfunc(const struct vmx_capability *c)
{
	return may_be_set(c->msr.proc2, PROC2_ENABLE_VM_FUNCTIONS);
}

static struct cpuid cpuid_or_none(uint32_t leaf, uint32_t subleaf)
{
	/* Beyond the last leaf the CPU answers with the last one's data, not with zeros. */
	if (leaf > cpuid(leaf & 0x80000000, 0).eax)
		return (struct cpuid){0};
	return cpuid(leaf, subleaf);
}

static void read_features(struct vmx_capability *c)
{
	struct cpuid leaf1 = cpuid_or_none(1, 0);
	struct cpuid leaf7 = cpuid_or_none(7, 0);
	struct cpuid leaf7_2 = leaf7.eax >= 2 ? cpuid_or_none(7, 2) : (struct cpuid){0};
	struct cpuid extended1 = cpuid_or_none(0x80000001, 0);
	struct cpuid sizes = cpuid_or_none(0x80000008, 0);
	bool has_xsave = leaf1.ecx & BIT(26);
	struct cpuid leaf13 = has_xsave ? cpuid_or_none(13, 1) : (struct cpuid){0};
	struct cpuid components = has_xsave ? cpuid_or_none(13, 0) : (struct cpuid){0};

#define X(member, register, bit, name) c->member = (register) & BIT(bit);
	CAPABILITY_FEATURES(X)
#undef X

	/* Without the leaf: 36 and 48 (SDM vol. 3, 4.1.4). */
	c->physical_bits = sizes.eax ? (uint8_t)sizes.eax : 36;
	c->linear_bits = sizes.eax ? (uint8_t)(sizes.eax >> 8) : 48;
	c->xcr0 = (uint64_t)components.edx << 32 | components.eax;
}

static struct vmx_control split(uint64_t msr)
{
	return (struct vmx_control){.allowed0 = (uint32_t)msr, .allowed1 = msr >> 32};
}

static void derive(struct vmx_capability *c)
{
	bool precise = capability_has_true_controls(c);
	uint64_t ept_vpid = c->msr.ept_vpid;

	c->revision = (uint32_t)(c->msr.basic & VMX_BASIC_REVISION_MASK);

	c->control[VMX_PIN] = split(precise ? c->msr.true_pin : c->msr.pin);
	c->control[VMX_PROC] = split(precise ? c->msr.true_proc : c->msr.proc);
	c->control[VMX_PROC2] = split(c->msr.proc2);
	c->control[VMX_EXIT] = split(precise ? c->msr.true_exit : c->msr.exit);
	c->control[VMX_ENTRY] = split(precise ? c->msr.true_entry : c->msr.entry);
	/* 64 bits, all of which may be 0 (SDM vol. 3, A.3.4). */
	c->control[VMX_PROC3] = (struct vmx_control){.allowed0 = 0, .allowed1 = c->msr.proc3};

	c->ept_2m = ept_vpid & VMX_EPT_2M_PAGES;
	c->ept_1g = ept_vpid & VMX_EPT_1G_PAGES;
	c->ept_accessed_dirty = ept_vpid & VMX_EPT_ACCESSED_DIRTY;
	c->ept_execute_only = ept_vpid & VMX_EPT_EXECUTE_ONLY;
	c->invept_single = (ept_vpid & VMX_EPT_INVEPT) && (ept_vpid & VMX_EPT_INVEPT_SINGLE_CONTEXT);
	c->invept_all = (ept_vpid & VMX_EPT_INVEPT) && (ept_vpid & VMX_EPT_INVEPT_ALL_CONTEXT);
	if (ept_vpid & VMX_VPID_INVVPID) {
		c->invvpid_address = ept_vpid & VMX_VPID_INVVPID_ADDRESS;
		c->invvpid_single = ept_vpid & VMX_VPID_INVVPID_SINGLE_CONTEXT;
		c->invvpid_all = ept_vpid & VMX_VPID_INVVPID_ALL_CONTEXT;
		c->invvpid_retaining_globals = ept_vpid & VMX_VPID_INVVPID_RETAINING_GLOBALS;
	}
	c->activity_hlt = c->msr.misc & VMX_MISC_ACTIVITY_HLT;
	c->preemption_timer_shift = (unsigned)(c->msr.misc & VMX_MISC_PREEMPTION_TIMER_MASK);
	c->no_page_size_change_mce = c->msr.arch & ARCH_CAPABILITIES_PSCHANGE_MC_NO;
}

void capability_read(struct vmx_capability *c)
{
	*c = (struct vmx_capability){0};

	read_features(c);
#define X(member, number, condition) c->msr.member = (condition) ? rdmsr(MSR_##number) : 0;
	CAPABILITY_MSRS(X)
#undef X
	derive(c);
}

enum tl_status capability_check(const struct vmx_capability *c)
{
	if (!(c->control[VMX_PROC2].allowed1 & PROC2_ENABLE_EPT))
		return TL_NO_EPT;
	if (!(c->msr.ept_vpid & VMX_EPT_4_LEVEL))
		return TL_NO_EPT_4_LEVEL;
	if (!(c->msr.ept_vpid & VMX_EPT_WRITE_BACK))
		return TL_NO_EPT_WRITE_BACK;
	if (!c->invept_single && !c->invept_all)
		return TL_NO_INVEPT;
	return TL_OK;
}

const char *capability_difference(const struct vmx_capability *a, const struct vmx_capability *b)
{
#define X(member, number, condition)        \
	if (a->msr.member != b->msr.member) \
		return #number;
	CAPABILITY_MSRS(X)
#undef X
#define X(member, register, bit, name) \
	if (a->member != b->member)    \
		return name;
	CAPABILITY_FEATURES(X)
#undef X
	if (a->physical_bits != b->physical_bits)
		return "MAXPHYADDR";
	if (a->linear_bits != b->linear_bits)
		return "the linear-address width";
	if (a->xcr0 != b->xcr0)
		return "the components of XCR0";
	return NULL;
}
