/* SPDX-License-Identifier: MIT */
/* XSETBV, debug registers, exceptions. */
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"
#include "vmx/extended_state.h"
#include "vmx/probe.h"

enum vcpu_action exit_xsetbv(struct tl_vcpu *vcpu)
{
	uint64_t value = vcpu->gpr[TL_RDX] << 32 | (uint32_t)vcpu->gpr[TL_RAX];

	if ((uint32_t)vcpu->gpr[TL_RCX] != 0 || !extended_state_is_xcr0(value))
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

void dr_write(struct tl_vcpu *vcpu, unsigned dr, uint64_t value)
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

/* B0 to B3 are of this #DB; what else there is stays until software clears it (SDM vol. 3, 18.2.3). */
void debug_say(uint64_t said)
{
	write_dr6((read_dr6() & ~DEBUG_B0_TO_B3) | said);
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
		debug_say(DEBUG_BD);
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
	dr_write(vcpu, dr, value);
	return exit_skip_instruction(vcpu);
}

/* What an exception of the guest's that exited is to the guest. */
static enum vcpu_action reflect(struct tl_vcpu *vcpu, uint64_t information)
{
	unsigned vector = information & 0xff, type = (unsigned)((information & EVENT_INFO_TYPE) >> 8);
	enum nesting nesting = exit_nesting(vector);

	if (nesting == NESTING_SHUTDOWN)
		return exit_leave(vcpu, TL_EXIT_SHUTDOWN);
	if (type >= EVENT_SOFTWARE_INTERRUPT)
		return exit_raise_software(vcpu, type, vector, vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
	if (vector == VECTOR_PF)
		write_cr2(vmcs_read(VMCS_EXIT_QUALIFICATION));
	if (nesting == NESTING_DOUBLE_FAULT)
		return exit_raise_error(vcpu, VECTOR_DF, 0);
	if (information & EVENT_INFO_ERROR_CODE)
		return exit_raise_error(vcpu, vector, (uint32_t)vmcs_read(VMCS_EXIT_INTERRUPTION_ERROR_CODE));
	return exit_raise(vcpu, vector);
}

/* INT1 is none: it sets nothing in DR6. */
static bool is_debug_exception(uint64_t information)
{
	return (information & 0xff) == VECTOR_DB && (information & EVENT_INFO_TYPE) >> 8 == TL_EVENT_EXCEPTION;
}

/*
 * An NMI is the host's. #DB and #AC exit because a guest could otherwise raise them for ever without an exit; and all
 * exceptions while the guest is stepped by TF, since a delivery would push it.
 */
enum vcpu_action exit_exception(struct tl_vcpu *vcpu)
{
	uint64_t information = vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION);
	unsigned vector = information & 0xff, type = (unsigned)((information & EVENT_INFO_TYPE) >> 8);

	if (type == TL_EVENT_NMI) {
		raise_nmi();
		tl_cpu_poll();
		return vcpu_attention(vcpu);
	}
	if (vector == VECTOR_MC) {
		raise_machine_check();
		return vcpu_attention(vcpu);
	}
	if (vcpu->step.by_trap_flag && is_debug_exception(information))
		return step_debug_exception(vcpu);
	if (is_debug_exception(information)) {
		/* What DR6 would have said is in the qualification, and DR6 still holds its old value (28.2.1). */
		debug_say(vmcs_read(VMCS_EXIT_QUALIFICATION) & 0x600f);
		vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~(uint64_t)DR7_GD);
	}
	return reflect(vcpu, information);
}
