/* SPDX-License-Identifier: MIT */
/* The instructions that a step by TF executes here, since they would store TF, or load another one. */
#include "tests/unit/step_fixture.h"
#include "vmx/cr.h"
#include "vmx/msr.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void int_n_is_delivered_by_the_entry(void **context)
{
	static const uint8_t int_80[] = {0xcd, 0x80};

	(void)context;
	assert_true(begin_at(int_80, sizeof(int_80)));
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
			 EVENT_INFO_VALID | EVENT_SOFTWARE_INTERRUPT << 8 | 0x80);
	assert_int_equal(field(VMCS_ENTRY_INSTRUCTION_LENGTH), 2);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST);
}

static void flags_on_the_stack_are_the_guests(void **context)
{
	static const uint8_t pushf[] = {0x9c}, popf[] = {0x9d};
	uint64_t *top = (uint64_t *)(void *)(guest_ram + STACK - 8);

	(void)context;
	assert_false(begin_at(pushf, sizeof(pushf)));
	expect_step(VCPU_LEAVE);
	assert_int_equal(*top, RFLAGS_OF_GUEST);
	assert_int_equal(field(VMCS_GUEST_RSP), STACK - 8);
	*top |= RFLAGS_TF;
	assert_false(begin_at(popf, sizeof(popf)));
	expect_step(VCPU_LEAVE);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST | RFLAGS_TF);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
}

static uint64_t system_call_msr(uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_STAR:
		return 0x0010000800000000;
	case MSR_IA32_LSTAR:
		return CODE + 4096;
	case MSR_IA32_FMASK:
		return RFLAGS_IF | RFLAGS_TF;
	default:
		return 0;
	}
}

static void system_calls_are_executed(void **context)
{
	static const uint8_t syscall[] = {0x0f, 0x05}, sysret[] = {0x48, 0x0f, 0x07};

	(void)context;
	mock_cpu.on_rdmsr = system_call_msr;
	guest_vcpu->mode.efer |= EFER_SCE;
	assert_false(begin_at(syscall, sizeof(syscall)));
	expect_step(VCPU_LEAVE);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 4096);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), 2);
	assert_int_equal(guest_vcpu->gpr[TL_R11], RFLAGS_OF_GUEST);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], CODE + 2);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_CS)), 8);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_SS)), 16);
	assert_false(begin_at(sysret, sizeof(sysret)));
	expect_step(VCPU_LEAVE);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_CS)), 0x23);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_SS)), 0x1b);
	assert_int_equal(ACCESS_DPL(field(VMCS_GUEST_SS_ACCESS_RIGHTS)), 3);
	/* A process that executes SYSRET gets #GP, from the CPU. */
	assert_true(begin_at(sysret, sizeof(sysret)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, step_start, step_stop)
	const struct CMUnitTest tests[] = {
		TEST(int_n_is_delivered_by_the_entry),
		TEST(flags_on_the_stack_are_the_guests),
		TEST(system_calls_are_executed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
