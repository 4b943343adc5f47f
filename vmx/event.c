/* SPDX-License-Identifier: MIT */
/* Events for the guest: queued by the embedder, delivered by the next entry that can (SDM vol. 3, 27.6). */
#include "vmx/cpu.h"
#include "vmx/exit.h"

enum tl_status tl_vcpu_inject(struct tl_vcpu *vcpu, const struct tl_event *event)
{
	if (event->type != TL_EVENT_INTERRUPT && event->type != TL_EVENT_NMI && event->type != TL_EVENT_EXCEPTION)
		return TL_INVALID_ARGUMENT;
	if ((event->type == TL_EVENT_EXCEPTION && event->vector > 31) ||
	    (event->type == TL_EVENT_NMI && event->vector != 2))
		return TL_INVALID_ARGUMENT;
	if (vcpu->event_queued)
		return TL_AGAIN;
	vcpu->event = *event;
	vcpu->event_queued = true;
	vcpu->reader.entry_round = GRACE_ATTENTION;
	return TL_OK;
}

static bool can_take(const struct tl_event *event, uint64_t interruptibility)
{
	switch (event->type) {
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
static void open_window(const struct tl_event *event)
{
	uint32_t window = event->type == TL_EVENT_NMI && vmx_controls.virtual_nmis ? PROC_NMI_WINDOW_EXITING
										   : PROC_INTERRUPT_WINDOW_EXITING;

	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) | window);
}

bool event_wakes(const struct tl_vcpu *vcpu)
{
	if (vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID)
		return true;
	if (!vcpu->event_queued)
		return false;
	return vcpu->event.type != TL_EVENT_INTERRUPT || vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF;
}

void event_deliver(struct tl_vcpu *vcpu)
{
	const struct tl_event *event = &vcpu->event;
	uint64_t information = EVENT_INFO_VALID | (uint64_t)event->type << 8 | event->vector;

	/* An event that an exit interrupted goes first. */
	if (vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID ||
	    !can_take(event, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY))) {
		open_window(event);
		return;
	}
	if (event->type == TL_EVENT_EXCEPTION && event->has_error_code && vcpu->mode.cr0 & 1) {
		information |= EVENT_INFO_ERROR_CODE;
		vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	}
	/* As in exit_raise(). */
	if (event->type == TL_EVENT_EXCEPTION && event->vector != VECTOR_DB)
		vmcs_write(VMCS_GUEST_RFLAGS, vmcs_read(VMCS_GUEST_RFLAGS) | RFLAGS_RF);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFORMATION, information);
	vcpu->event_queued = false;
}
