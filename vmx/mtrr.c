/* SPDX-License-Identifier: MIT */
#include "vmx/mtrr.h"
#include "vmx/capability.h"
#include "vmx/msr.h"
#include "vmx/vcpu.h"

/* SDM vol. 3, 12.11.1 and 12.11.2. */
#define MTRRCAP_FIXED         BIT(8)
#define MTRRCAP_WRITE_COMBINE BIT(10)
#define DEF_TYPE_FIXED_ENABLE BIT(10)
#define DEF_TYPE_ENABLE       BIT(11)
#define PHYSMASK_VALID        BIT(11)

enum { TYPE_WRITE_BACK = 6 };

void mtrr_init(struct guest_mtrr *mtrr)
{
	*mtrr = (struct guest_mtrr){.def_type = DEF_TYPE_ENABLE | DEF_TYPE_FIXED_ENABLE | TYPE_WRITE_BACK};
	for (unsigned i = 0; i < MTRR_NR_FIXED; i++)
		mtrr->fixed[i] = 0x0101010101010101 * TYPE_WRITE_BACK;
}

/* The kinds of MTRR memory types: UC, WC, WT, WP, WB. */
static bool is_type(uint64_t type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static bool are_types(uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!is_type(value >> i & 0xff))
			return false;
	return true;
}

/* The 64 KiB one, the two of 16 KiB, the eight of 4 KiB. */
static unsigned fixed_index(uint32_t msr)
{
	if (msr == MSR_IA32_MTRR_FIX64K_00000)
		return 0;
	return msr < MSR_IA32_MTRR_FIX4K_C0000 ? 1 + (msr - MSR_IA32_MTRR_FIX16K_80000)
					       : 3 + (msr - MSR_IA32_MTRR_FIX4K_C0000);
}

static bool is_variable(uint32_t msr)
{
	return msr >= MSR_IA32_MTRR_PHYSBASE0 && msr < MSR_IA32_MTRR_PHYSBASE0 + 2 * MTRR_NR_VARIABLE;
}

bool mtrr_read(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const struct guest_mtrr *mtrr = &vcpu->mtrr;

	if (msr == MSR_IA32_MTRRCAP)
		*value = MTRR_NR_VARIABLE | MTRRCAP_FIXED | MTRRCAP_WRITE_COMBINE;
	else if (msr == MSR_IA32_MTRR_DEF_TYPE)
		*value = mtrr->def_type;
	else if (is_variable(msr))
		*value = mtrr->variable[msr - MSR_IA32_MTRR_PHYSBASE0];
	else
		*value = mtrr->fixed[fixed_index(msr)];
	return true;
}

static bool write_variable(struct guest_mtrr *mtrr, uint32_t msr, uint64_t value)
{
	bool mask = msr & 1;
	uint64_t address = (BIT(vmx_capability.physical_bits) - 1) & ~0xfffull;

	if (value & ~(address | (mask ? PHYSMASK_VALID : 0xff)) || (!mask && !is_type(value & 0xff)))
		return false;
	mtrr->variable[msr - MSR_IA32_MTRR_PHYSBASE0] = value;
	return true;
}

bool mtrr_write(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct guest_mtrr *mtrr = &vcpu->mtrr;

	if (is_variable(msr))
		return write_variable(mtrr, msr, value);
	if (msr == MSR_IA32_MTRR_DEF_TYPE) {
		if (value & ~(DEF_TYPE_ENABLE | DEF_TYPE_FIXED_ENABLE | 0xff) || !is_type(value & 0xff))
			return false;
		mtrr->def_type = value;
		return true;
	}
	if (!are_types(value))
		return false;
	mtrr->fixed[fixed_index(msr)] = value;
	return true;
}
