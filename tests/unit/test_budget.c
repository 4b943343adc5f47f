/* SPDX-License-Identifier: MIT */
/* A time budget, by the preemption timer and by the embedder's. */
#include "tests/unit/vcpu_fixture.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t tsc;

static uint64_t read_tsc(void)
{
	return tsc;
}

static int start(void **state)
{
	vcpu_start(state);
	mock_cpu.on_rdtsc = read_tsc;
	tsc = 1000000;
	vmx_controls.preemption_timer = false;
	hosted.has_timer = true;
	return 0;
}

static int stop(void **state)
{
	vmx_controls.preemption_timer = false;
	vmx_capability.preemption_timer_shift = 0;
	return vcpu_stop(state);
}

static enum vcpu_action exit_for(uint32_t reason)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	return vcpu_exit(guest_vcpu);
}

static void expect_spent(enum vcpu_action action)
{
	assert_int_equal(action, VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_BUDGET);
	vcpu_left.reason = TL_EXIT_KICKED;
}

static void there_is_none_without_a_timer(void **state)
{
	(void)state;
	hosted.has_timer = false;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 5000), TL_UNSUPPORTED);
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 0), TL_OK);
	tsc += 10000;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
}

static void an_early_interrupt_arms_the_rest(void **state)
{
	(void)state;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 5000), TL_OK);
	assert_int_equal(hosted.armed, 5000);
	tsc += 4900;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	assert_int_equal(hosted.armed, 100);
	tsc += 100;
	expect_spent(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT));
	/* It is over: further interrupts end nothing. */
	tsc += 10000;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
}

/* What the vCPU left behind on the timer is armed again where it is loaded, also late. */
static void a_load_arms_it_again(void **state)
{
	(void)state;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 5000), TL_OK);
	tl_vcpu_unload(guest_vcpu);
	hosted.armed = 0;
	tsc += 1500;
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	assert_int_equal(hosted.armed, 3500);
	tl_vcpu_unload(guest_vcpu);
	tsc += 100000;
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
	assert_int_equal(hosted.armed, 1);
	expect_spent(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT));
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, UINT64_MAX), TL_OK);
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 0), TL_OK);
	assert_int_equal(hosted.armed, 0);
	tsc = UINT64_MAX;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
}

/* The preemption timer holds 32 bits of its units: the rest is put in when it expires. */
static void the_preemption_timer_is_filled_again(void **state)
{
	(void)state;
	vmx_controls.preemption_timer = true;
	vmx_capability.preemption_timer_shift = 5;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, ((uint64_t)UINT32_MAX + 7) << 5), TL_OK);
	assert_true(field(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_true(field(VMCS_EXIT_CONTROLS) & VM_EXIT_SAVE_PREEMPTION_TIMER);
	assert_int_equal(field(VMCS_PREEMPTION_TIMER_VALUE), UINT32_MAX);
	assert_int_equal(exit_for(EXIT_REASON_PREEMPTION_TIMER), VCPU_RESUME);
	assert_int_equal(field(VMCS_PREEMPTION_TIMER_VALUE), 7);
	expect_spent(exit_for(EXIT_REASON_PREEMPTION_TIMER));
	assert_false(field(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_int_equal(hosted.armed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_is_none_without_a_timer, start, stop),
		cmocka_unit_test_setup_teardown(an_early_interrupt_arms_the_rest, start, stop),
		cmocka_unit_test_setup_teardown(a_load_arms_it_again, start, stop),
		cmocka_unit_test_setup_teardown(the_preemption_timer_is_filled_again, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
