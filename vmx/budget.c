/* SPDX-License-Identifier: MIT */
/*
 * The guest's time budget. The preemption timer counts down in the guest alone and is saved at exits, so that it costs
 * them nothing. Without one the embedder's timer interrupts the guest: then all time counts from the call on.
 */
#include "vmx/budget.h"
#include "mmu/hooks.h"
#include "vmx/cpu.h"

/* ---- By the preemption timer ------------------------------------------------------------------------------------- */

/* The timer and its being saved at exits go together (SDM vol. 3, 27.2.1.2). */
static void set_timer(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	uint64_t units = tsc_ticks >> vmx_capability.preemption_timer_shift;
	uint64_t now = units < UINT32_MAX ? units : UINT32_MAX;
	uint64_t pin = vmcs_read(VMCS_PIN_CONTROLS) & ~(uint64_t)PIN_PREEMPTION_TIMER;
	uint64_t controls = vmcs_read(VMCS_EXIT_CONTROLS) & ~(uint64_t)VM_EXIT_SAVE_PREEMPTION_TIMER;

	if (tsc_ticks) {
		pin |= PIN_PREEMPTION_TIMER;
		controls |= VM_EXIT_SAVE_PREEMPTION_TIMER;
		vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, now);
	}
	vmcs_write(VMCS_PIN_CONTROLS, pin);
	vmcs_write(VMCS_EXIT_CONTROLS, controls);
	vcpu->budget = units - now;
}

enum vcpu_action exit_preemption_timer(struct tl_vcpu *vcpu)
{
	uint64_t next = vcpu->budget < UINT32_MAX ? vcpu->budget : UINT32_MAX;

	if (!next) {
		tl_vcpu_set_budget(vcpu, 0);
		return exit_leave(vcpu, TL_EXIT_BUDGET);
	}
	vcpu->budget -= next;
	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, next);
	return vcpu_before_entry(vcpu);
}

/* ---- By the embedder's timer ------------------------------------------------------------------------------------- */

/* An interrupt that comes too early, since timers count at rates of their own, or was somebody else's, changes nothing.
 */
void budget_arm(const struct tl_vcpu *vcpu)
{
	uint64_t now = rdtsc();

	if (vcpu->deadline)
		(void)hooks->arm_timer(vcpu->deadline > now ? vcpu->deadline - now : 1);
}

bool budget_is_spent(struct tl_vcpu *vcpu)
{
	if (!vcpu->deadline)
		return false;
	if (rdtsc() < vcpu->deadline) {
		budget_arm(vcpu);
		return false;
	}
	vcpu->deadline = 0;
	return true;
}

static enum tl_status set_deadline(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	uint64_t now = rdtsc();

	if (!hooks->arm_timer || !hooks->arm_timer(tsc_ticks))
		return tsc_ticks ? TL_UNSUPPORTED : TL_OK;
	vcpu->deadline = !tsc_ticks ? 0 : tsc_ticks < UINT64_MAX - now ? now + tsc_ticks : UINT64_MAX;
	return TL_OK;
}

enum tl_status tl_vcpu_set_budget(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	if (!vmx_controls.preemption_timer)
		return set_deadline(vcpu, tsc_ticks);
	set_timer(vcpu, tsc_ticks);
	return TL_OK;
}
