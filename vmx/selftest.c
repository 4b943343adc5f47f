/* SPDX-License-Identifier: MIT */
#include "vmx/selftest.h"
#include "mmu/hooks.h"
#include "mmu/vm.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/msr.h"

static const struct {
	const char *name;
	selftest_check *run;
} checks[TL_NR_CHECKS] = {
	[TL_CHECK_VMCS] = {"vmcs", check_vmcs},
	[TL_CHECK_MISCONFIG_4K] = {"misconfig-4k", check_misconfig_4k},
	[TL_CHECK_MISCONFIG_2M] = {"misconfig-2m", check_misconfig_2m},
	[TL_CHECK_MISCONFIG_1G] = {"misconfig-1g", check_misconfig_1g},
	[TL_CHECK_LENGTH] = {"length", check_length},
	[TL_CHECK_CACHED_MISCONFIG] = {"cached-misconfig", check_cached_misconfig},
	[TL_CHECK_CACHED_ABSENT] = {"cached-absent", check_cached_absent},
	[TL_CHECK_INVEPT] = {"invept", check_invept},
	[TL_CHECK_EPT_ACCESSED_DIRTY] = {"ept-ad", check_accessed_dirty},
	[TL_CHECK_EPT_EXECUTE_ONLY] = {"execute-only", check_execute_only},
	[TL_CHECK_PML] = {"pml", check_pml},
	[TL_CHECK_PREEMPTION_TIMER] = {"preemption-timer", check_preemption_timer},
	[TL_CHECK_INTERRUPTS] = {"interrupts", check_interrupts},
	[TL_CHECK_INVARIANT_TSC] = {"invariant-tsc", check_invariant_tsc},
	[TL_CHECK_EXITS] = {"exits", check_exits},
};

const char *tl_check_name(enum tl_check check)
{
	return (unsigned)check < TL_NR_CHECKS ? checks[check].name : "unknown";
}

bool selftest_exits(const struct selftest_guest *guest, unsigned code, gpa_t rdi, uint32_t reason,
		    struct tl_check_result *result)
{
	uint32_t found = selftest_run(guest, code, rdi);

	if (found != reason)
		*result = verdict_fail("an exit for another reason", reason, found);
	return found == reason;
}

enum tl_status tl_selftest(struct tl_selftest *report)
{
	struct selftest_guest guest;
	enum tl_status status;

	*report = (struct tl_selftest){0};
	if (!cpu_this()->up)
		return TL_CPU_DOWN;
	status = selftest_guest_create(&guest);
	if (status != TL_OK)
		return status;
	for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
		report->check[i] = checks[i].run(&guest, report);
		/* The host's own interrupts wait no longer than a check takes. */
		interrupt_window();
	}
	selftest_guest_destroy(&guest);
	return TL_OK;
}

bool tl_memory_is_l1tf_target(uint64_t physical, uint64_t size)
{
	return ept_l1tf_target(physical, physical + size, mmu_cpu.maxphyaddr);
}

/* ---- What to tell of the CPU ------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint32_t leaf, subleaf;
	unsigned word; /* EAX, EBX, ECX, EDX */
} cpuid_facts[] = {
	{"CPUID.1:EAX", 1, 0, 0},
	{"CPUID.1:ECX", 1, 0, 2},
	{"CPUID.1:EDX", 1, 0, 3},
	{"CPUID.7:EBX", 7, 0, 1},
	{"CPUID.7:ECX", 7, 0, 2},
	{"CPUID.7:EDX", 7, 0, 3},
	{"CPUID.15H:EAX", 0x15, 0, 0},
	{"CPUID.15H:EBX", 0x15, 0, 1},
	{"CPUID.15H:ECX", 0x15, 0, 2},
	{"CPUID.80000001H:EDX", 0x80000001, 0, 3},
	{"CPUID.80000007H:EDX", 0x80000007, 0, 3},
	{"CPUID.80000008H:EAX", 0x80000008, 0, 0},
};

enum { NR_CPUID_FACTS = sizeof(cpuid_facts) / sizeof(cpuid_facts[0]) };

static uint64_t cpuid_fact(size_t i)
{
	uint32_t leaf = cpuid_facts[i].leaf;
	struct cpuid out = {0};

	/* Beyond the last leaf the CPU answers with the last one's data. */
	if (leaf <= cpuid(leaf & 0x80000000, 0).eax)
		out = cpuid(leaf, cpuid_facts[i].subleaf);
	return (const uint32_t[]){out.eax, out.ebx, out.ecx, out.edx}[cpuid_facts[i].word];
}

bool tl_cpu_fact(size_t index, const char **name, uint64_t *value)
{
	const struct vmx_capability *c = &vmx_capability;
	const struct {
		const char *name;
		uint64_t value;
	} msrs[] = {
#define X(member, number, condition) {#number, c->msr.member},
		CAPABILITY_MSRS(X)
#undef X
			{"IA32_FEATURE_CONTROL", rdmsr(MSR_IA32_FEATURE_CONTROL)},
		{"IA32_BIOS_SIGN_ID", rdmsr(MSR_IA32_BIOS_SIGN_ID)},
	};

	if (index < NR_CPUID_FACTS) {
		*name = cpuid_facts[index].name;
		*value = cpuid_fact(index);
		return true;
	}
	index -= NR_CPUID_FACTS;
	if (index >= sizeof(msrs) / sizeof(msrs[0]))
		return false;
	*name = msrs[index].name;
	*value = msrs[index].value;
	return true;
}
