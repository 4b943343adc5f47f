/* SPDX-License-Identifier: MIT */
/*
 * The instructions that do not execute with a TF that is not the guest's: they would store it, load another one, or
 * hold back its trap. The engine has those of the stack, an injected event is an INT n, and SYSCALL and SYSRET are
 * here.
 *
 * Not among them: MOV SS from a register, whose step is that of the instruction behind it as well, as its shadow wants;
 * and what another vCPU of the guest writes over the instruction after it was looked at.
 */
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/msr.h"

enum { INT_N = 0xcd, IRET = 0xcf, LOCK = 0xf0, STI = 0xfb, TWO_BYTES = 0x0f, SYSRET = 0x07, SYSCALL = 0x05 };

#define SYSRET_RFLAGS 0x3c7fd7ull /* SDM vol. 2, SYSRET */
#define RFLAGS_FIXED  BIT(1)
#define CODE_ACCESS   0xc09bu
#define DATA_ACCESS   0xc093u
#define DPL_3         (3u << 5)

/* What stands at RIP. */
struct looked_at {
	struct guest_code code;
	unsigned opcode; /* where it begins */
	unsigned code_bits;
	bool rex_w, lock;
};

static bool is_prefix(uint8_t byte)
{
	return byte == 0x26 || byte == 0x2e || byte == 0x36 || byte == 0x3e || (byte >= 0x64 && byte <= 0x67) ||
	       byte == LOCK || byte == 0xf2 || byte == 0xf3;
}

static void find_opcode(struct looked_at *at)
{
	unsigned i = 0;

	for (; i < at->code.available && is_prefix(at->code.bytes[i]); i++)
		at->lock |= at->code.bytes[i] == LOCK;
	/* REX is one only right before the opcode (SDM vol. 2, 2.2.1). */
	if (at->code_bits == 64 && i < at->code.available && (at->code.bytes[i] & 0xf0) == 0x40)
		at->rex_w = at->code.bytes[i++] & 8;
	at->opcode = i;
}

/* Byte i from the opcode on; 0 beyond the end: none that is asked for. */
static uint8_t byte_at(const struct looked_at *at, unsigned i)
{
	return at->opcode + i < at->code.available ? at->code.bytes[at->opcode + i] : 0;
}

static void set_segment(enum tl_segment_name name, uint64_t selector, uint32_t access)
{
	vmcs_write(VMCS_GUEST_SELECTOR(name), selector);
	vmcs_write(VMCS_GUEST_BASE(name), 0);
	vmcs_write(VMCS_GUEST_LIMIT(name), UINT32_MAX);
	vmcs_write(VMCS_GUEST_ACCESS_RIGHTS(name), access);
}

/* The guest's own TF traps behind it, if it was set and still is. */
static enum vcpu_action transfer(struct tl_vcpu *vcpu, uint64_t rip, uint64_t rflags)
{
	uint64_t before = vmcs_read(VMCS_GUEST_RFLAGS);

	vmcs_write(VMCS_GUEST_RIP, rip);
	vmcs_write(VMCS_GUEST_RFLAGS, (rflags & ~RFLAGS_RF) | RFLAGS_FIXED);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
		   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)INTERRUPTIBILITY_SHADOW);
	if (before & rflags & RFLAGS_TF)
		vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS,
			   vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) | PENDING_DEBUG_BS);
	vcpu->step.made = true;
	return vcpu_before_entry(vcpu);
}

static enum vcpu_action do_syscall(struct tl_vcpu *vcpu, unsigned length)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS), selector = rdmsr(MSR_IA32_STAR) >> 32 & 0xfffc;

	vcpu->gpr[TL_RCX] = vmcs_read(VMCS_GUEST_RIP) + length;
	vcpu->gpr[TL_R11] = rflags & ~RFLAGS_RF;
	set_segment(TL_CS, selector, (CODE_ACCESS & ~CS_ACCESS_DEFAULT) | CS_ACCESS_LONG);
	set_segment(TL_SS, selector + 8, DATA_ACCESS);
	return transfer(vcpu, rdmsr(MSR_IA32_LSTAR), rflags & ~rdmsr(MSR_IA32_FMASK));
}

static enum vcpu_action do_sysret(struct tl_vcpu *vcpu, bool to_64)
{
	uint64_t star = rdmsr(MSR_IA32_STAR) >> 48, rip = vcpu->gpr[TL_RCX];
	uint32_t code = CODE_ACCESS | DPL_3;

	set_segment(TL_CS, (to_64 ? star + 16 : star) | 3,
		    to_64 ? (code & ~(uint32_t)CS_ACCESS_DEFAULT) | CS_ACCESS_LONG : code);
	set_segment(TL_SS, (star + 8) | 3, DATA_ACCESS | DPL_3);
	return transfer(vcpu, to_64 ? rip : (uint32_t)rip, vcpu->gpr[TL_R11] & SYSRET_RFLAGS);
}

/* Where they raise an exception they may do so themselves. */
static bool can_syscall(const struct tl_vcpu *vcpu, const struct looked_at *at)
{
	return at->code_bits == 64 && vcpu->mode.efer & EFER_SCE;
}

static bool can_sysret(const struct tl_vcpu *vcpu, const struct looked_at *at)
{
	bool canonical = (vcpu->gpr[TL_RCX] + BIT(47)) >> 48 == 0;

	return can_syscall(vcpu, at) && ACCESS_DPL(vmcs_read(VMCS_GUEST_SS_ACCESS_RIGHTS)) == 0 &&
	       (canonical || !at->rex_w);
}

static bool runs_in_the_engine(const struct insn *insn)
{
	switch (insn->op) {
	case INSN_PUSHF:
	case INSN_POPF:
		return true;
	case INSN_POP:
		return insn->source == SOURCE_SEGMENT && insn->reg == TL_SS;
	case INSN_LOAD_SEGMENT:
		return insn->reg == TL_SS;
	default:
		return false;
	}
}

/* A breakpoint of the guest's on the instruction comes before it: the CPU looks for it. */
static bool may_break(void)
{
	return vmcs_read(VMCS_GUEST_DR7) & DR7_ENABLES && !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
}

static enum vcpu_action prepare_others(struct tl_vcpu *vcpu, struct looked_at *at)
{
	uint8_t opcode, second;

	find_opcode(at);
	opcode = byte_at(at, 0);
	second = byte_at(at, 1);
	if (at->lock)
		return VCPU_RESUME;
	vcpu->step.loads_flags = opcode == IRET;
	vcpu->step.is_sti = opcode == STI;
	if (opcode == INT_N && at->opcode + 1 < at->code.available && !may_break())
		return exit_raise_software(vcpu, EVENT_SOFTWARE_INTERRUPT, second, at->opcode + 2);
	if (opcode != TWO_BYTES || may_break())
		return VCPU_RESUME;
	if (second == SYSCALL && can_syscall(vcpu, at))
		return do_syscall(vcpu, at->opcode + 2);
	if (second == SYSRET && can_sysret(vcpu, at))
		return do_sysret(vcpu, at->rex_w);
	return VCPU_RESUME;
}

enum vcpu_action step_prepare(struct tl_vcpu *vcpu)
{
	uint64_t rip = vmcs_read(VMCS_GUEST_RIP), cs_access = vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS);
	enum fetch_status status;
	struct looked_at at = {0};
	struct fetch fetch;
	struct insn insn;

	vcpu->step.loads_flags = vcpu->step.is_sti = false;
	if (vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID || step_debug_is_due())
		return VCPU_RESUME;
	/* acquire: rule 2. */
	vcpu->exit_map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	status = engine_read(vcpu, rip, cs_access, &fetch, &insn);
	if (status == FETCH_OK && runs_in_the_engine(&insn))
		return may_break() ? VCPU_RESUME
				   : engine_execute(vcpu, &insn, &fetch.code, rip, cs_access, MMIO_ANY_GPA);
	at.code = fetch.code;
	at.code_bits = vcpu_code_bits(vcpu, cs_access);
	return prepare_others(vcpu, &at);
}
