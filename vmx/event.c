/* SPDX-License-Identifier: MIT */
/*
 * Events for the guest: queued by the embedder, or interrupts that its processor has; delivered by the next entry that
 * can (SDM vol. 3, 27.6).
 */
#include "vmx/apic.h"
#include "vmx/budget.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"

enum tl_status tl_vcpu_inject(struct tl_vcpu *vcpu, const struct tl_event *event)
{
	if (event->type != TL_EVENT_INTERRUPT && event->type != TL_EVENT_NMI && event->type != TL_EVENT_EXCEPTION)
		return TL_INVALID_ARGUMENT;
	if ((event->type == TL_EVENT_EXCEPTION && event->vector > 31) ||
	    (event->type == TL_EVENT_NMI && event->vector != 2))
		return TL_INVALID_ARGUMENT;
	if (vcpu->events & EVENT_QUEUED) {
		if (event->type != TL_EVENT_NMI || vcpu->event.type != TL_EVENT_NMI)
			return TL_AGAIN;
		vcpu->events |= EVENT_NMI_HELD;
		return TL_OK;
	}
	vcpu->event = *event;
	vcpu->events |= EVENT_QUEUED;
	vcpu->reader.entry_round = GRACE_ATTENTION;
	return TL_OK;
}

static bool is_entering(void)
{
	return vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID;
}

/* An event that an exit interrupted, or that is on its way already, goes first: an exception that is queued comes into
 * it. */
static bool can_take(enum tl_event_type type)
{
	uint64_t interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if (is_entering())
		return false;
	switch (type) {
	case TL_EVENT_INTERRUPT:
		return vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF && !(interruptibility & INTERRUPTIBILITY_SHADOW);
	case TL_EVENT_NMI:
		return !(interruptibility & (INTERRUPTIBILITY_SHADOW | INTERRUPTIBILITY_NMI));
	default:
		return true;
	}
}

/* An exit as soon as the event can be taken. Without virtual NMIs there is no window for them, but one for interrupts.
 */
static void open_window(enum tl_event_type type)
{
	uint32_t window = type == TL_EVENT_NMI && vmx_controls.virtual_nmis ? PROC_NMI_WINDOW_EXITING
									    : PROC_INTERRUPT_WINDOW_EXITING;

	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) | window);
}

bool event_wakes(struct tl_vcpu *vcpu)
{
	bool masked = !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF);

	if (is_entering())
		return true;
	if (vcpu->events & EVENT_QUEUED && (vcpu->event.type != TL_EVENT_INTERRUPT || !masked))
		return true;
	return vcpu->events & EVENT_ASKED && !masked && vcpu->processor->pending(vcpu);
}

/* A processor that handles an NMI holds one more, and no third (SDM vol. 3, 7.7.1). */
static void keep_one_nmi(struct tl_vcpu *vcpu)
{
	if (vcpu->events & EVENT_NMI_HELD && vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI)
		vcpu->events &= (uint8_t)~EVENT_NMI_HELD;
}

/*
 * A held one is delivered when the handler of the first returns. Without virtual NMIs the window is also what ends the
 * blocking, which otherwise stays, and keeps the host's own NMIs from the CPU.
 */
static void follow_nmi(struct tl_vcpu *vcpu)
{
	bool held = vcpu->events & EVENT_NMI_HELD;

	if (held)
		vcpu->events = (uint8_t)((vcpu->events & ~EVENT_NMI_HELD) | EVENT_QUEUED);
	if (!vmx_controls.virtual_nmis)
		vcpu->events |= EVENT_NMI_BLOCKS;
	if (held || !vmx_controls.virtual_nmis)
		open_window(TL_EVENT_NMI);
}

/*
 * Without virtual NMIs an IRET does not end the blocking by an NMI (SDM vol. 3, 26.3): a guest that can be interrupted
 * is taken to have left the handler, as KVM has it.
 */
static void end_nmi_blocking(struct tl_vcpu *vcpu)
{
	uint64_t interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if (interruptibility & INTERRUPTIBILITY_SHADOW || !(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF))
		return;
	vcpu->events &= (uint8_t)~EVENT_NMI_BLOCKS;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, interruptibility & ~(uint64_t)INTERRUPTIBILITY_NMI);
}

static void enter_with(const struct tl_vcpu *vcpu, const struct tl_event *event)
{
	uint64_t information = EVENT_INFO_VALID | (uint64_t)event->type << 8 | event->vector;

	if (event->type == TL_EVENT_EXCEPTION && event->has_error_code && vcpu->mode.cr0 & 1) {
		information |= EVENT_INFO_ERROR_CODE;
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	}
	/* As in exit_raise(). */
	if (event->type == TL_EVENT_EXCEPTION && event->vector != VECTOR_DB)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, information);
}

/*
 * An exception while an event is on its way: it takes the event's place, or both are a double fault (SDM vol. 3, 7.15,
 * interrupt 8). A fault or a software interrupt comes again with its instruction; an interrupt or an NMI would be lost,
 * and waits where the exception was queued.
 */
static enum vcpu_action deliver_nested(struct tl_vcpu *vcpu)
{
	uint64_t first = vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION);
	enum tl_event_type type = (enum tl_event_type)((first & EVENT_INFO_TYPE) >> 8);
	struct tl_event event = vcpu->event;

	vcpu->events &= (uint8_t)~EVENT_QUEUED;
	switch (nesting_of(first, event.vector)) {
	case NESTING_SHUTDOWN:
		vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
		return exit_leave(vcpu, TL_EXIT_SHUTDOWN);
	case NESTING_DOUBLE_FAULT:
		event = (struct tl_event){TL_EVENT_EXCEPTION, VECTOR_DF, true, 0};
		break;
	default:
		if (type != TL_EVENT_INTERRUPT && type != TL_EVENT_NMI)
			break;
		vcpu->event = (struct tl_event){.type = type, .vector = (uint8_t)first};
		vcpu->events |= EVENT_QUEUED;
		open_window(type);
	}
	enter_with(vcpu, &event);
	return VCPU_RESUME;
}

static enum vcpu_action deliver_queued(struct tl_vcpu *vcpu)
{
	if (vcpu->event.type == TL_EVENT_EXCEPTION && is_entering())
		return deliver_nested(vcpu);
	if (!can_take(vcpu->event.type)) {
		keep_one_nmi(vcpu);
		open_window(vcpu->event.type);
		return VCPU_RESUME;
	}
	enter_with(vcpu, &vcpu->event);
	vcpu->events &= (uint8_t)~EVENT_QUEUED;
	if (vcpu->event.type == TL_EVENT_NMI)
		follow_nmi(vcpu);
	return VCPU_RESUME;
}

/* Of what the CPU does not deliver by itself. In a step by TF it delivers nothing, since it would push TF. */
static bool has_interrupt(struct tl_vcpu *vcpu)
{
	return vcpu->apic_delivers && !vcpu->step.by_trap_flag ? vcpu->apic->external(vcpu)
							       : vcpu->processor->pending(vcpu);
}

/*
 * What can be delivered changes under the question, by other CPUs: what comes after it has them kick this one. After
 * one that is delivered it is asked again, since what comes next may be of a higher priority.
 */
static void deliver_pending(struct tl_vcpu *vcpu)
{
	int vector;

	vcpu->events &= (uint8_t)~EVENT_WAITS;
	if (!has_interrupt(vcpu))
		return;
	if (can_take(TL_EVENT_INTERRUPT)) {
		vector = vcpu->processor->acknowledge(vcpu);
		if (vector < 0)
			return;
		vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION,
			   EVENT_INFO_VALID | (uint64_t)TL_EVENT_INTERRUPT << 8 | (uint8_t)vector);
		if (!has_interrupt(vcpu))
			return;
	}
	vcpu->events |= EVENT_WAITS;
	open_window(TL_EVENT_INTERRUPT);
}

enum vcpu_action event_attend(struct tl_vcpu *vcpu)
{
	if (vcpu->events & EVENT_DEADLINE && deadline_is_over(vcpu))
		return exit_leave(vcpu, TL_EXIT_DEADLINE);
	if (vcpu->events & EVENT_STEP && step_is_made(vcpu))
		return step_leave(vcpu);
	if (vcpu->events & EVENT_NMI_BLOCKS)
		end_nmi_blocking(vcpu);
	if (vcpu->events & EVENT_QUEUED && deliver_queued(vcpu) != VCPU_RESUME)
		return VCPU_LEAVE;
	if (vcpu->events & EVENT_ASKED)
		deliver_pending(vcpu);
	/* After the acknowledgement, which may change what is held back. */
	if (vcpu->apic)
		apic_settle(vcpu);
	return vcpu->step.by_trap_flag ? step_prepare(vcpu) : VCPU_RESUME;
}
