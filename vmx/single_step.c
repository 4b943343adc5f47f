/* SPDX-License-Identifier: MIT */
/*
 * One instruction at a time: by the monitor trap flag (SDM vol. 3, 26.5.2), or, where the CPU has none, by RFLAGS.TF
 * and #DB, which exits anyway. The guest is to see nothing of the latter. So TF stands in the VMCS only from right
 * before an entry to right after its exit: no other part of vmx/ meets it, nor does tl_vcpu_get().
 *
 * What would push TF, or replace it, never executes with it:
 *   - an exception that the instruction raises exits (all do meanwhile), TF is taken back, and the next entry delivers
 * it;
 *   - an entry that delivers an event has no TF, but a preemption timer that has run down, or else a kick of this CPU
 *     that waits: either exit comes behind the delivery and before the handler's first instruction (SDM vol.
 * 3, 27.7.4);
 *   - PUSHF, POPF, POP SS and the like, INT n, SYSCALL and SYSRET are executed here (vmx/step_insn.c).
 * IRET replaces TF by what it pops; the trap behind it is due all the same, by the TF before it (18.3.1.4).
 */
#include "mmu/hooks.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"

#define ALL_EXCEPTIONS       BITS(31, 0)
#define INTERRUPT_STATUS_RVI BITS(7, 0)
#define WINDOWS              ((uint64_t)(PROC_INTERRUPT_WINDOW_EXITING | PROC_NMI_WINDOW_EXITING))
#define EXCEPTION_DB         (EVENT_INFO_VALID | (uint64_t)TL_EVENT_EXCEPTION << 8 | VECTOR_DB)

static bool has_monitor_trap_flag(void)
{
	return vmx_capability.control[VMX_PROC].allowed1 & PROC_MONITOR_TRAP_FLAG && !probe_trap_flag_fails;
}

static void set_step(struct tl_vcpu *vcpu, bool on)
{
	uint64_t controls = vmcs_read(VMCS_PROC_CONTROLS) & ~(uint64_t)PROC_MONITOR_TRAP_FLAG;

	vcpu->events = (uint8_t)((vcpu->events & ~EVENT_STEP) | (on ? EVENT_STEP : 0));
	vcpu->step.made = false;
	if (has_monitor_trap_flag()) {
		vmcs_write(VMCS_PROC_CONTROLS, controls | (on ? PROC_MONITOR_TRAP_FLAG : 0));
		return;
	}
	vcpu->step.by_trap_flag = on;
	vcpu_trace_switch(vcpu);
}

enum tl_status tl_vcpu_set_step(struct tl_vcpu *vcpu, bool step)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status != TL_OK)
		return status;
	set_step(vcpu, step);
	vcpu->step_rip = vmcs_read(VMCS_GUEST_RIP);
	return TL_OK;
}

/*
 * An instruction that is emulated ends without an exit for the flag, so that every entry is looked at. One that
 * repeats, or jumps to itself, ends with that exit alone, or says so.
 */
bool step_is_made(struct tl_vcpu *vcpu)
{
	vcpu->reader.entry_round = GRACE_ATTENTION;
	return vcpu->step.made || vmcs_read(VMCS_GUEST_RIP) != vcpu->step_rip;
}

enum vcpu_action step_leave(struct tl_vcpu *vcpu)
{
	set_step(vcpu, false);
	return exit_leave(vcpu, TL_EXIT_STEP);
}

/* ---- What is lent ------------------------------------------------------------------------------------------------ */

/* What MOV SS holds back waits (SDM vol. 3, 27.7.3). */
bool step_debug_is_due(void)
{
	return vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS) &
		       (DEBUG_ENABLED | PENDING_DEBUG_BS | PENDING_DEBUG_RTM) &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS);
}

static void lend_end_of_delivery(struct single_step *step)
{
	step->lent = STEP_DELIVERY;
	if (!vmx_controls.preemption_timer) {
		hooks->kick(hooks->cpu_index());
		return;
	}
	step->exit_controls = vmcs_read(VMCS_EXIT_CONTROLS);
	step->timer = vmcs_read(VMCS_PREEMPTION_TIMER_VALUE);
	vmcs_write(VMCS_PIN_CONTROLS, vmcs_read(VMCS_PIN_CONTROLS) | PIN_PREEMPTION_TIMER);
	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, 0);
}

/*
 * A shadow would want the trap to be pending already (SDM vol. 3, 27.3.1.5), and then have it delivered before the
 * instruction. The shadow ends with the instruction and holds back nothing else: events come by entries alone, and no
 * window opens meanwhile. BTF would have only branches trap.
 */
static void lend_trap_flag(struct single_step *step)
{
	step->lent = STEP_TRAP_FLAG;
	step->rip = vmcs_read(VMCS_GUEST_RIP);
	step->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	step->interruptibility = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	step->pending_debug = vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
	step->debugctl = vmcs_read(VMCS_GUEST_DEBUGCTL);
	vmcs_write(VMCS_GUEST_RFLAGS, step->rflags | RFLAGS_TF);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, step->interruptibility & ~INTERRUPTIBILITY_SHADOW);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 0);
	vmcs_write(VMCS_GUEST_DEBUGCTL, step->debugctl & ~DEBUGCTL_BTF);
	vmcs_write(VMCS_EXCEPTION_BITMAP, ALL_EXCEPTIONS);
}

void step_lend(struct tl_vcpu *vcpu)
{
	struct single_step *step = &vcpu->step;

	step->proc = vmcs_read(VMCS_PROC_CONTROLS);
	step->pin = vmcs_read(VMCS_PIN_CONTROLS);
	if (vmcs_read(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID)
		lend_end_of_delivery(step);
	else if (!step_debug_is_due())
		lend_trap_flag(step);
	else
		return;
	vmcs_write(VMCS_PROC_CONTROLS, step->proc & ~WINDOWS);
	/*
	 * No virtual interrupt is pending (SDM vol. 3, 30.2.1), nor becomes so; before the next entry that is said
	 * anew. A notification exits as a kick does (rule 16).
	 */
	if (vcpu->apic_posts)
		vmcs_write(VMCS_PIN_CONTROLS, vmcs_read(VMCS_PIN_CONTROLS) & ~(uint64_t)PIN_POSTED_INTERRUPTS);
	if (vcpu->apic_delivers)
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, vmcs_read(VMCS_GUEST_INTERRUPT_STATUS) & ~INTERRUPT_STATUS_RVI);
}

/* ---- What is taken back ------------------------------------------------------------------------------------------ */

static void take_back_end_of_delivery(struct single_step *step)
{
	if (!vmx_controls.preemption_timer) {
		step->made = vmcs_read(VMCS_EXIT_REASON) == EXIT_REASON_EXTERNAL_INTERRUPT;
		return;
	}
	vmcs_write(VMCS_EXIT_CONTROLS, step->exit_controls);
	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, step->timer);
	step->made = vmcs_read(VMCS_EXIT_REASON) == EXIT_REASON_PREEMPTION_TIMER;
}

/* Whether the exit is that of TF, behind the instruction. */
static bool has_trapped(void)
{
	uint64_t information = vmcs_read(VMCS_EXIT_INTERRUPTION_INFORMATION);

	return vmcs_read(VMCS_EXIT_REASON) == EXIT_REASON_EXCEPTION_OR_NMI &&
	       (information & (EVENT_INFO_VALID | EVENT_INFO_TYPE | 0xff)) == EXCEPTION_DB &&
	       vmcs_read(VMCS_EXIT_QUALIFICATION) & PENDING_DEBUG_BS;
}

/* The instruction was executed: its shadow, where it is an STI that has let interrupts in. */
static uint64_t shadow_after(const struct single_step *step, uint64_t rflags)
{
	bool lets_in = rflags & RFLAGS_IF && !(step->rflags & RFLAGS_IF) && step->is_sti;

	/* With the guest's own TF a #DB comes between, and ends it. */
	return lets_in && !(step->rflags & RFLAGS_TF) ? INTERRUPTIBILITY_STI : 0;
}

static void take_back_trap_flag(struct single_step *step)
{
	uint64_t rflags = vmcs_read(VMCS_GUEST_RFLAGS), own_tf = step->rflags & RFLAGS_TF;
	uint64_t pending = vmcs_read(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS);
	uint64_t shadow = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	step->made = has_trapped();
	if (step->made || vmcs_read(VMCS_GUEST_RIP) != step->rip) {
		shadow |= shadow_after(step, rflags);
		pending = step->made ? 0 : pending & ~(own_tf ? 0 : PENDING_DEBUG_BS);
		if (step->loads_flags)
			own_tf = rflags & RFLAGS_TF;
	} else {
		shadow |= step->interruptibility & INTERRUPTIBILITY_SHADOW;
		pending = step->pending_debug;
	}
	vmcs_write(VMCS_GUEST_RFLAGS, (rflags & ~RFLAGS_TF) | own_tf);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, shadow);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, pending);
	vmcs_write(VMCS_GUEST_DEBUGCTL, step->debugctl);
	vmcs_write(VMCS_EXCEPTION_BITMAP, EXITING_EXCEPTIONS);
}

void step_take_back(struct tl_vcpu *vcpu)
{
	struct single_step *step = &vcpu->step;

	if (step->lent == STEP_DELIVERY)
		take_back_end_of_delivery(step);
	else
		take_back_trap_flag(step);
	vmcs_write(VMCS_PROC_CONTROLS, step->proc);
	vmcs_write(VMCS_PIN_CONTROLS, step->pin);
	step->ended = step->lent;
	step->lent = STEP_NOTHING;
}

/* ---- The guest's own #DB ----------------------------------------------------------------------------------------- */

/* What of B0 to B3 is of breakpoints that are enabled: one that is not may be reported, too. */
static uint64_t enabled(uint64_t breakpoints)
{
	uint64_t dr7 = vmcs_read(VMCS_GUEST_DR7), which = 0;

	for (unsigned i = 0; i < 4; i++)
		if (dr7 >> 2 * i & 3)
			which |= BIT(i);
	return breakpoints & which;
}

/* With BTF it is a taken branch that traps: one that leads elsewhere than behind an instruction. */
static bool own_trap_is_due(const struct single_step *step)
{
	if (!(step->rflags & RFLAGS_TF))
		return false;
	return !(step->debugctl & DEBUGCTL_BTF) || vmcs_read(VMCS_GUEST_RIP) - step->rip - 1 >= INSN_MAX_LENGTH;
}

enum vcpu_action step_debug_exception(struct tl_vcpu *vcpu)
{
	struct single_step *step = &vcpu->step;
	uint64_t said = vmcs_read(VMCS_EXIT_QUALIFICATION) & (DEBUG_B0_TO_B3 | DEBUG_BD | PENDING_DEBUG_BS);
	bool trap_is_lent = step->ended == STEP_TRAP_FLAG;

	step->ended = STEP_NOTHING;
	if (trap_is_lent && said & PENDING_DEBUG_BS) {
		/* What a MOV SS before it has held back is told together with the trap. */
		said |= step->pending_debug & (DEBUG_B0_TO_B3 | PENDING_DEBUG_BS);
		if (!(step->pending_debug & PENDING_DEBUG_BS) && !own_trap_is_due(step))
			said &= ~PENDING_DEBUG_BS;
	}
	if (!enabled(said & DEBUG_B0_TO_B3) && !(said & (DEBUG_BD | PENDING_DEBUG_BS)))
		return step->made ? step_leave(vcpu) : vcpu_before_entry(vcpu);
	debug_say(said);
	vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~(uint64_t)DR7_GD);
	return exit_raise(vcpu, VECTOR_DB);
}
