/* SPDX-License-Identifier: MIT */
/* A vCPU's deadline, by the embedder's timer, beside its budget and the interrupts of its processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/vcpu_fixture.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"

static uint64_t tsc;
static bool requested;
static unsigned acknowledged;

static uint64_t read_tsc(void)
{
	return tsc;
}

static int acknowledge(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	acknowledged++;
	requested = false;
	return 0x31;
}

static bool pending(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return requested;
}

static int start(void **state)
{
	static const struct tl_processor processor = {.acknowledge = acknowledge, .pending = pending};

	vcpu_start(state);
	mock_cpu.on_rdtsc = read_tsc;
	tsc = 1000000;
	requested = false;
	acknowledged = 0;
	hosted.has_timer = true;
	tl_vcpu_set_processor(guest_vcpu, &processor);
	return 0;
}

static enum vcpu_action exit_for(uint32_t reason)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	return vcpu_exit(guest_vcpu);
}

static void expect_deadline(enum vcpu_action action)
{
	assert_int_equal(action, VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_DEADLINE);
	vcpu_left.reason = TL_EXIT_KICKED;
}

static void a_deadline_is_the_hosts_time(void **state)
{
	(void)state;
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + 1600), TL_OK);
	assert_int_equal(hosted.armed, 1600);
	hosted.armed = 0;
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + 1600), TL_OK);
	assert_int_equal(hosted.armed, 0);
	/* Another interrupt, long before: the timer is left alone. */
	tsc += 1499;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	assert_int_equal(hosted.armed, 0);
	/* This one may have been the timer's. */
	tsc += 1;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	assert_int_equal(hosted.armed, 100);
	/* It is over: before what could be delivered, which is not acknowledged. */
	requested = true;
	tsc += 100;
	expect_deadline(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT));
	assert_int_equal(acknowledged, 0);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | 0x31);
}

static void one_that_is_over_and_one_that_is_taken_back(void **state)
{
	(void)state;
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc), TL_OK);
	expect_deadline(vcpu_before_entry(guest_vcpu));
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, 0), TL_OK);
	expect_deadline(vcpu_before_entry(guest_vcpu));
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + 5), TL_OK);
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, UINT64_MAX), TL_OK);
	assert_int_equal(hosted.armed, 0);
	tsc += 5;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	hosted.has_timer = false;
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + 5), TL_UNSUPPORTED);
	tsc += 5;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
}

/* One timer for both, where there is no preemption timer. Further away than the timer counts it is armed in pieces. */
static void the_earlier_of_budget_and_deadline(void **state)
{
	(void)state;
	vmx_controls.preemption_timer = false;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 5000), TL_OK);
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + 3000), TL_OK);
	assert_int_equal(hosted.armed, 3000);
	tsc += 3000;
	expect_deadline(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT));
	assert_int_equal(hosted.armed, 2000);
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, tsc + BIT(33)), TL_OK);
	assert_int_equal(hosted.armed, 2000);
	tsc += 2000;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_BUDGET);
	assert_int_equal(hosted.armed, BIT(31));
	tsc += BIT(31);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	assert_int_equal(hosted.armed, BIT(31));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, vcpu_stop)
	const struct CMUnitTest tests[] = {
		TEST(a_deadline_is_the_hosts_time),
		TEST(one_that_is_over_and_one_that_is_taken_back),
		TEST(the_earlier_of_budget_and_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
