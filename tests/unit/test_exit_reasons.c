/* SPDX-License-Identifier: MIT */
/* Exits of which there is little to say: what each reason comes to, whatever number a CPU may bring. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LENGTH = 3, FIRST_UNNAMED = EXIT_REASON_WRMSRLIST + 1, UD = 6, GP = 13 };

static enum vcpu_action exit_for(uint64_t reason)
{
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, LENGTH);
	assert_int_equal(vcpu_exit_fast(guest_vcpu), VCPU_FULL);
	return vcpu_exit(guest_vcpu);
}

/* What CPUID does not show. TDCALL and SEAMCALL exit where the CPU has TDX, whatever a hypervisor has turned on. */
static void instructions_that_are_not_there(void **context)
{
	static const uint8_t reasons[] = {
		EXIT_REASON_VMCLEAR, EXIT_REASON_VMLAUNCH, EXIT_REASON_VMPTRLD, EXIT_REASON_VMPTRST,
		EXIT_REASON_VMREAD,  EXIT_REASON_VMRESUME, EXIT_REASON_VMWRITE, EXIT_REASON_VMXOFF,
		EXIT_REASON_VMXON,   EXIT_REASON_INVEPT,   EXIT_REASON_INVVPID, EXIT_REASON_GETSEC,
		EXIT_REASON_MONITOR, EXIT_REASON_MWAIT,    EXIT_REASON_ENCLS,   EXIT_REASON_SEAMCALL,
		EXIT_REASON_TDCALL,
	};

	(void)context;
	for (size_t i = 0; i < COUNT(reasons); i++) {
		assert_int_equal(exit_for(reasons[i]), VCPU_RESUME);
		expect_injected(UD);
		assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	}
}

static void performance_counters(void **context)
{
	(void)context;
	assert_int_equal(exit_for(EXIT_REASON_RDPMC), VCPU_RESUME);
	expect_injected(GP);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), 0);
}

static void caches_of_the_host(void **context)
{
	static const uint8_t reasons[] = {EXIT_REASON_INVD, EXIT_REASON_WBINVD};

	(void)context;
	for (size_t i = 0; i < COUNT(reasons); i++) {
		assert_int_equal(exit_for(reasons[i]), VCPU_RESUME);
		assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
		assert_int_equal(field(VMCS_GUEST_RIP), CODE + LENGTH);
	}
}

static void triple_fault(void **context)
{
	(void)context;
	assert_int_equal(exit_for(EXIT_REASON_TRIPLE_FAULT), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_SHUTDOWN);
}

static void expect_stop(unsigned reason, enum tl_stop why)
{
	memset(&vcpu_left, 0, sizeof(vcpu_left));
	assert_int_equal(exit_for(reason | (why == TL_STOP_ENTRY ? EXIT_REASON_ENTRY_FAILURE : 0)), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, why);
	assert_int_equal(vcpu_left.stop.code, reason);
	assert_int_equal(vcpu_left.stop.rip, CODE);
}

/* What no control that is set brings, and what no CPU of today brings: this guest ends, with the number. */
static void exits_that_nobody_asked_for(void **context)
{
	static const uint8_t reasons[] = {
		EXIT_REASON_INIT,     EXIT_REASON_SIPI,      EXIT_REASON_IO_SMI,    EXIT_REASON_OTHER_SMI,
		EXIT_REASON_INVLPG,   EXIT_REASON_RDTSC,     EXIT_REASON_RSM,       EXIT_REASON_PAUSE,
		EXIT_REASON_RDTSCP,   EXIT_REASON_RDRAND,    EXIT_REASON_INVPCID,   EXIT_REASON_VMFUNC,
		EXIT_REASON_RDSEED,   EXIT_REASON_PCONFIG,   EXIT_REASON_SPP_EVENT, EXIT_REASON_UMWAIT,
		EXIT_REASON_TPAUSE,   EXIT_REASON_ENCLV,     EXIT_REASON_LOADIWKEY, EXIT_REASON_ENQCMD_PASID,
		EXIT_REASON_BUS_LOCK, EXIT_REASON_RDMSRLIST, EXIT_REASON_WRMSRLIST,
	};

	(void)context;
	for (size_t i = 0; i < COUNT(reasons); i++)
		expect_stop(reasons[i], TL_STOP_EXIT);
	for (unsigned reason = FIRST_UNNAMED; reason <= EXIT_REASON_BASIC_MASK; reason += reason / 8)
		expect_stop(reason, TL_STOP_EXIT);
}

static void entries_that_fail(void **context)
{
	(void)context;
	expect_stop(EXIT_REASON_ENTRY_GUEST_STATE, TL_STOP_ENTRY);
	expect_stop(EXIT_REASON_ENTRY_MSR_LOADING, TL_STOP_ENTRY);
	assert_int_equal(mock_cpu.nr_machine_checks, 0);
	expect_stop(EXIT_REASON_ENTRY_MACHINE_CHECK, TL_STOP_ENTRY);
	assert_int_equal(mock_cpu.nr_machine_checks, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(instructions_that_are_not_there, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(performance_counters, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(caches_of_the_host, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(triple_fault, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(exits_that_nobody_asked_for, vcpu_start, vcpu_stop),
		cmocka_unit_test_setup_teardown(entries_that_fail, vcpu_start, vcpu_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
