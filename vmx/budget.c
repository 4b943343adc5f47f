/* SPDX-License-Identifier: MIT */
/*
 * The guest's time budget, and its deadline. The preemption timer counts down in the guest alone and is saved at exits,
 * so that it costs them nothing. Without one the embedder's timer interrupts the guest: then all time counts from the
 * call on, as it does for a deadline.
 */
#include "vmx/budget.h"
#include "mmu/hooks.h"
#include "vmx/cpu.h"

/* Timers count in 32 bits at most. */
#define LONGEST_ALARM BIT(31)

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

	/* It was lent to the step. */
	if (vcpu->events & EVENT_STEP && vcpu->step.made)
		return step_leave(vcpu);
	if (!next) {
		tl_vcpu_set_budget(vcpu, 0);
		return exit_leave(vcpu, TL_EXIT_BUDGET);
	}
	vcpu->budget -= next;
	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, next);
	return vcpu_before_entry(vcpu);
}

/* ---- By the embedder's timer ------------------------------------------------------------------------------------- */

/* The earlier one of the two; 0, none, comes after all. */
static uint64_t next_end(const struct tl_vcpu *vcpu)
{
	uint64_t budget = vcpu->budget_end - 1, deadline = vcpu->deadline - 1;

	return (budget < deadline ? budget : deadline) + 1;
}

/* For what comes next, or not any more. False: there is no timer. */
static bool arm(struct tl_vcpu *vcpu)
{
	uint64_t end = next_end(vcpu), now = rdtsc(), ticks = end > now ? end - now : 1;

	if (!hooks->arm_timer)
		return false;
	if (ticks > LONGEST_ALARM)
		ticks = LONGEST_ALARM;
	vcpu->alarm = now + ticks - ticks / 16;
	return hooks->arm_timer(end ? ticks : 0);
}

/* An interrupt that comes too early, since timers count at rates of their own, or was somebody else's, changes nothing.
 */
void budget_arm(struct tl_vcpu *vcpu)
{
	if (next_end(vcpu))
		(void)arm(vcpu);
}

bool budget_is_spent(struct tl_vcpu *vcpu)
{
	if (!vcpu->budget_end)
		return false;
	if (rdtsc() < vcpu->budget_end) {
		budget_arm(vcpu);
		return false;
	}
	vcpu->budget_end = 0;
	budget_arm(vcpu);
	return true;
}

/* The timer is not armed at each look, which comes with each tl_vcpu_run(), but where its interrupt may have come. */
bool deadline_is_over(struct tl_vcpu *vcpu)
{
	uint64_t now = rdtsc();

	if (now < vcpu->deadline) {
		if (now >= vcpu->alarm)
			budget_arm(vcpu);
		return false;
	}
	vcpu->deadline = 0;
	vcpu->events &= (uint8_t)~EVENT_DEADLINE;
	budget_arm(vcpu);
	return true;
}

static enum tl_status set_budget_end(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	uint64_t now = rdtsc();

	vcpu->budget_end = !tsc_ticks ? 0 : tsc_ticks < UINT64_MAX - now ? now + tsc_ticks : UINT64_MAX;
	if (arm(vcpu))
		return TL_OK;
	vcpu->budget_end = 0;
	return tsc_ticks ? TL_UNSUPPORTED : TL_OK;
}

enum tl_status tl_vcpu_set_budget(struct tl_vcpu *vcpu, uint64_t tsc_ticks)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	if (!vmx_controls.preemption_timer)
		return set_budget_end(vcpu, tsc_ticks);
	set_timer(vcpu, tsc_ticks);
	return TL_OK;
}

/*
 * Not by the preemption timer: that counts in the guest alone, so that a guest with many exits would see it late. To
 * set it anew at each entry would cost all of them; the host's timer costs none.
 */
enum tl_status tl_vcpu_set_deadline(struct tl_vcpu *vcpu, uint64_t tsc)
{
	bool none = tsc == UINT64_MAX;
	uint64_t deadline = none ? 0 : tsc ? tsc : 1;

	/* Set again before each run, as an embedder's loop may: the timer is armed for it. */
	if (deadline == vcpu->deadline)
		return TL_OK;
	/* In a callback it is this CPU's. */
	if (cpu_this()->loaded != vcpu) {
		enum tl_status status = vcpu_load(vcpu);

		if (status != TL_OK)
			return status;
	}
	vcpu->deadline = deadline;
	vcpu->events = (uint8_t)((vcpu->events & ~EVENT_DEADLINE) | (none ? 0 : EVENT_DEADLINE));
	if (!arm(vcpu)) {
		vcpu->deadline = 0;
		vcpu->events &= (uint8_t)~EVENT_DEADLINE;
		return none ? TL_OK : TL_UNSUPPORTED;
	}
	/* It may be over already: before the next entry it is looked at. */
	vcpu->reader.entry_round = GRACE_ATTENTION;
	return TL_OK;
}
