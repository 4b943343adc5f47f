/* SPDX-License-Identifier: MIT */
/* CPUID, XSETBV, debug registers, exceptions. */
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/mitigation.h"
#include "vmx/probe.h"

enum { CPUID_FEATURES = 1, CPUID_CACHES = 4, CPUID_STRUCTURED = 7, CPUID_PERFMON = 10, CPUID_HYPERVISOR = 0x40000000 };

/* What a guest cannot use here, by leaf and register; everything else is the CPU's own answer. */
#define HIDDEN_1_ECX                                                                                              \
	(BIT(2) /* DTES64 */ | BIT(3) /* MONITOR */ | BIT(4) /* DS-CPL */ | BIT(5) /* VMX */ | BIT(6) /* SMX */ | \
	 BIT(7) /* EIST */ | BIT(8) /* TM2 */ | BIT(15) /* PDCM */ | BIT(18) /* DCA */ | BIT(21) /* x2APIC */ |   \
	 BIT(24) /* TSC deadline */ | BIT(27) /* OSXSAVE: set below */)
#define HIDDEN_1_EDX                                                                                        \
	(BIT(7) /* MCE */ | BIT(9) /* APIC */ | BIT(12) /* MTRR */ | BIT(14) /* MCA */ | BIT(21) /* DS */ | \
	 BIT(22) /* ACPI */ | BIT(29) /* TM */ | BIT(31) /* PBE */)
#define HIDDEN_7_EBX \
	(BIT(2) /* SGX */ | BIT(12) /* RDT-M */ | BIT(14) /* MPX */ | BIT(15) /* RDT-A */ | BIT(25) /* PT */)
#define HIDDEN_7_ECX                                                                                              \
	(BIT(5) /* WAITPKG */ | BIT(7) /* CET-SS */ | BIT(13) /* TME */ | BIT(16) /* LA57 */ | BIT(23) /* KL */ | \
	 BIT(29) /* ENQCMD */ | BIT(30) /* SGX-LC */ | BIT(31) /* PKS */)
#define HIDDEN_7_EDX (BIT(5) /* UINTR */ | BIT(18) /* PCONFIG */ | BIT(19) /* LBR */ | BIT(20) /* CET-IBT */)
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

#define DR6_BD BIT(13)
#define DR7_GD BIT(13)

static void hide(uint32_t *reg, uint64_t bits)
{
	*reg &= ~(uint32_t)bits;
}

static struct cpuid guest_cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid out = cpuid(leaf, subleaf);

	switch (leaf) {
	case CPUID_FEATURES:
		hide(&out.ecx, HIDDEN_1_ECX);
		hide(&out.edx, HIDDEN_1_EDX);
		out.ecx |= (uint32_t)SHOWN_1_ECX_HYPERVISOR;
		if (!vmx_capability.xsave)
			hide(&out.ecx, XSAVE_1_ECX);
		if (cr_read_cr4() & CR4_OSXSAVE)
			out.ecx |= (uint32_t)SHOWN_1_ECX_OSXSAVE;
		break;
	case CPUID_STRUCTURED:
		if (subleaf == 0) {
			hide(&out.ebx, HIDDEN_7_EBX);
			hide(&out.ecx, HIDDEN_7_ECX);
			hide(&out.edx, HIDDEN_7_EDX);
			out.edx = mitigations_guest_features(out.edx);
			if (!vmx_controls.invpcid)
				hide(&out.ebx, BIT(10));
			if (!vmx_capability.xsave) {
				hide(&out.ebx, XSAVE_7_EBX);
				hide(&out.ecx, XSAVE_7_ECX);
				hide(&out.edx, XSAVE_7_EDX);
			}
		} else {
			out = (struct cpuid){.eax = out.eax & (uint32_t)SHOWN_7_1_EAX};
			if (!vmx_capability.xsave)
				hide(&out.eax, BITS(5, 4));
		}
		break;
	case CPUID_PERFMON:
		out = (struct cpuid){0};
		break;
	case 0x0d:
		if (!vmx_capability.xsave)
			out = (struct cpuid){0};
		/* XSAVES needs IA32_XSS, which is not switched. */
		if (subleaf == 1)
			hide(&out.eax, BIT(3));
		break;
	case 0x80000001:
		if (!vmx_controls.rdtscp)
			hide(&out.edx, BIT(27));
		break;
	case CPUID_HYPERVISOR:
		/* "Trapline VMX", in EBX, ECX, EDX; no leaf beyond this one. */
		out = (struct cpuid){CPUID_HYPERVISOR, 0x70617254, 0x656e696c, 0x584d5620};
		break;
	default:
		if (leaf > CPUID_HYPERVISOR && leaf <= CPUID_HYPERVISOR + 0xff)
			out = (struct cpuid){0};
	}
	return out;
}

enum vcpu_action exit_cpuid(struct tl_vcpu *vcpu)
{
	uint32_t leaf = (uint32_t)vcpu->gpr[TL_RAX], subleaf = (uint32_t)vcpu->gpr[TL_RCX];
	struct cpuid answer = guest_cpuid(leaf, subleaf);
	struct tl_cpuid out = {answer.eax, answer.ebx, answer.ecx, answer.edx};

	if (vcpu->processor && vcpu->processor->cpuid)
		vcpu->processor->cpuid(vcpu, leaf, subleaf, &out);
	vcpu->gpr[TL_RAX] = out.eax;
	vcpu->gpr[TL_RBX] = out.ebx;
	vcpu->gpr[TL_RCX] = out.ecx;
	vcpu->gpr[TL_RDX] = out.edx;
	return exit_skip_instruction(vcpu);
}

/* The rules of XSETBV for what the guest may have (SDM vol. 1, 13.3). */
static bool is_xcr0(uint64_t value)
{
	const uint64_t sse = BIT(1), avx = BIT(2), bound = BITS(4, 3), avx512 = BITS(7, 5), amx = BITS(18, 17);

	if (value & ~vmx_capability.xcr0 || !(value & 1))
		return false;
	if (value & avx && !(value & sse))
		return false;
	if (value & avx512 && ((value & avx512) != avx512 || !(value & avx)))
		return false;
	return !(value & (bound | amx));
}

enum vcpu_action exit_xsetbv(struct tl_vcpu *vcpu)
{
	uint64_t value = vcpu->gpr[TL_RDX] << 32 | (uint32_t)vcpu->gpr[TL_RAX];

	if ((uint32_t)vcpu->gpr[TL_RCX] != 0 || !is_xcr0(value))
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	vcpu->xcr0 = value;
	xsetbv(0, value);
	return exit_skip_instruction(vcpu);
}

static uint64_t read_dr(const struct tl_vcpu *vcpu, unsigned dr)
{
	if (dr < 4)
		return vcpu->dr[dr];
	return dr == 6 ? read_dr6() : vmcs_read(VMCS_GUEST_DR7);
}

void dr_write_dr7(struct tl_vcpu *vcpu, uint64_t value)
{
	vmcs_write(VMCS_GUEST_DR7, (value & 0xffff2bff) | BIT(10));
	/* With a breakpoint armed RFLAGS.RF means something: a completed instruction must clear it. */
	vcpu->rflags_slow = RFLAGS_TF | (value & 0xff ? RFLAGS_RF : 0);
	/* A breakpoint on the doorbell's data would have to be looked for. */
	vcpu->trusted_length =
		probe_length_is_right && !vcpu->vm->decode_doorbells && !(value & 0xff) ? INSN_MAX_LENGTH : 0;
}

static void write_dr(struct tl_vcpu *vcpu, unsigned dr, uint64_t value)
{
	switch (dr) {
	case 0:
		write_dr0(value);
		break;
	case 1:
		write_dr1(value);
		break;
	case 2:
		write_dr2(value);
		break;
	case 3:
		write_dr3(value);
		break;
	case 6:
		write_dr6(value & 0xffffffff);
		return;
	default:
		dr_write_dr7(vcpu, value);
		return;
	}
	vcpu->dr[dr] = value;
}

/* MOV DR exits always, so that it is known when a breakpoint is armed. DR4 and DR5 are DR6 and DR7 without CR4.DE. */
enum vcpu_action exit_mov_dr(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	unsigned dr = qualification & 7, gpr = qualification >> 8 & 15;
	bool code_64 = vcpu_code_bits(vcpu, vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS)) == 64;
	uint64_t value = exit_read_gpr(vcpu, gpr);
	uint64_t dr7 = vmcs_read(VMCS_GUEST_DR7);

	/* The exit comes before the #DB of general detect (SDM vol. 3, 18.2.4), so that it has to be raised here. */
	if (dr7 & DR7_GD) {
		write_dr6(read_dr6() | DR6_BD);
		vmcs_write(VMCS_GUEST_DR7, dr7 & ~(uint64_t)DR7_GD);
		return exit_raise(vcpu, VECTOR_DB);
	}
	if (dr == 4 || dr == 5) {
		if (cr_read_cr4() & CR4_DE)
			return exit_raise(vcpu, VECTOR_UD);
		dr += 2;
	}
	if (qualification & BIT(4)) {
		exit_write_gpr(vcpu, gpr, read_dr(vcpu, dr));
		return exit_skip_instruction(vcpu);
	}
	if (!code_64)
		value = (uint32_t)value;
	if (dr >= 6 && value >> 32)
		return exit_raise_error(vcpu, VECTOR_GP, 0);
	write_dr(vcpu, dr, value);
	return exit_skip_instruction(vcpu);
}

/* An NMI is the host's. #DB and #AC exit because a guest could otherwise raise them for ever without an exit. */
enum vcpu_action exit_exception(struct tl_vcpu *vcpu)
{
	uint64_t information = vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION);
	unsigned vector = information & 0xff;

	if ((information & EVENT_INFO_TYPE) >> 8 == TL_EVENT_NMI) {
		raise_nmi();
		tl_cpu_poll();
		return vcpu_attention(vcpu);
	}
	if (vector == VECTOR_MC) {
		raise_machine_check();
		return vcpu_attention(vcpu);
	}
	if (vector == VECTOR_DB) {
		/* What DR6 would have said is in the qualification, and DR6 still holds its old value (28.2.1). */
		write_dr6(read_dr6() | (vmcs_read(VMCS_EXIT_QUALIFICATION) & 0x600f));
		vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~(uint64_t)DR7_GD);
	}
	if (information & EVENT_INFO_ERROR_CODE)
		return exit_raise_error(vcpu, vector, (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE));
	return exit_raise(vcpu, vector);
}
