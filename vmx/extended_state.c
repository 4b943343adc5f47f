/* SPDX-License-Identifier: MIT */
#include "vmx/extended_state.h"
#include "mmio/xstate.h"
#include "vmx/asm.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/msr.h"

enum {
	FXSAVE_BYTES = 512,
	FXSAVE_FCW = 0,
	FXSAVE_MXCSR = 24,
	FXSAVE_MXCSR_MASK = 28,
	FCW_AFTER_RESET = 0x40,
	MXCSR_AFTER_RESET = 0x1f80
};

void extended_state_enable(void)
{
	uint64_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (vmx_capability.xsave)
		cr4 |= CR4_OSXSAVE;
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP);
	write_cr4(read_cr4() | cr4);
}

uint64_t extended_state_components(void)
{
	const uint64_t bound = BITS(4, 3), amx = BITS(18, 17);

	return vmx_capability.xcr0 & ~(bound | amx);
}

bool extended_state_is_xcr0(uint64_t value)
{
	const uint64_t sse = BIT(1), avx = BIT(2), avx512 = BITS(7, 5);

	if (value & ~extended_state_components() || !(value & 1))
		return false;
	if (value & avx && !(value & sse))
		return false;
	return !(value & avx512) || ((value & avx512) == avx512 && value & avx);
}

size_t tl_xstate_size(void)
{
	/* Of all components that XCR0 may enable: CPUID.0DH.0:ECX. */
	return vmx_capability.xsave ? cpuid(0x0d, 0).ecx : FXSAVE_BYTES;
}

size_t extended_state_pages(void)
{
	return (tl_xstate_size() + PAGE_SIZE - 1) / PAGE_SIZE;
}

void extended_state_init(struct tl_vcpu *vcpu)
{
	uint8_t *area = vcpu->fpu;
	const uint16_t fcw = FCW_AFTER_RESET;
	const uint32_t mxcsr = MXCSR_AFTER_RESET;

	__builtin_memcpy(area + FXSAVE_FCW, &fcw, sizeof(fcw));
	__builtin_memcpy(area + FXSAVE_MXCSR, &mxcsr, sizeof(mxcsr));
	/* XSTATE_BV: x87 and SSE are in the area, everything else is in its initial state. */
	area[512] = 3;
	vcpu->xcr0 = 1;
	vcpu->dr6 = 0xffff0ff0;
}

/* XCR0 stays what saves and loads everything. */
static void save_registers(struct tl_vcpu *vcpu)
{
	if (!vmx_capability.xsave) {
		fxsave(vcpu->fpu);
		return;
	}
	xsetbv(0, vmx_capability.xcr0);
	xsave(vcpu->fpu, vmx_capability.xcr0);
}

static void load_registers(struct tl_vcpu *vcpu)
{
	if (!vmx_capability.xsave) {
		fxrstor(vcpu->fpu);
		return;
	}
	xsetbv(0, vmx_capability.xcr0);
	xrstor(vcpu->fpu, vmx_capability.xcr0);
	xsetbv(0, vcpu->xcr0);
}

static void save(struct tl_vcpu *vcpu)
{
	save_registers(vcpu);
	vcpu->msr_star = rdmsr(MSR_IA32_STAR);
	vcpu->msr_lstar = rdmsr(MSR_IA32_LSTAR);
	vcpu->msr_cstar = rdmsr(MSR_IA32_CSTAR);
	vcpu->msr_fmask = rdmsr(MSR_IA32_FMASK);
	vcpu->msr_kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	if (vmx_controls.rdtscp)
		vcpu->msr_tsc_aux = rdmsr(MSR_IA32_TSC_AUX);
	vcpu->dr6 = read_dr6();
	vcpu->cr2 = read_cr2();
}

static void restore(struct tl_vcpu *vcpu)
{
	load_registers(vcpu);
	if (vmx_controls.xsaves)
		wrmsr(MSR_IA32_XSS, GUEST_XSS);
	wrmsr(MSR_IA32_STAR, vcpu->msr_star);
	wrmsr(MSR_IA32_LSTAR, vcpu->msr_lstar);
	wrmsr(MSR_IA32_CSTAR, vcpu->msr_cstar);
	wrmsr(MSR_IA32_FMASK, vcpu->msr_fmask);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, vcpu->msr_kernel_gs_base);
	if (vmx_controls.rdtscp)
		wrmsr(MSR_IA32_TSC_AUX, vcpu->msr_tsc_aux);
	write_dr0(vcpu->dr[0]);
	write_dr1(vcpu->dr[1]);
	write_dr2(vcpu->dr[2]);
	write_dr3(vcpu->dr[3]);
	write_dr6(vcpu->dr6);
	write_cr2(vcpu->cr2);
}

void extended_state_borrow(struct tl_vcpu *vcpu, struct xstate *xstate)
{
	*xstate = (struct xstate){.area = vcpu->fpu,
				  .enabled = 3,
				  .fxsave = !vmx_capability.xsave,
				  .dp_on_exceptions = vmx_capability.fdp_on_exceptions};
	save_registers(vcpu);
	if (!vmx_capability.xsave)
		return;
	xstate->enabled = vcpu->xcr0;
	for (unsigned i = XSTATE_AVX; i < XSTATE_NR_COMPONENTS; i++)
		if (vmx_capability.xcr0 >> i & 1)
			xstate->offset[i] = cpuid(0x0d, i).ebx;
	xsetbv(0, vcpu->xcr0);
}

void extended_state_return(struct tl_vcpu *vcpu)
{
	load_registers(vcpu);
}

enum tl_status tl_vcpu_get_xstate(struct tl_vcpu *vcpu, uint64_t *xcr0, void *area)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	save_registers(vcpu);
	if (vmx_capability.xsave)
		xsetbv(0, vcpu->xcr0);
	__builtin_memcpy(area, vcpu->fpu, tl_xstate_size());
	*xcr0 = vcpu->xcr0;
	return TL_OK;
}

/* Of the CPU; it stands in what it has saved. SDM vol. 1, 11.6.6. */
static uint32_t mxcsr_mask(const uint8_t *saved)
{
	uint32_t mask;

	__builtin_memcpy(&mask, saved + FXSAVE_MXCSR_MASK, sizeof(mask));
	return mask ? mask : 0xffbf;
}

/* Whether XRSTOR takes `area` (SDM vol. 1, 13.8.1), for a guest. */
static bool is_loadable(const uint8_t *area, uint32_t mask)
{
	uint64_t header[8];
	uint32_t mxcsr;

	__builtin_memcpy(&mxcsr, area + FXSAVE_MXCSR, sizeof(mxcsr));
	if (mxcsr & ~mask)
		return false;
	if (!vmx_capability.xsave)
		return true;
	__builtin_memcpy(header, area + FXSAVE_BYTES, sizeof(header));
	for (unsigned i = 1; i < 8; i++)
		if (header[i])
			return false;
	return !(header[0] & ~extended_state_components());
}

enum tl_status tl_vcpu_set_xstate(struct tl_vcpu *vcpu, uint64_t xcr0, const void *area)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	if (vmx_capability.xsave ? !extended_state_is_xcr0(xcr0) : xcr0 != 1)
		return TL_INVALID_ARGUMENT;
	save_registers(vcpu);
	if (is_loadable(area, mxcsr_mask(vcpu->fpu))) {
		__builtin_memcpy(vcpu->fpu, area, tl_xstate_size());
		vcpu->xcr0 = xcr0;
	} else {
		status = TL_INVALID_ARGUMENT;
	}
	load_registers(vcpu);
	return status;
}

void extended_state_evict(struct tl_vcpu *vcpu)
{
	struct vmx_cpu *cpu = cpu_this();

	if (cpu->fpu_owner != vcpu)
		return;
	save(vcpu);
	cpu->fpu_owner = NULL;
}

void extended_state_load(struct tl_vcpu *vcpu)
{
	struct vmx_cpu *cpu = cpu_this();

	if (cpu->fpu_owner == vcpu)
		return;
	if (cpu->fpu_owner)
		save(cpu->fpu_owner);
	restore(vcpu);
	cpu->fpu_owner = vcpu;
}
