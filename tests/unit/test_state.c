/* SPDX-License-Identifier: MIT */
/* A vCPU's state read and written: nothing is missing, nothing comes back changed, and what no CPU takes is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/guest_memory.h"
#include "tests/unit/vcpu_fixture.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/msr.h"
#include <string.h>

enum { AREA_BYTES = 832, HEADER_AT = 512, MXCSR_AT = 24, PDPT_AT = 0x6000, CODE_32 = 0xc09b };

static uint64_t cpu_msr[5]; /* those that VMX does not switch: STAR and what follows it, KERNEL_GS_BASE */

static uint64_t *cpu_msr_of(uint32_t msr)
{
	if (msr >= MSR_IA32_STAR && msr <= MSR_IA32_FMASK)
		return &cpu_msr[msr - MSR_IA32_STAR];
	return msr == MSR_IA32_KERNEL_GS_BASE ? &cpu_msr[4] : NULL;
}

static uint64_t read_cpu_msr(uint32_t msr)
{
	return cpu_msr_of(msr) ? *cpu_msr_of(msr) : 0;
}

static void write_cpu_msr(uint32_t msr, uint64_t value)
{
	if (cpu_msr_of(msr))
		*cpu_msr_of(msr) = value;
}

static struct cpuid read_cpuid(uint32_t leaf, uint32_t subleaf)
{
	(void)subleaf;
	return (struct cpuid){.ecx = leaf == 0x0d ? AREA_BYTES : 0};
}

static int start(void **state)
{
	vcpu_start(state);
	grace_leave(&guest_vcpu->reader, 0);
	memset(cpu_msr, 0, sizeof(cpu_msr));
	mock_cpu.on_rdmsr = read_cpu_msr;
	mock_cpu.on_wrmsr = write_cpu_msr;
	mock_cpu.on_cpuid = read_cpuid;
	vmx_capability.nx = true;
	return 0;
}

static int stop(void **state)
{
	vmx_capability.nx = vmx_capability.xsave = false;
	vmx_capability.xcr0 = 0;
	grace_enter(&guest_vcpu->reader, 0);
	return vcpu_stop(state);
}

/* ---- struct tl_state --------------------------------------------------------------------------------------------- */

/* Each number of it differs from every other and from what the vCPU has. */
static void choose(struct tl_state *s)
{
	uint64_t next = 0x1000;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < TL_NR_GPRS; i++)
		s->gpr[i] = next++;
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++) {
		s->segment[i].selector = (uint16_t)next++;
		s->segment[i].limit = (uint32_t)next++;
		s->segment[i].access = (uint32_t)next++;
		s->segment[i].base = next++;
	}
	s->gdtr.base = next++;
	s->gdtr.limit = (uint16_t)next++;
	s->idtr.base = next++;
	s->idtr.limit = (uint16_t)next++;
	s->rip = next++;
	s->rflags = 0x246;
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG | CR0_WP | CR0_TS;
	s->cr2 = next++;
	s->cr3 = next++;
	s->cr4 = CR4_PAE | CR4_OSFXSR;
	s->efer = EFER_NXE;
	for (unsigned i = 0; i < 4; i++) {
		s->pdpte[i] = next++;
		s->dr[i] = next++;
	}
	s->dr6 = 0xffff4ff1;
	s->dr7 = 0x402;
	s->interruptibility = INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI;
	s->pending_debug = BIT(14) | BIT(12) | 3;
	s->delivery = (struct tl_delivery){.information = 0x80000b0eu, .error_code = 6, .instruction_length = 2};
}

static void all_of_it_comes_back(void **state)
{
	struct tl_state wanted, now;

	(void)state;
	choose(&wanted);
	memset(&now, 0, sizeof(now));
	assert_int_equal(tl_vcpu_set(guest_vcpu, &wanted), TL_OK);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &now), TL_OK);
	assert_memory_equal(&wanted, &now, sizeof(now));
	/* Where the CPU takes it from. */
	assert_int_equal(field(VMCS_GUEST_PDPTE(3)), wanted.pdpte[3]);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), wanted.interruptibility);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), wanted.delivery.information);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), wanted.delivery.error_code);
	assert_int_equal(field(VMCS_ENTRY_INSTRUCTION_LENGTH), wanted.delivery.instruction_length);
	assert_int_equal(mock_cpu.dr6, wanted.dr6);
	assert_int_equal(guest_vcpu->dr[2], wanted.dr[2]);
	/* A breakpoint is armed: RF has a meaning. */
	assert_true(guest_vcpu->rflags_slow & RFLAGS_RF);
}

static void what_has_been_delivered_is_over(void **state)
{
	struct tl_state now;

	(void)state;
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0xb0e);
	set_field(VMCS_ENTRY_EXCEPTION_ERROR_CODE, 6);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &now), TL_OK);
	assert_int_equal(now.delivery.information, 0);
	assert_int_equal(now.delivery.error_code, 0);
}

static void what_was_to_be_completed_is_forgotten(void **state)
{
	struct tl_state now;

	(void)state;
	guest_vcpu->pending = PENDING_IO;
	assert_int_equal(tl_vcpu_get(guest_vcpu, &now), TL_OK);
	assert_int_equal(guest_vcpu->pending, PENDING_IO);
	assert_int_equal(tl_vcpu_set(guest_vcpu, &now), TL_OK);
	assert_int_equal(guest_vcpu->pending, PENDING_NONE);
}

/* ---- PDPTEs ------------------------------------------------------------------------------------------------------ */

static void load_cr3(uint64_t value)
{
	guest_vcpu->gpr[TL_RBX] = value;
	set_field(VMCS_EXIT_REASON, EXIT_REASON_CR_ACCESS);
	set_field(VMCS_EXIT_QUALIFICATION, 3 | TL_RBX << 8);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 3);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_exit(guest_vcpu), VCPU_RESUME);
	grace_leave(&guest_vcpu->reader, 0);
}

/* Where MOV to CR3 exits, the library loads the PDPTEs: all or, with #GP, neither they nor CR3. */
static void cr3_brings_its_pdptes(void **state)
{
	uint64_t pdpte[4] = {0x7001, 0x8001, 0, 0x9001};
	struct tl_state s;

	(void)state;
	assert_int_equal(tl_vcpu_get(guest_vcpu, &s), TL_OK);
	s.efer = 0;
	s.segment[TL_CS].access = CODE_32;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &s), TL_OK);
	assert_true(tl_mem_write(vm, PDPT_AT, pdpte, sizeof(pdpte)));
	load_cr3(PDPT_AT | 0x18);
	assert_int_equal(field(VMCS_GUEST_CR3), PDPT_AT | 0x18);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(field(VMCS_GUEST_PDPTE(i)), pdpte[i]);
	pdpte[0] = 0xa001;
	pdpte[3] |= 2; /* reserved */
	assert_true(tl_mem_write(vm, PDPT_AT + 32, pdpte, sizeof(pdpte)));
	load_cr3(PDPT_AT + 32);
	expect_injected(VECTOR_GP);
	assert_int_equal(field(VMCS_GUEST_CR3), PDPT_AT | 0x18);
	assert_int_equal(field(VMCS_GUEST_PDPTE(0)), 0x7001);
}

/* ---- MSRs -------------------------------------------------------------------------------------------------------- */

static void each_msr_can_be_put_back(void **state)
{
	uint32_t msr = 0, before = 0;
	unsigned count = 0;
	bool pat = false;

	(void)state;
	while (tl_msr_next(&msr)) {
		uint64_t value;

		assert_true(msr > before);
		assert_int_not_equal(msr, MSR_IA32_TIME_STAMP_COUNTER);
		assert_int_not_equal(msr, MSR_IA32_PRED_CMD);
		if (tl_vcpu_get_msr(guest_vcpu, msr, &value) == TL_OK)
			assert_int_equal(tl_vcpu_set_msr(guest_vcpu, msr, value), TL_OK);
		pat |= msr == MSR_IA32_PAT;
		before = msr;
		count++;
	}
	assert_true(pat);
	/* The variable ranges alone have 16, and each of a row is there. */
	assert_true(count > 40);
}

static void msrs_are_the_guests(void **state)
{
	uint64_t value;

	(void)state;
	assert_int_equal(tl_vcpu_set_msr(guest_vcpu, MSR_IA32_PAT, 0x0606060606060600), TL_OK);
	assert_int_equal(guest_vcpu->msr_pat, 0x0606060606060600);
	assert_int_equal(tl_vcpu_set_msr(guest_vcpu, MSR_IA32_KERNEL_GS_BASE, 0x1234), TL_OK);
	assert_int_equal(cpu_msr[4], 0x1234);
	assert_int_equal(tl_vcpu_get_msr(guest_vcpu, MSR_IA32_KERNEL_GS_BASE, &value), TL_OK);
	assert_int_equal(value, 0x1234);
	/* What would be #GP(0). */
	assert_int_equal(tl_vcpu_set_msr(guest_vcpu, MSR_IA32_PAT, 2), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_vcpu_set_msr(guest_vcpu, 0xfe, 0), TL_INVALID_ARGUMENT);
	assert_int_equal(tl_vcpu_get_msr(guest_vcpu, 0x12345, &value), TL_INVALID_ARGUMENT);
	assert_int_equal(guest_vcpu->msr_pat, 0x0606060606060600);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
}

/* ---- Vectors ----------------------------------------------------------------------------------------------------- */

static void put(uint8_t *area, unsigned at, uint64_t value, unsigned size)
{
	memcpy(area + at, &value, size);
}

static void has_avx(void)
{
	vmx_capability.xsave = true;
	vmx_capability.xcr0 = 7;
}

static void an_area_comes_back(void **state)
{
	uint8_t area[AREA_BYTES], again[AREA_BYTES];
	uint64_t xcr0;

	(void)state;
	has_avx();
	assert_int_equal(tl_xstate_size(), AREA_BYTES);
	for (unsigned i = 0; i < AREA_BYTES; i++)
		area[i] = (uint8_t)(i * 7);
	put(area, MXCSR_AT, 0x1f80, 4);
	memset(area + HEADER_AT, 0, 64);
	put(area, HEADER_AT, 7, 8);
	assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, 7, area), TL_OK);
	assert_int_equal(tl_vcpu_get_xstate(guest_vcpu, &xcr0, again), TL_OK);
	assert_int_equal(xcr0, 7);
	assert_memory_equal(area, again, AREA_BYTES);
}

/* XRSTOR of the host would fault. */
static void an_area_that_no_cpu_loads(void **state)
{
	static const struct {
		uint64_t xcr0;
		unsigned at, size;
		uint64_t value;
	} bad[] = {
		{5, 0, 1, 0}, /* AVX without SSE */
		{6, 0, 1, 0}, /* without x87 */
		{15, 0, 1, 0},
		{7, MXCSR_AT, 4, 0x10000},
		{7, HEADER_AT, 8, 8},
		{7, HEADER_AT + 8, 8, 1ull << 63}, /* compacted */
		{7, HEADER_AT + 16, 8, 1},
		{7, HEADER_AT + 56, 8, 1},
	};
	uint8_t area[AREA_BYTES] = {0}, before[AREA_BYTES], now[AREA_BYTES];
	uint64_t xcr0;

	(void)state;
	has_avx();
	put(area, MXCSR_AT, 0x1f80, 4);
	put(area, HEADER_AT, 3, 8);
	assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, 3, area), TL_OK);
	assert_int_equal(tl_vcpu_get_xstate(guest_vcpu, &xcr0, before), TL_OK);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(area, 0, sizeof(area));
		put(area, bad[i].at, bad[i].value, bad[i].size);
		assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, bad[i].xcr0, area), TL_INVALID_ARGUMENT);
		assert_int_equal(tl_vcpu_get_xstate(guest_vcpu, &xcr0, now), TL_OK);
		assert_int_equal(xcr0, 3);
		assert_memory_equal(before, now, AREA_BYTES);
	}
}

/* Of FXSAVE there is no header, and XCR0 is none. */
static void without_xsave(void **state)
{
	uint8_t area[512] = {0};

	(void)state;
	assert_int_equal(tl_xstate_size(), 512);
	assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, 3, area), TL_INVALID_ARGUMENT);
	put(area, MXCSR_AT, 0x40, 4); /* denormals are zeros: not of a CPU whose mask is 0 */
	assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, 1, area), TL_INVALID_ARGUMENT);
	put(area, MXCSR_AT, 0x1fbf, 4);
	assert_int_equal(tl_vcpu_set_xstate(guest_vcpu, 1, area), TL_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(all_of_it_comes_back),
		TEST(what_has_been_delivered_is_over),
		TEST(what_was_to_be_completed_is_forgotten),
		TEST(cr3_brings_its_pdptes),
		TEST(each_msr_can_be_put_back),
		TEST(msrs_are_the_guests),
		TEST(an_area_comes_back),
		TEST(an_area_that_no_cpu_loads),
		TEST(without_xsave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
