/* SPDX-License-Identifier: MIT */
/* NMIs that the embedder queues: one is handled, one held, and any more are the same. SDM vol. 3, 7.7.1. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include "vmx/skip.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int start(void **state)
{
	vcpu_start(state);
	vmx_controls.virtual_nmis = true;
	return 0;
}

static void queue(unsigned count)
{
	static const struct tl_event nmi = {.type = TL_EVENT_NMI, .vector = 2};

	for (unsigned i = 0; i < count; i++)
		assert_int_equal(tl_vcpu_inject(guest_vcpu, &nmi), TL_OK);
}

/* Whether the entry after this exit brings an NMI, of whose handler the guest is in then. */
static bool is_delivered(uint32_t reason)
{
	bool is_nmi;

	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	is_nmi = field(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID;
	if (is_nmi) {
		assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | TL_EVENT_NMI << 8 | 2);
		set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	}
	return is_nmi;
}

static bool window_is_open(void)
{
	return field(VMCS_PROC_CONTROLS) & PROC_NMI_WINDOW_EXITING;
}

/* The handler's IRET. */
static bool is_delivered_after_return(void)
{
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	return is_delivered(EXIT_REASON_NMI_WINDOW);
}

static void two_at_once_are_two(void **state)
{
	(void)state;
	for (unsigned count = 1; count <= 4; count++) {
		set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
		queue(count);
		assert_true(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		assert_int_equal(window_is_open(), count > 1);
		assert_false(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		if (count > 1)
			assert_true(is_delivered_after_return());
		assert_false(window_is_open());
		assert_false(is_delivered_after_return());
	}
}

/* Each was put behind the last by another kick. */
static void ten_in_a_handler_are_one(void **state)
{
	(void)state;
	queue(1);
	assert_true(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
	for (unsigned i = 0; i < 10; i++) {
		queue(1 + i % 3);
		assert_false(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		assert_true(window_is_open());
	}
	assert_true(is_delivered_after_return());
	assert_false(window_is_open());
	assert_false(is_delivered_after_return());
}

/* MOV SS holds it off, and no handler runs yet. */
static void a_shadow_loses_none(void **state)
{
	(void)state;
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	queue(2);
	assert_false(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
	assert_true(window_is_open());
	assert_true(is_delivered_after_return());
	assert_true(window_is_open());
	assert_true(is_delivered_after_return());
}

static void it_waits_behind_no_other_event(void **state)
{
	static const struct tl_event interrupt = {.type = TL_EVENT_INTERRUPT, .vector = 0x41},
				     nmi = {.type = TL_EVENT_NMI, .vector = 2};

	(void)state;
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &interrupt), TL_OK);
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &nmi), TL_AGAIN);
}

static void nothing_behind_an_nmi_is_another_event(void **state)
{
	static const struct tl_event interrupt = {.type = TL_EVENT_INTERRUPT, .vector = 0x41};

	(void)state;
	queue(1);
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &interrupt), TL_AGAIN);
	assert_true(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
	assert_false(window_is_open());
}

static bool interrupt_window_is_open(void)
{
	return field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING;
}

/* Without virtual NMIs an IRET ends no blocking: the guest has left its handler when it can be interrupted. */
static void without_virtual_nmis(void **state)
{
	(void)state;
	vmx_controls.virtual_nmis = false;
	for (unsigned count = 1; count <= 3; count++) {
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
		queue(count);
		assert_true(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		assert_true(interrupt_window_is_open());
		/* In the handler, and with interrupts on, but behind STI. */
		set_field(VMCS_GUEST_RFLAGS, 2);
		assert_false(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
		set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI);
		assert_false(is_delivered(EXIT_REASON_EXTERNAL_INTERRUPT));
		assert_true(interrupt_window_is_open());
		set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
		assert_int_equal(is_delivered(EXIT_REASON_INTERRUPT_WINDOW), count > 1);
		if (count > 1)
			assert_false(is_delivered(EXIT_REASON_INTERRUPT_WINDOW));
		assert_false(field(VMCS_GUEST_INTERRUPTIBILITY));
		assert_false(interrupt_window_is_open());
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, vcpu_stop)
	const struct CMUnitTest tests[] = {
		TEST(two_at_once_are_two),
		TEST(ten_in_a_handler_are_one),
		TEST(a_shadow_loses_none),
		TEST(it_waits_behind_no_other_event),
		TEST(nothing_behind_an_nmi_is_another_event),
		TEST(without_virtual_nmis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
