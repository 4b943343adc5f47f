/* SPDX-License-Identifier: MIT */
/* A vCPU, for who looks at it from outside: its exits by reason, one instruction at a time, its VMCS. */
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/vmcs_dump.h"

void tl_vcpu_exits(const struct tl_vcpu *vcpu, struct tl_vcpu_exits *exits)
{
	const struct vcpu_stats *stats = &vcpu->reader.stats;
	uint64_t slow = 0;

	for (unsigned i = 0; i < TL_NR_EXIT_REASONS; i++) {
		exits->reason[i] = stats_read(&vcpu->exits_by_reason[i]);
		slow += exits->reason[i];
	}
	/* After the slow ones: an exit is counted before its reason is. */
	exits->all = stats_read(&stats->exits);
	exits->fresh = stats_read(&stats->fresh);
	exits->stale = stats_read(&stats->stale);
	exits->reason[EXIT_REASON_EPT_MISCONFIGURATION] += exits->all > slow ? exits->all - slow : 0;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

static bool has_trap_flag(void)
{
	return vmx_capability.control[VMX_PROC].allowed1 & PROC_MONITOR_TRAP_FLAG;
}

static void set_trap_flag(bool on)
{
	uint64_t controls = vmcs_read(VMCS_PROC_CONTROLS) & ~(uint64_t)PROC_MONITOR_TRAP_FLAG;

	vmcs_write(VMCS_PROC_CONTROLS, controls | (on ? PROC_MONITOR_TRAP_FLAG : 0));
}

enum tl_status tl_vcpu_set_step(struct tl_vcpu *vcpu, bool step)
{
	enum tl_status status;

	if (step && !has_trap_flag())
		return TL_UNSUPPORTED;
	status = vcpu_load(vcpu);
	if (status != TL_OK)
		return status;
	set_trap_flag(step);
	vcpu->events = (uint8_t)((vcpu->events & ~EVENT_STEP) | (step ? EVENT_STEP : 0));
	vcpu->step_rip = vmcs_read(VMCS_GUEST_RIP);
	return TL_OK;
}

/*
 * An instruction that is emulated ends without an exit for the flag, so that every entry is looked at. One that
 * repeats, or jumps to itself, ends with that exit alone.
 */
bool step_is_made(struct tl_vcpu *vcpu)
{
	vcpu->reader.entry_round = GRACE_ATTENTION;
	return vmcs_read(VMCS_GUEST_RIP) != vcpu->step_rip;
}

enum vcpu_action step_leave(struct tl_vcpu *vcpu)
{
	set_trap_flag(false);
	vcpu->events &= (uint8_t)~EVENT_STEP;
	return exit_leave(vcpu, TL_EXIT_STEP);
}

enum tl_status tl_vcpu_dump(struct tl_vcpu *vcpu)
{
	enum tl_status status = vcpu_load(vcpu);

	if (status == TL_OK)
		vmcs_dump();
	return status;
}
