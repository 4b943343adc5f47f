/* SPDX-License-Identifier: MIT */
/*
 * CPUID as a guest sees it: the CPU's own answer, without what the guest cannot use here. Which processor of how many
 * it is does not depend on where it runs: the only one, if the embedder says nothing else.
 */
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cpuid_cache.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"
#include "vmx/mitigation.h"

enum {
	CPUID_FEATURES = 1,
	CPUID_CACHES = 4,
	CPUID_STRUCTURED = 7,
	CPUID_XSAVE = 0x0d,
	CPUID_EXTENDED_FEATURES = 0x80000001,
	CPUID_POWER = 0x80000007,
	CPUID_HYPERVISOR = 0x40000000,
	HYPERVISOR_LEAVES = 0x100,
	BASIC_LEAVES = 0x40
};

/* The basic leaves that are shown: identification, caches, features, XSAVE, the rates of the TSC and the cores. */
#define SHOWN_BASIC (BITS(2, 0) | BIT(4) | BIT(7) | BIT(0x0d) | BITS(0x16, 0x15))

/* What is hidden of the others, by leaf and register. */
#define HIDDEN_1_ECX                                                                                              \
	(BIT(2) /* DTES64 */ | BIT(3) /* MONITOR */ | BIT(4) /* DS-CPL */ | BIT(5) /* VMX */ | BIT(6) /* SMX */ | \
	 BIT(7) /* EIST */ | BIT(8) /* TM2 */ | BIT(10) /* CNXT-ID */ | BIT(11) /* SDBG */ | BIT(14) /* xTPR */ | \
	 BIT(15) /* PDCM */ | BIT(18) /* DCA */ | BIT(21) /* x2APIC */ | BIT(24) /* TSC deadline */ |             \
	 BIT(27) /* OSXSAVE: set below */)
#define HIDDEN_1_EDX                                                                                       \
	(BIT(7) /* MCE */ | BIT(9) /* APIC */ | BIT(14) /* MCA */ | BIT(18) /* PSN */ | BIT(21) /* DS */ | \
	 BIT(22) /* ACPI */ | BIT(28) /* HTT */ | BIT(29) /* TM */ | BIT(31) /* PBE */)
#define HIDDEN_7_EBX \
	(BIT(2) /* SGX */ | BIT(12) /* RDT-M */ | BIT(14) /* MPX */ | BIT(15) /* RDT-A */ | BIT(25) /* PT */)
#define HIDDEN_7_ECX                                                                                      \
	(BIT(4) /* OSPKE: set below */ | BIT(5) /* WAITPKG */ | BIT(7) /* CET-SS */ | BIT(13) /* TME */ | \
	 BIT(16) /* LA57 */ | BIT(23) /* KL */ | BIT(24) /* bus locks */ | BIT(29) /* ENQCMD */ |         \
	 BIT(30) /* SGX-LC */ | BIT(31) /* PKS */)
#define HIDDEN_7_EDX                                                                                              \
	(BIT(5) /* UINTR */ | BIT(11) | BIT(13) /* TSX aborts */ | BIT(15) /* hybrid */ | BIT(18) /* PCONFIG */ | \
	 BIT(19) /* LBR */ | BIT(20) /* CET-IBT */ | BIT(22) | BITS(25, 24) /* AMX */ |                           \
	 BIT(30) /* CORE_CAPABILITIES */)
/* XSAVE, and what needs state that only XSAVE saves. */
#define XSAVE_1_ECX (BIT(12) /* FMA */ | BIT(26) /* XSAVE */ | BIT(28) /* AVX */ | BIT(29) /* F16C */)
#define XSAVE_7_EBX                                                                                      \
	(BIT(5) /* AVX2 */ | BITS(17, 16) /* AVX512F, DQ */ | BIT(21) /* AVX512_IFMA */ | BITS(28, 26) | \
	 BITS(31, 30) /* AVX512PF, ER, CD; BW, VL */)
#define XSAVE_7_ECX \
	(BIT(1) /* AVX512_VBMI */ | BIT(3) /* PKU */ | BIT(6) | BITS(12, 9) /* VBMI2, VAES, VNNI ... */ | BIT(14))
#define XSAVE_7_EDX (BITS(3, 2) /* AVX512_4VNNIW, 4FMAPS */ | BIT(8) | BITS(25, 22) /* AMX, FP16 */)

#define SHOWN_7_1_EAX          (BIT(4) /* AVX-VNNI */ | BIT(5) /* AVX512-BF16 */ | BITS(12, 10) /* fast short REP */)
#define SHOWN_1_ECX_HYPERVISOR BIT(31)
#define SHOWN_1_ECX_OSXSAVE    BIT(27)
#define SHOWN_7_ECX_OSPKE      BIT(4)
#define SHOWN_XSAVE_1_EAX      BITS(3, 0) /* XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES; no XFD */
#define XSAVE_1_EAX_XSAVEC     BIT(1)
#define XSAVE_1_EAX_XSAVES     BIT(3)
#define SHOWN_POWER_EDX        BIT(8) /* the TSC's rate never changes */

static void hide(uint32_t *reg, uint64_t bits)
{
	*reg &= ~(uint32_t)bits;
}

static void features(struct tl_cpuid *out)
{
	hide(&out->ecx, HIDDEN_1_ECX);
	hide(&out->edx, HIDDEN_1_EDX);
	/* Of EBX: its own APIC ID and how many there are in the package; the size of a cache line stays. */
	out->ebx = (out->ebx & 0xffff) | 1 << 16;
	out->ecx |= (uint32_t)SHOWN_1_ECX_HYPERVISOR;
	if (!vmx_capability.xsave)
		hide(&out->ecx, XSAVE_1_ECX);
	if (cr_read_cr4() & CR4_OSXSAVE)
		out->ecx |= (uint32_t)SHOWN_1_ECX_OSXSAVE;
}

static void structured_features(struct tl_cpuid *out)
{
	hide(&out->ebx, HIDDEN_7_EBX);
	hide(&out->ecx, HIDDEN_7_ECX);
	hide(&out->edx, HIDDEN_7_EDX);
	out->edx = mitigations_guest_features(out->edx);
	if (cr_read_cr4() & CR4_PKE)
		out->ecx |= (uint32_t)SHOWN_7_ECX_OSPKE;
	if (!vmx_controls.invpcid)
		hide(&out->ebx, BIT(10));
	if (!vmx_controls.rdtscp)
		hide(&out->ecx, BIT(22)); /* RDPID goes with it (SDM vol. 3, 26.3) */
	if (!vmx_capability.xsave) {
		hide(&out->ebx, XSAVE_7_EBX);
		hide(&out->ecx, XSAVE_7_ECX);
		hide(&out->edx, XSAVE_7_EDX);
	}
}

static void more_structured_features(struct tl_cpuid *out, uint32_t subleaf)
{
	*out = (struct tl_cpuid){.eax = subleaf == 1 ? out->eax & (uint32_t)SHOWN_7_1_EAX : 0};
	if (!vmx_capability.xsave)
		hide(&out->eax, BITS(5, 4));
}

/* EBX is the size of an area that is compacted, of what the guest has turned on; no component is IA32_XSS's. */
static void more_xsave_features(struct tl_cpuid *out)
{
	uint64_t shown = SHOWN_XSAVE_1_EAX & ~(vmx_controls.xsaves ? 0 : XSAVE_1_EAX_XSAVES) &
			 ~(vmx_controls.xsavec ? 0 : XSAVE_1_EAX_XSAVEC);

	*out = (struct tl_cpuid){.eax = out->eax & (uint32_t)shown, .ebx = out->ebx};
	if (!(out->eax & (uint32_t)(XSAVE_1_EAX_XSAVEC | XSAVE_1_EAX_XSAVES)))
		out->ebx = 0;
}

/* The area for all that the guest may turn on; EBX is of what it has turned on, since its XCR0 is in the CPU. */
static uint32_t area_size(uint64_t components)
{
	uint32_t size = 512 + 64;

	for (unsigned i = 2; i < 63; i++) {
		struct cpuid part;

		if (!(components >> i & 1))
			continue;
		part = cpuid(CPUID_XSAVE, i);
		if (part.ebx + part.eax > size)
			size = part.ebx + part.eax;
	}
	return size;
}

static void xsave_features(struct tl_cpuid *out, uint32_t subleaf)
{
	uint64_t components = extended_state_components();

	if (!components || (subleaf > 1 && (subleaf > 62 || !(components >> subleaf & 1)))) {
		*out = (struct tl_cpuid){0};
	} else if (subleaf == 0) {
		out->eax = (uint32_t)components;
		out->ecx = area_size(components);
		out->edx = (uint32_t)(components >> 32);
	} else if (subleaf == 1) {
		more_xsave_features(out);
	}
}

static bool is_shown(uint32_t leaf)
{
	if (leaf < CPUID_HYPERVISOR)
		return leaf < BASIC_LEAVES && SHOWN_BASIC >> leaf & 1;
	return leaf - CPUID_HYPERVISOR >= HYPERVISOR_LEAVES;
}

static struct tl_cpuid guest_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid answer = cpuid(leaf, subleaf);
	struct tl_cpuid out = {answer.eax, answer.ebx, answer.ecx, answer.edx};

	switch (leaf) {
	case CPUID_FEATURES:
		features(&out);
		break;
	case CPUID_CACHES:
		out.eax &= (uint32_t)BITS(13, 0); /* one thread, one core */
		break;
	case CPUID_STRUCTURED:
		if (subleaf == 0)
			structured_features(&out);
		else
			more_structured_features(&out, subleaf);
		break;
	case CPUID_XSAVE:
		xsave_features(&out, subleaf);
		break;
	case CPUID_EXTENDED_FEATURES:
		if (!vmx_controls.rdtscp)
			hide(&out.edx, BIT(27));
		break;
	case CPUID_POWER:
		out = (struct tl_cpuid){.edx = out.edx & (uint32_t)SHOWN_POWER_EDX};
		break;
	case CPUID_HYPERVISOR:
		/* "Trapline VMX", in EBX, ECX, EDX; no leaf beyond this one. */
		out = (struct tl_cpuid){CPUID_HYPERVISOR, 0x70617254, 0x656e696c, 0x584d5620};
		break;
	default:
		if (!is_shown(leaf))
			out = (struct tl_cpuid){0};
	}
	return out;
}

/*
 * Not what the embedder has a say in, and of what has no subleaves: what ECX holds does not matter then. Those that the
 * guest's own CR4 or XCR0 changes are among the others.
 */
static bool is_kept(const struct tl_vcpu *vcpu, uint32_t leaf)
{
	static const uint32_t basic = BIT(0) | BIT(2) | BITS(0x16, 0x15);

	if (vcpu->processor && vcpu->processor->cpuid)
		return false;
	return leaf < 32 ? basic >> leaf & 1 : leaf >= CPUID_HYPERVISOR;
}

enum vcpu_action exit_cpuid(struct tl_vcpu *vcpu)
{
	uint32_t leaf = (uint32_t)vcpu->gpr[TL_RAX], subleaf = (uint32_t)vcpu->gpr[TL_RCX];
	struct tl_cpuid out = guest_cpuid(leaf, subleaf);

	if (vcpu->processor && vcpu->processor->cpuid)
		vcpu->processor->cpuid(vcpu, leaf, subleaf, &out);
	if (is_kept(vcpu, leaf))
		*cpuid_cache_find(vcpu, leaf) = (struct cpuid_answer){leaf, out.eax, out.ebx, out.ecx, out.edx};
	cpuid_answer(vcpu, out.eax, out.ebx, out.ecx, out.edx);
	return exit_skip_instruction(vcpu);
}
