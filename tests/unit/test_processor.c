/* SPDX-License-Identifier: MIT */
/* A processor of the embedder's: its interrupts, MSRs, CPUID and CR8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/vcpu_fixture.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include <string.h>

enum { NO_VECTOR = -1, APIC_BASE = 0x1b, TEST_MSR = 0x4d0 };

static int requested; /* the vector of the highest interrupt that can be delivered */
static int behind_it; /* of what can be delivered when that one is in service */
static unsigned acknowledged;
static uint64_t stored;
static uint8_t cr8;

static int acknowledge(struct tl_vcpu *vcpu)
{
	int vector = requested;

	assert_ptr_equal(vcpu, guest_vcpu);
	acknowledged++;
	requested = behind_it;
	behind_it = NO_VECTOR;
	return vector;
}

static bool pending(struct tl_vcpu *vcpu)
{
	assert_ptr_equal(vcpu, guest_vcpu);
	return requested != NO_VECTOR;
}

static bool read_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	(void)vcpu;
	*value = stored;
	return msr == TEST_MSR || msr == APIC_BASE;
}

static bool write_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value)
{
	(void)vcpu;
	stored = value;
	return msr == TEST_MSR;
}

static void change_cpuid(struct tl_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct tl_cpuid *out)
{
	(void)vcpu;
	if (leaf == 1)
		out->edx |= 1u << 9;
	if (leaf == 0xb)
		*out = (struct tl_cpuid){.eax = subleaf, .edx = 3};
}

static uint8_t get_cr8(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return cr8;
}

static void put_cr8(struct tl_vcpu *vcpu, uint8_t value)
{
	(void)vcpu;
	cr8 = value;
}

static const struct tl_processor processor = {.acknowledge = acknowledge,
					      .pending = pending,
					      .read_msr = read_msr,
					      .write_msr = write_msr,
					      .cpuid = change_cpuid,
					      .read_cr8 = get_cr8,
					      .write_cr8 = put_cr8};

static int start(void **state)
{
	vcpu_start(state);
	requested = behind_it = NO_VECTOR;
	acknowledged = 0;
	stored = 0x1234567890;
	cr8 = 0;
	tl_vcpu_set_processor(guest_vcpu, &processor);
	return 0;
}

static enum vcpu_action exit_for(uint32_t reason)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	return vcpu_exit(guest_vcpu);
}

static void expect_interrupt(unsigned vector)
{
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | vector);
}

static void expect_no_event(void)
{
	assert_false(field(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID);
}

static bool window_is_open(void)
{
	return field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING;
}

/* A kick from another CPU is an external interrupt. */
static void an_interrupt_is_taken_at_the_kick(void **state)
{
	(void)state;
	requested = 0x31;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_interrupt(0x31);
	assert_int_equal(acknowledged, 1);
	assert_false(window_is_open());
	/* Nothing more: it is not even asked for a vector. */
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_no_event();
	assert_int_equal(acknowledged, 1);
}

static void one_that_is_masked_waits_for_its_window(void **state)
{
	(void)state;
	requested = 0x31;
	set_field(VMCS_GUEST_RFLAGS, 2);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_no_event();
	assert_int_equal(acknowledged, 0);
	assert_true(window_is_open());
	/* By then it is another one. */
	requested = 0x51;
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
	assert_int_equal(exit_for(EXIT_REASON_INTERRUPT_WINDOW), VCPU_RESUME);
	expect_interrupt(0x51);
	assert_false(window_is_open());
}

static void a_shadow_and_a_window_that_nobody_needs_any_more(void **state)
{
	(void)state;
	requested = 0x31;
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_no_event();
	assert_true(window_is_open());
	requested = NO_VECTOR;
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(exit_for(EXIT_REASON_INTERRUPT_WINDOW), VCPU_RESUME);
	expect_no_event();
	assert_false(window_is_open());
}

/* The first is in service; what could interrupt that one is asked for when it can be taken. */
static void two_of_them_come_one_after_the_other(void **state)
{
	(void)state;
	requested = 0x31;
	behind_it = 0x91;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_interrupt(0x31);
	assert_true(window_is_open());
	assert_int_equal(exit_for(EXIT_REASON_INTERRUPT_WINDOW), VCPU_RESUME);
	expect_interrupt(0x91);
	assert_false(window_is_open());
}

/* One that an exit interrupted on its way is delivered again, and not acknowledged twice. */
static void an_interrupted_delivery_goes_first(void **state)
{
	(void)state;
	requested = 0x51;
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | 0x31);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_interrupt(0x31);
	assert_int_equal(acknowledged, 0);
	assert_true(window_is_open());
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	assert_int_equal(exit_for(EXIT_REASON_INTERRUPT_WINDOW), VCPU_RESUME);
	expect_interrupt(0x51);
}

static void a_queued_event_goes_before_it(void **state)
{
	(void)state;
	requested = 0x51;
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &(struct tl_event){.type = TL_EVENT_NMI, .vector = 2}), TL_OK);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_injected(2);
	assert_int_equal(acknowledged, 0);
	assert_true(window_is_open());
}

static void request_by_a_write(struct tl_mmio *access)
{
	requested = 0x61;
	tl_vcpu_interrupt(access->vcpu);
}

/* A device that makes an interrupt deliverable: it comes after the instruction, without an exit. */
static void a_callback_interrupts_its_own_vcpu(void **state)
{
	static const uint8_t store[] = {0x89, 0x07}; /* mov [rdi], eax */

	(void)state;
	put_code(CODE, store, sizeof(store));
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	device_log.on_access = request_by_a_write;
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 2);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(store));
	expect_interrupt(0x61);
	assert_int_equal(hosted.nr_kicks, 0);
}

static void request_by_the_third(struct tl_mmio *access)
{
	if (device_log.count == 3)
		request_by_a_write(access);
}

/* Between two elements of a REP, at once: it goes on at the same place when the handler has returned. */
static void a_callback_interrupts_a_rep(void **state)
{
	static const uint8_t fill[] = {0xf3, 0xab}; /* rep stosd */

	(void)state;
	put_code(CODE, fill, sizeof(fill));
	guest_vcpu->gpr[TL_RCX] = 10;
	device_log.on_access = request_by_the_third;
	/* The first touches of the page are violations. */
	for (unsigned i = 0; i < 3 && device_log.count < 3; i++)
		assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(device_log.count, 3);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 7);
	assert_int_equal(guest_vcpu->gpr[TL_RDI], DEVICE_LINEAR + 12);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	expect_interrupt(0x61);
}

/* Nothing is delivered between a MOV to SS and the instruction behind it (SDM vol. 3, 7.8.3). */
static void a_load_of_ss_from_a_device_keeps_it_off(void **state)
{
	static const uint8_t load[] = {0x8e, 0x17}; /* mov ss, [rdi] */

	(void)state;
	put_code(CODE, load, sizeof(load));
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	device_log.on_access = request_by_a_write;
	device_log.answer = 0;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + sizeof(load));
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_MOV_SS);
	expect_no_event();
	assert_true(window_is_open());
}

/* From another CPU: a kick, or none where the vCPU does not run; then the next tl_vcpu_run() asks. */
static void another_cpu_interrupts_it(void **state)
{
	(void)state;
	hosted_cpu = 1;
	tl_vcpu_interrupt(guest_vcpu);
	assert_int_equal(hosted.nr_kicks, 1);
	assert_int_equal(hosted.kicked[0], 0);
	hosted_cpu = 0;
	grace_leave(&guest_vcpu->reader, 0);
	hosted_cpu = 1;
	tl_vcpu_interrupt(guest_vcpu);
	assert_int_equal(hosted.nr_kicks, 1);
	hosted_cpu = 0;
	grace_enter(&guest_vcpu->reader, 0);
}

static void hlt_ends_at_once_where_one_waits(void **state)
{
	(void)state;
	assert_int_equal(exit_for(EXIT_REASON_HLT), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_HLT);
	requested = 0x31;
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	assert_int_equal(exit_for(EXIT_REASON_HLT), VCPU_RESUME);
	expect_interrupt(0x31);
	/* Masked, it does not end it. */
	requested = 0x41;
	set_field(VMCS_GUEST_RFLAGS, 2);
	assert_int_equal(exit_for(EXIT_REASON_HLT), VCPU_LEAVE);
	assert_int_equal(acknowledged, 1);
}

static void without_one_nothing_is_asked(void **state)
{
	(void)state;
	tl_vcpu_set_processor(guest_vcpu, NULL);
	requested = 0x31;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT), VCPU_RESUME);
	expect_no_event();
	guest_vcpu->gpr[TL_RCX] = TEST_MSR;
	assert_int_equal(exit_for(EXIT_REASON_RDMSR), VCPU_RESUME);
	expect_injected(VECTOR_GP);
}

static void msrs_that_are_the_embedders(void **state)
{
	(void)state;
	guest_vcpu->gpr[TL_RCX] = TEST_MSR;
	assert_int_equal(exit_for(EXIT_REASON_RDMSR), VCPU_RESUME);
	expect_no_event();
	assert_int_equal(guest_vcpu->gpr[TL_RAX], 0x34567890);
	assert_int_equal(guest_vcpu->gpr[TL_RDX], 0x12);
	guest_vcpu->gpr[TL_RAX] = 0xffffffff00000007;
	assert_int_equal(exit_for(EXIT_REASON_WRMSR), VCPU_RESUME);
	expect_no_event();
	assert_int_equal(stored, 0x1200000007);
	guest_vcpu->gpr[TL_RCX] = TEST_MSR + 1;
	assert_int_equal(exit_for(EXIT_REASON_RDMSR), VCPU_RESUME);
	expect_injected(VECTOR_GP);
	assert_int_equal(exit_for(EXIT_REASON_WRMSR), VCPU_RESUME);
	expect_injected(VECTOR_GP);
	guest_vcpu->gpr[TL_RCX] = APIC_BASE;
	assert_int_equal(exit_for(EXIT_REASON_RDMSR), VCPU_RESUME);
	assert_int_equal(guest_vcpu->gpr[TL_RAX], 7);
}

static void cpuid_that_is_changed(void **state)
{
	(void)state;
	guest_vcpu->gpr[TL_RAX] = 1;
	assert_int_equal(exit_for(EXIT_REASON_CPUID), VCPU_RESUME);
	assert_true(guest_vcpu->gpr[TL_RDX] & 1 << 9);
	guest_vcpu->gpr[TL_RAX] = 0xb;
	guest_vcpu->gpr[TL_RCX] = 1;
	assert_int_equal(exit_for(EXIT_REASON_CPUID), VCPU_RESUME);
	assert_int_equal(guest_vcpu->gpr[TL_RAX], 1);
	assert_int_equal(guest_vcpu->gpr[TL_RDX], 3);
}

static void cr8_that_is_the_embedders(void **state)
{
	(void)state;
	guest_vcpu->gpr[TL_RCX] = 9;
	set_field(VMCS_EXIT_QUALIFICATION, 8 | 1 << 8);
	assert_int_equal(exit_for(EXIT_REASON_CR_ACCESS), VCPU_RESUME);
	assert_int_equal(cr8, 9);
	cr8 = 5;
	set_field(VMCS_EXIT_QUALIFICATION, 8 | 1 << 4 | 1 << 8);
	assert_int_equal(exit_for(EXIT_REASON_CR_ACCESS), VCPU_RESUME);
	assert_int_equal(guest_vcpu->gpr[TL_RCX], 5);
	guest_vcpu->gpr[TL_RCX] = 16;
	set_field(VMCS_EXIT_QUALIFICATION, 8 | 1 << 8);
	assert_int_equal(exit_for(EXIT_REASON_CR_ACCESS), VCPU_RESUME);
	expect_injected(VECTOR_GP);
	assert_int_equal(cr8, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, vcpu_stop)
	const struct CMUnitTest tests[] = {
		TEST(an_interrupt_is_taken_at_the_kick),
		TEST(one_that_is_masked_waits_for_its_window),
		TEST(a_shadow_and_a_window_that_nobody_needs_any_more),
		TEST(two_of_them_come_one_after_the_other),
		TEST(an_interrupted_delivery_goes_first),
		TEST(a_queued_event_goes_before_it),
		TEST(a_callback_interrupts_its_own_vcpu),
		TEST(a_callback_interrupts_a_rep),
		TEST(a_load_of_ss_from_a_device_keeps_it_off),
		TEST(another_cpu_interrupts_it),
		TEST(hlt_ends_at_once_where_one_waits),
		TEST(without_one_nothing_is_asked),
		TEST(msrs_that_are_the_embedders),
		TEST(cpuid_that_is_changed),
		TEST(cr8_that_is_the_embedders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
