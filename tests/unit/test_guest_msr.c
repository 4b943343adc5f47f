/* SPDX-License-Identifier: MIT */
/* A guest's MSRs and its CPUID: each row of the table, and what kernels do with some of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/vcpu_fixture.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/guest_msr.h"
#include "vmx/msr.h"
#include <string.h>

static uint64_t tsc;
static struct cpuid cpu[0x20];

static uint64_t read_tsc(void)
{
	return tsc;
}

static struct cpuid read_cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return leaf < 0x20 ? cpu[leaf] : (struct cpuid){.eax = leaf, .edx = UINT32_MAX};
}

static int start(void **state)
{
	vcpu_start(state);
	mock_cpu.on_rdtsc = read_tsc;
	mock_cpu.on_cpuid = read_cpuid;
	tsc = 1000000;
	memset(cpu, 0xff, sizeof(cpu));
	return 0;
}

static int stop(void **state)
{
	vmx_controls.rdtscp = false;
	vmx_capability.xsave = false;
	vmx_capability.xcr0 = 0;
	return vcpu_stop(state);
}

/* False: the guest gets #GP(0), and its registers are as they were. */
static bool serve(uint32_t reason)
{
	uint64_t gpr[TL_NR_GPRS];

	memcpy(gpr, guest_vcpu->gpr, sizeof(gpr));
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	if (!(field(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID)) {
		assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2);
		return true;
	}
	expect_injected(VECTOR_GP);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	assert_memory_equal(gpr, guest_vcpu->gpr, sizeof(gpr));
	return false;
}

static bool read_msr(uint32_t msr, uint64_t *value)
{
	bool served;

	guest_vcpu->gpr[TL_RCX] = 0xabcd00000000 | msr;
	served = serve(EXIT_REASON_RDMSR);
	*value = guest_vcpu->gpr[TL_RDX] << 32 | guest_vcpu->gpr[TL_RAX];
	return served;
}

static bool write_msr(uint32_t msr, uint64_t value)
{
	guest_vcpu->gpr[TL_RCX] = msr;
	guest_vcpu->gpr[TL_RAX] = 0xabcd00000000 | (uint32_t)value;
	guest_vcpu->gpr[TL_RDX] = value >> 32;
	return serve(EXIT_REASON_WRMSR);
}

static uint64_t value_of(uint32_t msr)
{
	uint64_t value;

	assert_true(read_msr(msr, &value));
	return value;
}

/* A search by halves needs it. No MSR is in two rows, and none passes that the host keeps for itself. */
static void the_table_is_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_GUEST_MSRS; i++) {
		assert_true(guest_msrs[i].first <= guest_msrs[i].last);
		assert_true(i == 0 || guest_msrs[i - 1].last < guest_msrs[i].first);
		assert_true(!guest_msrs[i].passed || (guest_msrs[i].read && guest_msrs[i].write));
	}
}

/* Without a processor of the embedder's each row's ends and what is beside them fault or not, as the row says. */
static void rows_are_found(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NR_GUEST_MSRS; i++) {
		const struct guest_msr *row = &guest_msrs[i];
		uint64_t value;

		for (uint32_t msr = row->first; msr <= row->last; msr++)
			if (!row->read)
				assert_false(read_msr(msr, &value));
		if (!row->write)
			assert_false(write_msr(row->last, 0));
	}
	assert_false(read_msr(0x1234, &(uint64_t){0}));
	assert_false(write_msr(0x1234, 0));
	assert_int_equal(value_of(MSR_IA32_FEATURE_CONTROL), 1);
	assert_int_equal(value_of(MSR_IA32_BIOS_SIGN_ID), 0);
	assert_true(write_msr(MSR_IA32_BIOS_SIGN_ID, 5));
	assert_int_equal(value_of(MSR_IA32_APIC_BASE), 0);
	assert_false(write_msr(MSR_IA32_APIC_BASE, 0xfee00900));
}

/* The two move together, and what the guest reads without an exit is the same. */
static void the_time_stamp_counter(void **state)
{
	(void)state;
	assert_int_equal(value_of(MSR_IA32_TIME_STAMP_COUNTER), 1000000);
	assert_true(write_msr(MSR_IA32_TIME_STAMP_COUNTER, 1000));
	assert_int_equal(value_of(MSR_IA32_TSC_ADJUST), (uint64_t)-999000);
	assert_int_equal(field(VMCS_TSC_OFFSET), (uint64_t)-999000);
	assert_int_equal(tl_vcpu_tsc_offset(guest_vcpu), (uint64_t)-999000);
	tsc += 50;
	assert_int_equal(value_of(MSR_IA32_TIME_STAMP_COUNTER), 1050);
	assert_true(write_msr(MSR_IA32_TSC_ADJUST, 0));
	assert_int_equal(value_of(MSR_IA32_TIME_STAMP_COUNTER), 1000050);
	assert_int_equal(field(VMCS_TSC_OFFSET), 0);
}

static void every_vcpu_of_a_vm_has_its_offset(void **state)
{
	struct tl_vm_config config = {.tsc_offset = 7000};
	struct tl_vm *other;
	struct tl_vcpu *vcpu;
	enum tl_status status;

	(void)state;
	grace_leave(&guest_vcpu->reader, 0);
	other = tl_vm_create(&config, &status);
	assert_non_null(other);
	vcpu = tl_vcpu_create(other, &status);
	assert_non_null(vcpu);
	assert_int_equal(field(VMCS_TSC_OFFSET), 7000);
	assert_int_equal(tl_vcpu_tsc_offset(vcpu), 7000);
	assert_int_equal(tl_vcpu_destroy(vcpu), TL_OK);
	assert_int_equal(tl_vm_destroy(other), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
}

static void the_memory_type_ranges(void **state)
{
	(void)state;
	vmx_capability.physical_bits = 39;
	assert_int_equal(value_of(MSR_IA32_MTRRCAP), 0x508);
	assert_int_equal(value_of(MSR_IA32_MTRR_DEF_TYPE), 0xc06);
	assert_int_equal(value_of(MSR_IA32_MTRR_FIX16K_80000 + 1), 0x0606060606060606);
	assert_true(write_msr(MSR_IA32_MTRR_FIX16K_80000 + 1, 0x0001040506060606));
	assert_true(write_msr(MSR_IA32_MTRR_FIX4K_C0000 + 7, 0x0505050505050505));
	assert_int_equal(value_of(MSR_IA32_MTRR_FIX16K_80000 + 1), 0x0001040506060606);
	assert_int_equal(value_of(MSR_IA32_MTRR_FIX4K_C0000 + 7), 0x0505050505050505);
	assert_int_equal(value_of(MSR_IA32_MTRR_FIX64K_00000), 0x0606060606060606);
	/* 2, 3 and 7 are no types. */
	assert_false(write_msr(MSR_IA32_MTRR_FIX64K_00000, 0x0606060606060206));
	assert_false(write_msr(MSR_IA32_MTRR_DEF_TYPE, 0xc07));
	assert_false(write_msr(MSR_IA32_MTRR_DEF_TYPE, 0x1c06));
	assert_true(write_msr(MSR_IA32_MTRR_DEF_TYPE, 0));
	assert_true(write_msr(MSR_IA32_MTRR_PHYSBASE0 + 14, 0x7fc0000000));
	assert_true(write_msr(MSR_IA32_MTRR_PHYSBASE0 + 15, 0x7fc0000800));
	assert_int_equal(value_of(MSR_IA32_MTRR_PHYSBASE0 + 15), 0x7fc0000800);
	assert_false(write_msr(MSR_IA32_MTRR_PHYSBASE0, 0x8000000000));
	assert_false(write_msr(MSR_IA32_MTRR_PHYSBASE0, 0x102));
	assert_false(write_msr(MSR_IA32_MTRR_PHYSBASE0 + 1, 0x400));
	assert_false(write_msr(MSR_IA32_MTRR_PHYSBASE0 + 16, 0));
}

static uint64_t read_fast_strings(uint32_t msr)
{
	return msr == MSR_IA32_MISC_ENABLE ? 1 : 0;
}

static void fast_strings_and_nothing_else(void **state)
{
	struct tl_vcpu *other;
	enum tl_status status;

	(void)state;
	/* The CPU of the fixture has them off. */
	assert_int_equal(value_of(MSR_IA32_MISC_ENABLE), 0x1800);
	assert_true(write_msr(MSR_IA32_MISC_ENABLE, 0x1801));
	assert_int_equal(value_of(MSR_IA32_MISC_ENABLE), 0x1801);
	assert_false(write_msr(MSR_IA32_MISC_ENABLE, 0x1801 | 1ull << 34));
	assert_false(write_msr(MSR_IA32_MISC_ENABLE, 1));
	mock_cpu.on_rdmsr = read_fast_strings;
	other = tl_vcpu_create(vm, &status);
	assert_non_null(other);
	assert_false(other->no_fast_strings);
	assert_int_equal(tl_vcpu_destroy(other), TL_OK);
	assert_int_equal(vcpu_load(guest_vcpu), TL_OK);
}

static void values_that_the_sdm_refuses(void **state)
{
	(void)state;
	assert_false(write_msr(MSR_IA32_FS_BASE, 1ull << 47));
	assert_false(write_msr(MSR_IA32_LSTAR, 1ull << 47));
	assert_true(write_msr(MSR_IA32_LSTAR, ~0ull << 47));
	assert_true(write_msr(MSR_IA32_STAR, 1ull << 47));
	assert_false(write_msr(MSR_IA32_FMASK, 1ull << 32));
	assert_false(write_msr(MSR_IA32_TSC_AUX, 0));
	assert_false(read_msr(MSR_IA32_TSC_AUX, &(uint64_t){0}));
	vmx_controls.rdtscp = true;
	assert_true(write_msr(MSR_IA32_TSC_AUX, 1));
	assert_false(write_msr(MSR_IA32_TSC_AUX, 1ull << 32));
	assert_false(write_msr(MSR_IA32_PAT, 2));
	assert_false(write_msr(MSR_IA32_DEBUGCTL, 1));
	assert_true(write_msr(MSR_IA32_DEBUGCTL, 2));
	assert_int_equal(value_of(MSR_IA32_DEBUGCTL), 2);
}

static struct cpuid cpuid_of(uint32_t leaf, uint32_t subleaf)
{
	guest_vcpu->gpr[TL_RAX] = leaf;
	guest_vcpu->gpr[TL_RCX] = subleaf;
	assert_true(serve(EXIT_REASON_CPUID));
	return (struct cpuid){(uint32_t)guest_vcpu->gpr[TL_RAX], (uint32_t)guest_vcpu->gpr[TL_RBX],
			      (uint32_t)guest_vcpu->gpr[TL_RCX], (uint32_t)guest_vcpu->gpr[TL_RDX]};
}

/* On a CPU that answers ones: what is shown is what the guest can use, on its one processor. */
static void cpuid_shows_what_can_be_used(void **state)
{
	struct cpuid out;

	(void)state;
	out = cpuid_of(1, 0);
	assert_int_equal(out.ebx >> 16, 1);
	assert_int_equal(out.edx & (1u << 12), 1u << 12); /* MTRR */
	assert_int_equal(out.edx & (1u << 9 | 1u << 7 | 1u << 14 | 1u << 28), 0);
	assert_int_equal(out.ecx & (1u << 21 | 1u << 24 | 1u << 5 | 1u << 3 | 1u << 27), 0);
	assert_int_equal(cpuid_of(4, 0).eax, 0x3fff);
	for (uint32_t leaf = 5; leaf < 0x20; leaf++) {
		out = cpuid_of(leaf, 0);
		if (leaf != 7 && leaf != 0x15 && leaf != 0x16)
			assert_int_equal(out.eax | out.ebx | out.ecx | out.edx, 0);
	}
	assert_int_equal(cpuid_of(0x80000007, 0).edx, 1u << 8);
	assert_int_equal(cpuid_of(0x40000000, 0).ebx, 0x70617254);
	assert_int_equal(cpuid_of(0x40000001, 0).edx, 0);
	assert_int_equal(cpuid_of(0x400000ff, 0).edx, 0);
	/* PKE and OSXSAVE are the guest's own, not the host's of this moment. */
	assert_int_equal(cpuid_of(7, 0).ecx & 1u << 4, 0);
	set_field(VMCS_CR4_READ_SHADOW, CR4_PKE);
	assert_int_equal(cpuid_of(7, 0).ecx & 1u << 4, 1u << 4);
}

/* Components that the guest may not turn on are not there, and count for nothing. */
static void cpuid_of_xsave(void **state)
{
	(void)state;
	vmx_capability.xsave = true;
	vmx_capability.xcr0 = 0x600e7 | 0x18;
	cpu[0xd] = (struct cpuid){.eax = 0x100, .ebx = 0x340, .ecx = 0x9000, .edx = UINT32_MAX};
	assert_int_equal(cpuid_of(0xd, 0).eax, 0xe7);
	assert_int_equal(cpuid_of(0xd, 0).ebx, 0x340);
	assert_int_equal(cpuid_of(0xd, 0).ecx, 0x440);
	assert_int_equal(cpuid_of(0xd, 0).edx, 0);
	assert_int_equal(cpuid_of(0xd, 2).eax, 0x100);
	assert_int_equal(cpuid_of(0xd, 3).eax, 0);
	assert_int_equal(cpuid_of(0xd, 17).eax, 0);
	assert_int_equal(cpuid_of(0xd, 63).eax, 0);
	assert_int_equal(cpuid_of(0xd, 200).eax, 0);
	cpu[0xd].eax = UINT32_MAX;
	/* XSAVEC and XSAVES have controls of their own. */
	assert_int_equal(cpuid_of(0xd, 1).eax, 5);
}

/* Of XSAVES a guest has no component that XSETBV does not give. */
static void xss_is_zero(void **state)
{
	uint64_t value;

	(void)state;
	vmx_controls.xsaves = false;
	assert_false(read_msr(MSR_IA32_XSS, &value));
	assert_false(write_msr(MSR_IA32_XSS, 0));
	vmx_controls.xsaves = true;
	assert_int_equal(value_of(MSR_IA32_XSS), 0);
	assert_true(write_msr(MSR_IA32_XSS, 0));
	for (unsigned i = 0; i < 64; i++)
		assert_false(write_msr(MSR_IA32_XSS, BIT(i)));
	vmx_controls.xsaves = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(the_table_is_in_order),
		TEST(rows_are_found),
		TEST(xss_is_zero),
		TEST(the_time_stamp_counter),
		TEST(every_vcpu_of_a_vm_has_its_offset),
		TEST(the_memory_type_ranges),
		TEST(fast_strings_and_nothing_else),
		TEST(values_that_the_sdm_refuses),
		TEST(cpuid_shows_what_can_be_used),
		TEST(cpuid_of_xsave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
