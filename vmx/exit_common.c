/* SPDX-License-Identifier: MIT */
/* How exits end: the slow skip, an exception in the guest, a return to the embedder. */
#include "vmx/exit.h"

static void skip(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length, uint64_t shadow)
{
	bool code_64 = vcpu_code_bits(vcpu, vmcs_read(VMCS_GUEST_CS_ACCESS_RIGHTS)) == 64;
	struct skip next = {.rip = rip,
			    .rflags = vmcs_read(VMCS_GUEST_RFLAGS),
			    .interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY),
			    .pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS)};

	skip_slow(&next, length, code_64, vmcs_read(VMCS_GUEST_DEBUGCTL));
	vmcs_write(VMCS_GUEST_RIP, next.rip);
	vmcs_write(VMCS_GUEST_RFLAGS, next.rflags);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, next.interruptibility | shadow);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, next.pending_debug);
}

enum vcpu_action exit_skip_slow(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length)
{
	skip(vcpu, rip, length, 0);
	return vcpu_before_entry(vcpu);
}

/* The shadow comes first: an entry that injects an interrupt into it is refused (SDM vol. 3, 27.3.1.5). */
enum vcpu_action exit_skip_shadowing(struct tl_vcpu *vcpu, uint64_t rip, uint64_t length)
{
	skip(vcpu, rip, length, INTERRUPTIBILITY_MOV_SS);
	return vcpu_before_entry(vcpu);
}

enum vcpu_action exit_leave(struct tl_vcpu *vcpu, enum tl_exit_reason reason)
{
	vcpu->exit->reason = reason;
	return VCPU_LEAVE;
}

enum vcpu_action exit_stop(struct tl_vcpu *vcpu, enum tl_stop why, uint64_t code)
{
	vcpu->exit->stop = (struct tl_exit_stop){
		.why = why, .rip = vmcs_read(VMCS_GUEST_RIP), .gpa = vcpu->exit_gpa, .code = code};
	return exit_leave(vcpu, TL_EXIT_STOPPED);
}

/*
 * A fault pushes RF as 1, so that its handler returns past a breakpoint; an injected one pushes what stands in the VMCS
 * (SDM vol. 3, 18.3.1.1 and 27.6.1.1). #DB alone is none of these.
 */
static enum vcpu_action raise(struct tl_vcpu *vcpu, unsigned vector, uint64_t extra)
{
	if (vector != VECTOR_DB)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION,
		   EVENT_INFO_VALID | extra | (uint64_t)TL_EVENT_EXCEPTION << 8 | vector);
	return vcpu_before_entry(vcpu);
}

enum vcpu_action exit_raise(struct tl_vcpu *vcpu, unsigned vector)
{
	return raise(vcpu, vector, 0);
}

enum vcpu_action exit_raise_software(struct tl_vcpu *vcpu, unsigned type, unsigned vector, uint64_t length)
{
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, length);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | (uint64_t)type << 8 | vector);
	return vcpu_before_entry(vcpu);
}

enum vcpu_action exit_raise_error(struct tl_vcpu *vcpu, unsigned vector, uint32_t error_code)
{
	/* Real mode pushes no error code, and an entry that would is refused (SDM vol. 3, 27.2.1.3). */
	if (!(vcpu->mode.cr0 & 1))
		return raise(vcpu, vector, 0);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
	return raise(vcpu, vector, EVENT_INFO_ERROR_CODE);
}

enum vcpu_action exit_page_fault(struct tl_vcpu *vcpu, gva_t linear, uint32_t error_code)
{
	/* CR2 is not switched by VMX; the host's own page faults are fatal, so the guest's value may stand there. */
	write_cr2(linear);
	return exit_raise_error(vcpu, VECTOR_PF, error_code);
}

/*
 * A virtual interrupt is among the events that the IDT-vectoring information tells of (SDM vol. 3, 28.2.4). It is in
 * service already, in ISR and SVI (30.2.2), so that it goes by the entry and is not requested again.
 */
void exit_deliver_again(struct tl_vcpu *vcpu)
{
	uint64_t information = vmcs_read(VMCS_IDT_VECTORING_INFORMATION);
	uint64_t type = (information & EVENT_INFO_TYPE) >> 8;

	(void)vcpu;
	if (!(information & EVENT_INFO_VALID))
		return;
	/* Bit 12 says something else on the way in (reserved, must be 0). */
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, information & ~BIT(12));
	if (information & EVENT_INFO_ERROR_CODE)
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, vmcs_read(VMCS_IDT_VECTORING_ERROR_CODE));
	/* Software interrupts and exceptions push the address behind the instruction. */
	if (type >= EVENT_SOFTWARE_INTERRUPT)
		vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
	/* NMI blocking was set by the delivery that now starts again (SDM vol. 3, 28.2.4). */
	if (type == TL_EVENT_NMI)
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~INTERRUPTIBILITY_NMI);
}

uint64_t exit_read_gpr(const struct tl_vcpu *vcpu, unsigned gpr)
{
	return gpr == TL_RSP ? vmcs_read(VMCS_GUEST_RSP) : vcpu->gpr[gpr];
}

void exit_write_gpr(struct tl_vcpu *vcpu, unsigned gpr, uint64_t value)
{
	if (gpr == TL_RSP)
		vmcs_write(VMCS_GUEST_RSP, value);
	else
		vcpu->gpr[gpr] = value;
}
