/* SPDX-License-Identifier: MIT */
/* What firmware may have left in IA32_FEATURE_CONTROL, and what becomes of it (SDM vol. 3, 24.7). */
#include "tests/unit/mock/vmx/asm.h"

#include "tests/unit/hosted.h"
#include "vmx/cpu.h"
#include "vmx/msr.h"
#include "vmx/vcpu.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

_Thread_local struct mock_cpu mock_cpu;

enum { LOCKED = 1, IN_SMX = 2, OUTSIDE_SMX = 4, OTHERS = 0x100000 /* LMCE, which is not ours */ };

static uint64_t feature_control;
static unsigned nr_writes;
static bool has_smx, ignores_writes;

enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	fail_msg("a guest is entered");
	return VCPU_FAILED;
}

static uint64_t read_msr(uint32_t msr)
{
	return msr == MSR_IA32_FEATURE_CONTROL ? feature_control : 0;
}

static void write_msr(uint32_t msr, uint64_t value)
{
	assert_int_equal(msr, MSR_IA32_FEATURE_CONTROL);
	/* Locked, a write raises #GP. */
	assert_false(feature_control & LOCKED);
	nr_writes++;
	if (!ignores_writes)
		feature_control = value;
}

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	if (leaf == 0)
		return (struct cpuid){.eax = 1};
	return leaf == 1 ? (struct cpuid){.ecx = 1u << 5 | (has_smx ? 1u << 6 : 0)} : (struct cpuid){0};
}

/* A CPU with VMX and nothing else: what lets VMX be turned on comes to the next refusal. */
static enum tl_status come_up(uint64_t firmware, bool smx)
{
	hosted_start();
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	vmx_cpu[0] = (struct vmx_cpu){0};
	mock_cpu.on_rdmsr = read_msr;
	mock_cpu.on_wrmsr = write_msr;
	mock_cpu.on_cpuid = identify;
	feature_control = firmware;
	has_smx = smx;
	ignores_writes = false;
	nr_writes = 0;
	return tl_cpu_up();
}

static const enum tl_status allowed = TL_NO_EPT;

static void unset_is_set_and_locked(void **state)
{
	(void)state;
	assert_int_equal(come_up(0, false), allowed);
	assert_int_equal(feature_control, LOCKED | OUTSIDE_SMX);
	assert_int_equal(nr_writes, 1);
	/* With SMX, for both. */
	assert_int_equal(come_up(0, true), allowed);
	assert_int_equal(feature_control, LOCKED | IN_SMX | OUTSIDE_SMX);
	/* Unlocked with something in it, which stays. */
	assert_int_equal(come_up(OTHERS | IN_SMX, false), allowed);
	assert_int_equal(feature_control, OTHERS | LOCKED | IN_SMX | OUTSIDE_SMX);
}

static void set_stays(void **state)
{
	(void)state;
	for (unsigned smx = 0; smx < 2; smx++) {
		assert_int_equal(come_up(LOCKED | OUTSIDE_SMX, smx), allowed);
		assert_int_equal(feature_control, LOCKED | OUTSIDE_SMX);
		assert_int_equal(come_up(OTHERS | LOCKED | IN_SMX | OUTSIDE_SMX, smx), allowed);
		assert_int_equal(nr_writes, 0);
	}
}

static void locked_off_is_refused(void **state)
{
	(void)state;
	assert_int_equal(come_up(LOCKED, true), TL_VMX_LOCKED);
	assert_int_equal(come_up(OTHERS | LOCKED, false), TL_VMX_LOCKED);
	assert_int_equal(nr_writes, 0);
	assert_non_null(strstr(tl_status_text(TL_VMX_LOCKED), "firmware's setup"));
}

/* Whether the CPU is in SMX operation no register says, and VMXON would raise #GP if it is not. */
static void locked_to_smx_is_refused_by_its_name(void **state)
{
	(void)state;
	assert_int_equal(come_up(LOCKED | IN_SMX, true), TL_VMX_ONLY_IN_SMX);
	assert_int_equal(nr_writes, 0);
	assert_non_null(strstr(tl_status_text(TL_VMX_ONLY_IN_SMX), "TXT"));
}

static void what_does_not_stick_is_refused(void **state)
{
	(void)state;
	(void)come_up(LOCKED, false);
	feature_control = 0;
	ignores_writes = true;
	assert_int_equal(tl_cpu_up(), TL_VMX_LOCKED);
	assert_int_equal(nr_writes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unset_is_set_and_locked),
		cmocka_unit_test(set_stays),
		cmocka_unit_test(locked_off_is_refused),
		cmocka_unit_test(locked_to_smx_is_refused_by_its_name),
		cmocka_unit_test(what_does_not_stick_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
