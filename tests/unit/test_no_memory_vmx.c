/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of vmx/ fails in turn, once or for good: processors that come up, the guest that probes them, vCPUs.
 * What is refused says so and leaves nothing behind, and the same again succeeds. What the first processor finds out
 * holds for all and for good, so each play has a process of its own.
 */
#include "tests/unit/mock/vmx/asm.h"

#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/msr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NR_VCPUS = 2, BITMAP_PAGES = 4 /* of all CPUs, for good */, OUTSIDE_SMX_AND_LOCKED = 5, FETCH = 0x184 };

/* How a play ended. */
enum { PLAY_FAILED = 1, PLAY_WAS_REFUSED = 10, PLAY_WENT_ON, PLAY_HAD_MEMORY };

_Thread_local struct mock_cpu mock_cpu;

static struct tl_vcpu *vcpus[NR_VCPUS];
static unsigned nr_probes;

/* A guest of one fetch and one HLT; that of the monitor trap flag exits by it. */
enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	enum vcpu_action action;

	if (vmcs_read(VMCS_PROC_CONTROLS) & PROC_MONITOR_TRAP_FLAG) {
		vmcs_write(VMCS_EXIT_REASON, EXIT_REASON_MONITOR_TRAP_FLAG);
		vmcs_write(VMCS_GUEST_RIP, vmcs_read(VMCS_GUEST_RIP) + 1);
		return VCPU_LEAVE;
	}
	vmcs_write(VMCS_EXIT_REASON, EXIT_REASON_EPT_VIOLATION);
	vmcs_write(VMCS_GUEST_PHYSICAL_ADDRESS, 0);
	vmcs_write(VMCS_EXIT_QUALIFICATION, FETCH);
	action = vcpu_exit_fast(vcpu);
	assert_int_equal(action, VCPU_FULL);
	action = vcpu_exit(vcpu);
	if (action != VCPU_RESUME)
		return action;
	nr_probes += !vm;
	return exit_leave(vcpu, TL_EXIT_HLT);
}

/* A CPU on which every control may have either value. */
static uint64_t read_msr(uint32_t msr)
{
	switch (msr) {
	case MSR_IA32_FEATURE_CONTROL:
		return OUTSIDE_SMX_AND_LOCKED;
	case MSR_IA32_VMX_BASIC:
		return 43 | VMX_BASIC_TRUE_CONTROLS;
	case MSR_IA32_VMX_PINBASED_CTLS:
	case MSR_IA32_VMX_PROCBASED_CTLS:
	case MSR_IA32_VMX_PROCBASED_CTLS2:
	case MSR_IA32_VMX_EXIT_CTLS:
	case MSR_IA32_VMX_ENTRY_CTLS:
	case MSR_IA32_VMX_TRUE_PINBASED_CTLS:
	case MSR_IA32_VMX_TRUE_PROCBASED_CTLS:
	case MSR_IA32_VMX_TRUE_EXIT_CTLS:
	case MSR_IA32_VMX_TRUE_ENTRY_CTLS:
		return 0xffffffffull << 32;
	case MSR_IA32_VMX_EPT_VPID_CAP:
	case MSR_IA32_VMX_CR0_FIXED1:
	case MSR_IA32_VMX_CR4_FIXED1:
		return UINT64_MAX;
	default:
		return 0;
	}
}

static struct cpuid identify(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	switch (leaf) {
	case 0:
		return (struct cpuid){.eax = 7};
	case 1:
		return (struct cpuid){.ecx = 1 << 5};
	case 0x80000000:
		return (struct cpuid){.eax = 0x80000008};
	case 0x80000008:
		return (struct cpuid){.eax = 48 << 8 | 39};
	default:
		return (struct cpuid){0};
	}
}

/* ---- What is done. False: refused for want of memory ---- */

static bool succeeded(enum tl_status status)
{
	assert_true(status == TL_OK || status == TL_NO_MEMORY);
	return status == TL_OK;
}

static bool bring_up(unsigned cpu)
{
	bool up;

	hosted_cpu = cpu;
	up = succeeded(tl_cpu_up());
	assert_int_equal(vmx_cpu[cpu].up, up);
	assert_int_equal(vmx_cpu[cpu].vmxon_region != NULL, up);
	/* The first one has not come up before it is probed. */
	assert_int_equal(nr_probes, up || cpu);
	hosted_cpu = 0;
	return up;
}

static bool bring_up_first(void)
{
	return bring_up(0);
}

static bool bring_up_second(void)
{
	return bring_up(1);
}

static bool create_vm(void)
{
	enum tl_status status;

	vm = tl_vm_create(NULL, &status);
	assert_int_equal(succeeded(status), vm != NULL);
	return vm != NULL;
}

static bool add_memory(void)
{
	const struct tl_range range = ram_range(0, 16 * PAGE_SIZE);
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit)
		return false;
	assert_int_equal(tl_map_add(edit, &range, NULL), TL_OK);
	return succeeded(tl_map_commit(edit));
}

static bool create_vcpu(unsigned index)
{
	enum tl_status status;

	vcpus[index] = tl_vcpu_create(vm, &status);
	assert_int_equal(succeeded(status), vcpus[index] != NULL);
	return vcpus[index] != NULL;
}

static bool create_first_vcpu(void)
{
	return create_vcpu(0);
}

static bool create_second_vcpu(void)
{
	return create_vcpu(1);
}

static bool run_vcpu(struct tl_vcpu *vcpu)
{
	struct tl_exit exit;

	assert_int_equal(tl_vcpu_run(vcpu, &exit), TL_OK);
	assert_true(exit.reason == TL_EXIT_HLT || exit.reason == TL_EXIT_NO_MEMORY);
	return exit.reason == TL_EXIT_HLT;
}

static bool run_vcpus(void)
{
	return run_vcpu(vcpus[0]) && run_vcpu(vcpus[1]);
}

/* With the pages that may stay for the next time: what all CPUs share, a transaction, tables of the EPT. */
static const struct {
	bool (*done)(void);
	size_t keeps;
} scenario[] = {
	{bring_up_first, BITMAP_PAGES}, {bring_up_second, 0},    {create_vm, 0}, {add_memory, 1},
	{create_first_vcpu, 0},         {create_second_vcpu, 0}, {run_vcpus, 3},
};

/* ---- Again and again ---- */

static void clean_up(void)
{
	for (unsigned i = 0; i < NR_VCPUS; i++)
		assert_int_equal(tl_vcpu_destroy(vcpus[i]), TL_OK);
	assert_int_equal(tl_vm_destroy(vm), TL_OK);
	for (hosted_cpu = 0; hosted_cpu < 2; hosted_cpu++)
		tl_cpu_down();
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);
}

/* The scenario with the allocation of that number failing. */
static int play(size_t failing, bool for_good)
{
	size_t nr_failed = 0;
	bool refused = false;

	hosted_start();
	mock_cpu.on_rdmsr = read_msr;
	mock_cpu.on_cpuid = identify;
	hosted.fails_from_there_on = for_good;
	hosted_fail_at(failing);
	for (size_t i = 0; i < sizeof(scenario) / sizeof(scenario[0]); i++) {
		size_t pages = hosted.pages_out;

		if (scenario[i].done())
			continue;
		refused = true;
		nr_failed = hosted.failed;
		assert_true(nr_failed > 0);
		assert_in_range(hosted.pages_out, pages, pages + scenario[i].keeps);
		hosted_fail_at(0);
		assert_true(scenario[i].done());
	}
	nr_failed += refused ? 0 : hosted.failed;
	hosted_fail_at(0);
	clean_up();
	return !nr_failed ? PLAY_HAD_MEMORY : refused ? PLAY_WAS_REFUSED : PLAY_WENT_ON;
}

static int play_in_a_process(size_t failing, bool for_good)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		/* Where an assertion fails cmocka ends the test, and so this process, with 1. */
		_exit(play(failing, for_good));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void every_allocation_fails_in_turn(void **context)
{
	(void)context;
	for (unsigned for_good = 0; for_good < 2; for_good++) {
		unsigned refused = 0, borne = 0;
		int end;

		for (size_t failing = 1; (end = play_in_a_process(failing, for_good)) != PLAY_HAD_MEMORY; failing++) {
			if (end != PLAY_WAS_REFUSED && end != PLAY_WENT_ON)
				fail_msg("allocation %zu: the play ended with %d", failing, end);
			refused += end == PLAY_WAS_REFUSED;
			borne += end == PLAY_WENT_ON;
		}
		print_message("%s: %u refusals, %u failures that were no refusal\n", for_good ? "for good" : "once",
			      refused, borne);
		assert_true(refused >= 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_fails_in_turn)};

	/* A wait that never ends is a failure, too. */
	alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
