/* SPDX-License-Identifier: MIT */
/*
 * Whether the monitor trap flag has the guest exit behind an instruction (SDM vol. 3, 26.5.2). Bochs 2.7 offers it on
 * its newest models, and runs on.
 */
#include "vmx/asm.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include "vmx/selftest_guest.h"
#include "vmx/vmcs_field.h"

bool probe_trap_flag_fails;

static const uint8_t code[] = {0x90, 0x90, 0x0f, 0x01, 0xc1}; /* nop; nop; vmcall */

static bool exits_behind_the_first(const struct selftest_guest *guest)
{
	uint32_t reason;

	__builtin_memcpy(guest->memory + CODE_OF_CALLER, code, sizeof(code));
	vmcs_write(VMCS_PROC_CONTROLS, vmcs_read(VMCS_PROC_CONTROLS) | PROC_MONITOR_TRAP_FLAG);
	reason = selftest_run(guest, CODE_OF_CALLER, 0);
	return reason == EXIT_REASON_MONITOR_TRAP_FLAG && vmcs_read(VMCS_GUEST_RIP) == CODE_OF_CALLER + 1;
}

enum tl_status probe_trap_flag(void)
{
	struct selftest_guest guest;
	enum tl_status status;

	if (!(vmx_capability.control[VMX_PROC].allowed1 & PROC_MONITOR_TRAP_FLAG))
		return TL_OK;
	status = selftest_guest_create(&guest);
	if (status != TL_OK)
		return status;
	probe_trap_flag_fails = !exits_behind_the_first(&guest);
	selftest_guest_destroy(&guest);
	return TL_OK;
}
