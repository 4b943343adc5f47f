/* SPDX-License-Identifier: MIT */
/*
 * What takes the CPU from a guest that runs: NMIs and machine checks, which are the host's and the guest does not
 * notice, and a kick.
 */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { NMI = 2, MACHINE_CHECK = 18, TYPE_NMI = 2 << 8, TYPE_HARDWARE_EXCEPTION = 3 << 8 };

static enum vcpu_action exit_by(uint64_t reason, uint64_t information)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INTERRUPTION_INFORMATION, information);
	assert_int_equal(vcpu_exit_fast(guest_vcpu), VCPU_FULL);
	return vcpu_exit(guest_vcpu);
}

static void expect_untouched(void)
{
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
}

static void nmi(void **context)
{
	(void)context;
	assert_int_equal(exit_by(EXIT_REASON_EXCEPTION_OR_NMI, EVENT_INFO_VALID | TYPE_NMI | NMI), VCPU_RESUME);
	assert_int_equal(mock_cpu.nr_nmis, 1);
	assert_int_equal(mock_cpu.nr_machine_checks, 0);
	expect_untouched();
}

static void machine_check(void **context)
{
	(void)context;
	assert_true(field(VMCS_EXCEPTION_BITMAP) & BIT(MACHINE_CHECK));
	assert_int_equal(
		exit_by(EXIT_REASON_EXCEPTION_OR_NMI, EVENT_INFO_VALID | TYPE_HARDWARE_EXCEPTION | MACHINE_CHECK),
		VCPU_RESUME);
	assert_int_equal(mock_cpu.nr_machine_checks, 1);
	assert_int_equal(mock_cpu.nr_nmis, 0);
	expect_untouched();
}

/* The event whose delivery it interrupted is delivered at the next entry. */
static void machine_check_while_an_event_is_delivered(void **context)
{
	const uint64_t interrupt = EVENT_INFO_VALID | 0x41;

	(void)context;
	set_field(VMCS_IDT_VECTORING_INFORMATION, interrupt);
	assert_int_equal(
		exit_by(EXIT_REASON_EXCEPTION_OR_NMI, EVENT_INFO_VALID | TYPE_HARDWARE_EXCEPTION | MACHINE_CHECK),
		VCPU_RESUME);
	assert_int_equal(mock_cpu.nr_machine_checks, 1);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), interrupt);
}

/* The host has its say before the guest is stopped. */
static void machine_check_at_the_entry(void **context)
{
	(void)context;
	assert_int_equal(exit_by(EXIT_REASON_ENTRY_FAILURE | EXIT_REASON_ENTRY_MACHINE_CHECK, 0), VCPU_LEAVE);
	assert_int_equal(mock_cpu.nr_machine_checks, 1);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_ENTRY);
	assert_int_equal(vcpu_left.stop.code, EXIT_REASON_ENTRY_MACHINE_CHECK);
}

static void kick_by_a_write(struct tl_mmio *access)
{
	tl_vcpu_kick(access->vcpu);
}

/* The guest is left after the instruction, whether or not the CPU lets the kick's own interrupt through. */
static void a_callback_kicks_its_own_vcpu(void **state)
{
	static const uint8_t store[] = {0x89, 0x07}; /* mov [rdi], eax */

	(void)state;
	put_code(CODE, store, sizeof(store));
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	device_log.on_access = kick_by_a_write;
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(store));
	assert_int_equal(vcpu_left.reason, TL_EXIT_KICKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nmi),
		TEST(machine_check),
		TEST(machine_check_while_an_event_is_delivered),
		TEST(machine_check_at_the_entry),
		TEST(a_callback_kicks_its_own_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
