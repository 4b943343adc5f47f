/* SPDX-License-Identifier: MIT */
/* One instruction at a time, by the monitor trap flag; and a vCPU's exits by reason. */
#include "tests/unit/vcpu_fixture.h"
#include "vmx/capability.h"
#include "vmx/controls.h"
#include "vmx/exit_reason.h"
#include "vmx/probe.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* mov eax, [rdi] */
static const uint8_t load[] = {0x8b, 0x07};

static int start(void **context)
{
	vcpu_start(context);
	vmx_capability.control[VMX_PROC].allowed1 |= PROC_MONITOR_TRAP_FLAG;
	put_code(CODE, load, sizeof(load));
	put_code(CODE + 2, load, sizeof(load));
	return 0;
}

static int stop(void **context)
{
	vmx_capability.control[VMX_PROC].allowed1 &= ~(uint64_t)PROC_MONITOR_TRAP_FLAG;
	return vcpu_stop(context);
}

static bool flag_is_set(void)
{
	return field(VMCS_PROC_CONTROLS) & PROC_MONITOR_TRAP_FLAG;
}

static enum vcpu_action exit_for(uint32_t reason)
{
	enum vcpu_action action;

	set_field(VMCS_EXIT_REASON, reason);
	action = vcpu_exit_fast(guest_vcpu);
	return action == VCPU_FULL ? vcpu_exit(guest_vcpu) : action & ~VCPU_RELOAD_RBX;
}

static void expect_step(enum vcpu_action action)
{
	assert_int_equal(action, VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STEP);
	assert_false(flag_is_set());
	vcpu_left.reason = TL_EXIT_KICKED;
}

/* As tl_vcpu_run() looks before it enters. */
static void begin_step(void)
{
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
}

/* A probe has found that the CPU only offers it. */
static void without_effect_it_is_not_used(void **context)
{
	(void)context;
	probe_trap_flag_fails = true;
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	assert_false(flag_is_set());
	assert_true(guest_vcpu->step.by_trap_flag);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, false), TL_OK);
	probe_trap_flag_fails = false;
}

static void ends_by_the_flag(void **context)
{
	(void)context;
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	assert_true(flag_is_set());
	set_field(VMCS_GUEST_RIP, CODE + 2);
	expect_step(exit_for(EXIT_REASON_MONITOR_TRAP_FLAG));
	/* One that jumps to itself. */
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	expect_step(exit_for(EXIT_REASON_MONITOR_TRAP_FLAG));
}

/* Two accesses that are known, so that both are served in the exit of the first; of a step the first is all. */
static void ends_behind_one_emulated_instruction(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		set_field(VMCS_GUEST_RIP, CODE + i % 2 * sizeof(load));
		set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI); /* nothing is clustered in its shadow */
		assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	}
	device_log.count = 0;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(device_log.count, 2);
	device_log.count = 0;
	set_field(VMCS_GUEST_RIP, CODE);
	begin_step();
	expect_step(exit_at(DEVICE_LINEAR));
	assert_int_equal(device_log.count, 1);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(load));
}

/* An exit that executed nothing, such as one that mapped memory, is none. */
static void goes_on_while_nothing_was_executed(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_RIP, CODE);
	begin_step();
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_true(flag_is_set());
	expect_step(exit_at(DEVICE_LINEAR));
}

static void a_kick_comes_first_and_takes_nothing_from_it(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	tl_vcpu_kick(guest_vcpu);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_KICKED);
	assert_true(flag_is_set());
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	expect_step(exit_at(DEVICE_LINEAR));
}

static void can_be_taken_back(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, false), TL_OK);
	assert_false(flag_is_set());
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
}

/* A new state's RIP is where the step begins. */
static void begins_where_a_new_state_stands(void **context)
{
	struct tl_state state;

	(void)context;
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, true), TL_OK);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &state), TL_OK);
	state.rip = CODE + 2;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &state), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	expect_step(exit_at(DEVICE_LINEAR));
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 4);
}

static void counts_exits_by_reason(void **context)
{
	struct tl_vcpu_exits exits;
	uint64_t sum = 0;

	(void)context;
	assert_int_equal(exit_for(EXIT_REASON_CPUID), VCPU_RESUME);
	assert_int_equal(exit_for(EXIT_REASON_CPUID), VCPU_RESUME);
	assert_int_equal(exit_for(EXIT_REASON_WBINVD), VCPU_RESUME);
	set_field(VMCS_GUEST_RIP, CODE);
	exit_at(DEVICE_LINEAR); /* a violation, which leaves an MMIO entry */
	set_field(VMCS_GUEST_RIP, CODE);
	exit_at(DEVICE_LINEAR);
	tl_vcpu_exits(guest_vcpu, &exits);
	assert_int_equal(exits.reason[EXIT_REASON_CPUID], 2);
	assert_int_equal(exits.reason[EXIT_REASON_WBINVD], 1);
	assert_int_equal(exits.reason[EXIT_REASON_EPT_VIOLATION], 1);
	assert_int_equal(exits.reason[EXIT_REASON_EPT_MISCONFIGURATION], 1);
	for (unsigned i = 0; i < TL_NR_EXIT_REASONS; i++)
		sum += exits.reason[i];
	assert_int_equal(exits.all, sum);
	assert_int_equal(exits.all, 5);
	assert_int_equal(exits.stale, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ends_by_the_flag, start, stop),
		cmocka_unit_test_setup_teardown(without_effect_it_is_not_used, start, stop),
		cmocka_unit_test_setup_teardown(ends_behind_one_emulated_instruction, start, stop),
		cmocka_unit_test_setup_teardown(goes_on_while_nothing_was_executed, start, stop),
		cmocka_unit_test_setup_teardown(a_kick_comes_first_and_takes_nothing_from_it, start, stop),
		cmocka_unit_test_setup_teardown(can_be_taken_back, start, stop),
		cmocka_unit_test_setup_teardown(begins_where_a_new_state_stands, start, stop),
		cmocka_unit_test_setup_teardown(counts_exits_by_reason, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
