/* SPDX-License-Identifier: MIT */
/* Exits on the way to an event's handler: by an exception, which takes its place, and by what is mended meanwhile. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/controls.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/skip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { INTERRUPT = 0 << 8, NMI = 2 << 8, HARDWARE = 3 << 8, SOFTWARE = 4 << 8, PRIVILEGED = 5 << 8, INT3 = 6 << 8 };
enum { LENGTH = 2, ERROR = 0x1234, WALK_OF_RAM = 0x181 /* a read of what its linear address translates to */ };

static const struct {
	uint64_t delivered;
	bool is_nmi, has_length, is_double_fault;
} events[] = {
	{INTERRUPT | 0x41, false, false, false},
	{NMI | 2, true, false, false},
	{HARDWARE | 0, false, false, false},
	{HARDWARE | EVENT_INFO_ERROR_CODE | 14, false, false, false},
	{HARDWARE | EVENT_INFO_ERROR_CODE | 8, false, false, true},
	{SOFTWARE | 0x80, false, true, false},
	{PRIVILEGED | 1, false, true, false},
	{INT3 | 3, false, true, false},
};
enum { EVENTS = sizeof(events) / sizeof(events[0]) };

/* An NMI's delivery has blocked others before the exit. */
static void deliver(unsigned event)
{
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | BIT(12) | events[event].delivered);
	set_field(VMCS_IDT_VECTORING_ERROR_CODE, ERROR);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, LENGTH);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, events[event].is_nmi ? INTERRUPTIBILITY_NMI : 0);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	set_field(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 0);
	set_field(VMCS_ENTRY_INSTRUCTION_LENGTH, 0);
}

static enum vcpu_action exit_by(uint64_t reason)
{
	set_field(VMCS_EXIT_REASON, reason);
	assert_int_equal(vcpu_exit_fast(guest_vcpu), VCPU_FULL);
	return vcpu_exit(guest_vcpu);
}

static enum vcpu_action exit_by_exception(uint64_t vector, uint64_t error)
{
	set_field(VMCS_EXIT_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | HARDWARE | vector | error);
	set_field(VMCS_EXIT_INTERRUPTION_ERROR_CODE, 0);
	return exit_by(EXIT_REASON_EXCEPTION_OR_NMI);
}

static void an_exception_takes_the_events_place(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 2 * EVENTS; i++) {
		unsigned event = i / 2;
		uint64_t error = i % 2 ? EVENT_INFO_ERROR_CODE : 0, vector = i % 2 ? VECTOR_AC : VECTOR_DB;
		enum vcpu_action action;

		deliver(event);
		action = exit_by_exception(vector, error);
		if (events[event].is_double_fault) {
			assert_int_equal(action, VCPU_LEAVE);
			assert_int_equal(vcpu_left.reason, TL_EXIT_SHUTDOWN);
			continue;
		}
		assert_int_equal(action, VCPU_RESUME);
		assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
				 EVENT_INFO_VALID | HARDWARE | vector | error);
		assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), events[event].is_nmi ? INTERRUPTIBILITY_NMI : 0);
		if (error)
			assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 0);
	}
}

static bool is_contributory(unsigned vector)
{
	return vector == 0 || vector == 10 || vector == 11 || vector == 12 || vector == 13;
}

/* While a guest is stepped by TF, all exceptions exit. */
static void two_exceptions_may_be_a_double_fault(void **context)
{
	(void)context;
	for (unsigned first = 0; first < 20; first++)
		for (unsigned second = 0; second < 20; second++) {
			bool twice = (is_contributory(first) || first == 14) &&
				     (is_contributory(second) || second == 14) &&
				     !(is_contributory(first) && second == 14);

			if (first == 2 || first == 8 || second == 2 || second == 8 || second == VECTOR_MC)
				continue;
			deliver(0);
			set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | HARDWARE | first);
			set_field(VMCS_EXIT_QUALIFICATION, 0);
			assert_int_equal(exit_by_exception(second, 0), VCPU_RESUME);
			assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
					 EVENT_INFO_VALID | HARDWARE | (twice ? EVENT_INFO_ERROR_CODE | 8 : second));
			if (twice)
				assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 0);
		}
}

/* A page that was not mapped yet, as of the handler's stack: the event comes again, all of it. */
static void what_is_mended_delivers_the_event_again(void **context)
{
	(void)context;
	for (unsigned event = 0; event < EVENTS; event++) {
		deliver(event);
		set_field(VMCS_GUEST_PHYSICAL_ADDRESS, CODE + event * 4096);
		set_field(VMCS_EXIT_QUALIFICATION, WALK_OF_RAM);
		assert_int_equal(exit_by(EXIT_REASON_EPT_VIOLATION), VCPU_RESUME);
		assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
				 EVENT_INFO_VALID | events[event].delivered);
		assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE),
				 events[event].delivered & EVENT_INFO_ERROR_CODE ? ERROR : 0);
		assert_int_equal(field(VMCS_ENTRY_INSTRUCTION_LENGTH), events[event].has_length ? LENGTH : 0);
		/* It is blocked again by what comes again. */
		assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
	}
}

/* MMIO there can't be served, since no instruction made the access: this guest is stopped, in words. */
static void what_cannot_be_mended_stops_the_guest(void **context)
{
	(void)context;
	for (unsigned event = 0; event < EVENTS; event++) {
		deliver(event);
		set_field(VMCS_GUEST_PHYSICAL_ADDRESS, DEVICE_AT);
		set_field(VMCS_EXIT_QUALIFICATION, WALK_OF_RAM);
		assert_int_equal(exit_by(EXIT_REASON_EPT_VIOLATION), VCPU_LEAVE);
		assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
		assert_int_equal(vcpu_left.stop.why, TL_STOP_EVENT);
	}
}

/* The embedder's exception while a delivery comes again. */
static enum vcpu_action inject_into(uint64_t first, unsigned vector)
{
	const struct tl_event event = {TL_EVENT_EXCEPTION, (uint8_t)vector, true, ERROR};

	set_field(VMCS_PROC_CONTROLS, 0);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | first);
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &event), TL_OK);
	return vcpu_attention(guest_vcpu);
}

static void expect_entering(uint64_t information, uint64_t error_code)
{
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | information);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), error_code);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
}

static void an_injected_exception_comes_into_a_delivery(void **context)
{
	(void)context;
	for (unsigned first = 0; first < 20; first++)
		for (unsigned second = 0; second < 20; second++) {
			bool twice = (is_contributory(first) || first == 14) &&
				     (is_contributory(second) || second == 14) &&
				     !(is_contributory(first) && second == 14);

			if (first == 8) {
				assert_int_equal(inject_into(HARDWARE | first, second), VCPU_LEAVE);
				assert_int_equal(vcpu_left.reason, TL_EXIT_SHUTDOWN);
				assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
				continue;
			}
			assert_int_equal(inject_into(HARDWARE | first, second), VCPU_RESUME);
			expect_entering(HARDWARE | EVENT_INFO_ERROR_CODE | (twice ? 8 : second), twice ? 0 : ERROR);
			assert_int_equal(field(VMCS_PROC_CONTROLS), 0);
			assert_int_equal(guest_vcpu->events, 0);
		}
	/* What comes again with its instruction. */
	assert_int_equal(inject_into(SOFTWARE | 0x80, 13), VCPU_RESUME);
	expect_entering(HARDWARE | EVENT_INFO_ERROR_CODE | 13, ERROR);
	assert_int_equal(guest_vcpu->events, 0);
}

/* What would be lost waits until the exception's handler lets it through, and nothing else is queued meanwhile. */
static void an_interrupt_makes_way_for_an_injected_exception(void **context)
{
	const struct tl_event another = {.type = TL_EVENT_INTERRUPT, .vector = 0x55};

	(void)context;
	assert_int_equal(inject_into(INTERRUPT | 0x41, 13), VCPU_RESUME);
	assert_true(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	expect_entering(HARDWARE | EVENT_INFO_ERROR_CODE | 13, ERROR);
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &another), TL_AGAIN);
	set_field(VMCS_GUEST_RFLAGS, 2);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
	assert_int_equal(exit_by(EXIT_REASON_INTERRUPT_WINDOW), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | INTERRUPT | 0x41);
	assert_int_equal(guest_vcpu->events, 0);
	assert_int_equal(inject_into(NMI | 2, 6), VCPU_RESUME);
	expect_entering(HARDWARE | EVENT_INFO_ERROR_CODE | 6, ERROR);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | NMI | 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_exception_takes_the_events_place),
		TEST(two_exceptions_may_be_a_double_fault),
		TEST(what_is_mended_delivers_the_event_again),
		TEST(what_cannot_be_mended_stops_the_guest),
		TEST(an_injected_exception_comes_into_a_delivery),
		TEST(an_interrupt_makes_way_for_an_injected_exception),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
