/* SPDX-License-Identifier: MIT */
/* What DR6 and DR7 hold when a #DB reaches the guest. SDM vol. 3, 18.2.3, 18.2.4. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/exit_reason.h"
#include "vmx/skip.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HARDWARE_EXCEPTION = 3 << 8, FIXED = 0xffff0ff0, BS = 1 << 14, BD = 1 << 13, MOV_FROM_DR6 = 6 | 1 << 4 };

static void expect_debug_exception(void)
{
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | HARDWARE_EXCEPTION | VECTOR_DB);
	assert_false(field(VMCS_GUEST_DR7) & DR7_GD);
}

static enum vcpu_action exit_by(uint32_t reason, uint64_t qualification, uint64_t dr6)
{
	mock_cpu.dr6 = dr6;
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	set_field(VMCS_EXIT_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | HARDWARE_EXCEPTION | VECTOR_DB);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 3);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	set_field(VMCS_GUEST_DR7, 0x400 | DR7_GD);
	return vcpu_exit(guest_vcpu);
}

/* By software's leave: BS and BD stay, B0 to B3 are of this one alone. */
static void the_breakpoints_are_its_own(void **context)
{
	static const struct {
		uint64_t old, said, now;
	} rows[] = {
		{FIXED, 1, FIXED | 1},
		{FIXED | 2, 1, FIXED | 1},
		{FIXED | BS | 0xf, 4, FIXED | BS | 4},
		{FIXED | 8, BS, FIXED | BS},
		{FIXED | BS | BD | 1, 0, FIXED | BS | BD},
		{FIXED, BS | 3, FIXED | BS | 3},
	};

	(void)context;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(exit_by(EXIT_REASON_EXCEPTION_OR_NMI, rows[i].said, rows[i].old), VCPU_RESUME);
		expect_debug_exception();
		assert_int_equal(mock_cpu.dr6, rows[i].now);
	}
}

static void general_detect_is_no_breakpoint(void **context)
{
	(void)context;
	assert_int_equal(exit_by(EXIT_REASON_MOV_DR, MOV_FROM_DR6, FIXED | BS | 5), VCPU_RESUME);
	expect_debug_exception();
	assert_int_equal(mock_cpu.dr6, FIXED | BS | BD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)
	const struct CMUnitTest tests[] = {
		TEST(the_breakpoints_are_its_own),
		TEST(general_detect_is_no_breakpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
