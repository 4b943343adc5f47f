/* SPDX-License-Identifier: MIT */
/* A vCPU's architectural state, from and into the VMCS. */
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit.h"

#define DR6_AFTER_RESET 0xffff0ff0ull

void state_after_reset(struct tl_state *state)
{
	*state = (struct tl_state){
		.rip = 0xfff0, .rflags = 2, .cr0 = CR0_ET | CR0_NW | CR0_CD, .dr6 = DR6_AFTER_RESET, .dr7 = 0x400};
	state->gpr[TL_RDX] = 0x600;
	for (unsigned i = 0; i <= TL_GS; i++)
		state->segment[i] = (struct tl_segment){.limit = 0xffff, .access = 0x93};
	state->segment[TL_CS] =
		(struct tl_segment){.selector = 0xf000, .limit = 0xffff, .access = 0x9b, .base = 0xffff0000};
	state->segment[TL_LDTR] = (struct tl_segment){.limit = 0xffff, .access = 0x82};
	state->segment[TL_TR] = (struct tl_segment){.limit = 0xffff, .access = 0x8b};
	state->gdtr.limit = state->idtr.limit = 0xffff;
}

static void get_debug(const struct tl_vcpu *vcpu, struct tl_state *state)
{
	for (unsigned i = 0; i < 4; i++)
		state->dr[i] = vcpu->dr[i];
	state->dr6 = read_dr6();
	state->dr7 = vmcs_read(VMCS_GUEST_DR7);
}

/* Of an event that has been delivered the valid bit is gone, and the rest is not. */
static struct tl_delivery get_delivery(void)
{
	uint64_t information = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION);

	if (!(information & EVENT_INFO_VALID))
		return (struct tl_delivery){0};
	return (struct tl_delivery){
		.information = (uint32_t)information,
		.error_code = (uint32_t)vmcs_read(VMCS_ENTRY_EXCEPTION_ERROR_CODE),
		.instruction_length = (uint32_t)vmcs_read(VMCS_ENTRY_INSTRUCTION_LENGTH),
	};
}

static void get_events(struct tl_state *state)
{
	state->interruptibility = (uint32_t)vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	state->pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
	state->delivery = get_delivery();
}

enum tl_status tl_vcpu_get(struct tl_vcpu *vcpu, struct tl_state *state)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	__builtin_memcpy(state->gpr, vcpu->gpr, sizeof(state->gpr));
	state->gpr[TL_RSP] = vmcs_read(VMCS_GUEST_RSP);
	state->rip = vmcs_read(VMCS_GUEST_RIP);
	state->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++) {
		state->segment[i].selector = (uint16_t)vmcs_read(VMCS_GUEST_SELECTOR(i));
		state->segment[i].limit = (uint32_t)vmcs_read(VMCS_GUEST_LIMIT(i));
		state->segment[i].access = (uint32_t)vmcs_read(VMCS_GUEST_ACCESS_RIGHTS(i));
		state->segment[i].base = vmcs_read(VMCS_GUEST_BASE(i));
	}
	state->gdtr.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	state->gdtr.limit = (uint16_t)vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	state->idtr.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	state->idtr.limit = (uint16_t)vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	state->cr0 = cr_read_cr0();
	state->cr2 = read_cr2();
	state->cr3 = cr_read_cr3(vcpu);
	state->cr4 = cr_read_cr4();
	for (unsigned i = 0; i < 4; i++)
		state->pdpte[i] = vmcs_read(VMCS_GUEST_PDPTE(i));
	state->efer = vcpu->mode.efer;
	get_debug(vcpu, state);
	get_events(state);
	return TL_OK;
}

static void set_events(struct tl_vcpu *vcpu, const struct tl_state *state)
{
	vcpu->pending = PENDING_NONE;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state->interruptibility);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, state->pending_debug);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, state->delivery.information);
	vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, state->delivery.error_code);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, state->delivery.instruction_length);
}

static void set_debug(struct tl_vcpu *vcpu, const struct tl_state *state)
{
	for (unsigned i = 0; i < 4; i++)
		dr_write(vcpu, i, state->dr[i]);
	dr_write(vcpu, 6, state->dr6 | DR6_AFTER_RESET);
	dr_write_dr7(vcpu, state->dr7);
}

enum tl_status tl_vcpu_set(struct tl_vcpu *vcpu, const struct tl_state *state)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	set_events(vcpu, state);
	__builtin_memcpy(vcpu->gpr, state->gpr, sizeof(state->gpr));
	vmcs_write(VMCS_GUEST_RSP, state->gpr[TL_RSP]);
	vmcs_write(VMCS_GUEST_RIP, state->rip);
	vcpu->step_rip = state->rip;
	vmcs_write(VMCS_GUEST_RFLAGS, state->rflags);
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++) {
		vmcs_write(VMCS_GUEST_SELECTOR(i), state->segment[i].selector);
		vmcs_write(VMCS_GUEST_LIMIT(i), state->segment[i].limit);
		vmcs_write(VMCS_GUEST_ACCESS_RIGHTS(i), state->segment[i].access);
		vmcs_write(VMCS_GUEST_BASE(i), state->segment[i].base);
	}
	vmcs_write(VMCS_GUEST_GDTR_BASE, state->gdtr.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, state->gdtr.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, state->idtr.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, state->idtr.limit);
	write_cr2(state->cr2);
	cr_put_cr3(vcpu, state->cr3);
	cr_set_mode(vcpu, state->cr0, state->cr4, state->efer);
	for (unsigned i = 0; i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE(i), state->pdpte[i]);
	set_debug(vcpu, state);
	vcpu_flush_guest_tlb(vcpu);
	return TL_OK;
}

enum tl_status tl_vcpu_start_up(struct tl_vcpu *vcpu, uint8_t vector)
{
	uint64_t windows = PROC_INTERRUPT_WINDOW_EXITING | PROC_NMI_WINDOW_EXITING;
	enum tl_status status = vcpu_load(vcpu);
	struct tl_state state;

	if (status != TL_OK)
		return status;
	state_after_reset(&state);
	state.cr0 = CR0_ET | (cr_read_cr0() & (CR0_CD | CR0_NW));
	state.rip = 0;
	state.segment[TL_CS].selector = (uint16_t)(vector << 8);
	state.segment[TL_CS].base = (uint64_t)vector << 12;
	status = tl_vcpu_set(vcpu, &state);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) & ~windows);
	vcpu->events &= (uint8_t) ~(EVENT_QUEUED | EVENT_WAITS | EVENT_NMI_HELD | EVENT_NMI_BLOCKS);
	vcpu->cr8 = 0;
	return status;
}
