/* SPDX-License-Identifier: MIT */
/*
 * An exit on the way of a virtual interrupt, whose stack or IDT is not there (SDM vol. 3, 28.2.4 and 30.2.2): it is in
 * service by then, and is delivered by the next entry, once.
 */
#include "tests/unit/apic_vcpu.h"
#include "tests/unit/virtual_cpu.h"

enum { VECTOR = 0x61, LOWER = 0x45, STACK = 40 * 4096 };

static struct virtual_cpu cpu;

static int start(void **state)
{
	apic_start(state);
	apic_deliver();
	cpu = (struct virtual_cpu){.page = registers};
	return 0;
}

/* The CPU takes VECTOR, with LOWER still to come, and says so in the IDT-vectoring information. */
static void begin_delivery(void)
{
	virtual_cpu_request(&cpu, LOWER);
	virtual_cpu_request(&cpu, VECTOR);
	assert_int_equal(virtual_cpu_deliver(&cpu), VECTOR);
	set_field(VMCS_GUEST_INTERRUPT_STATUS, (uint64_t)cpu.svi << 8 | cpu.rvi);
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | VECTOR);
}

static void expect_delivered_again(void)
{
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | VECTOR);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), VECTOR << 8 | LOWER);
	assert_int_equal(virtual_cpu_highest(&cpu, IRR), LOWER);
	assert_int_equal(virtual_cpu_highest(&cpu, ISR), VECTOR);
	assert_int_equal(acknowledged, 0);
}

/* The entry, which delivers it, and the guest's EOI. */
static void enter_and_end(void)
{
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	set_field(VMCS_IDT_VECTORING_INFORMATION, 0);
	cpu.rvi = (uint8_t)field(VMCS_GUEST_INTERRUPT_STATUS);
	cpu.svi = (uint8_t)(field(VMCS_GUEST_INTERRUPT_STATUS) >> 8);
	/* Of a lower priority than what is in service. */
	assert_int_equal(virtual_cpu_deliver(&cpu), VIRTUAL_NO_VECTOR);
	virtual_cpu_end(&cpu);
	assert_int_equal(virtual_cpu_deliver(&cpu), LOWER);
}

static void memory_that_is_not_mapped_yet_is_mapped(void **state)
{
	(void)state;
	begin_delivery();
	assert_int_equal(exit_at(STACK), VCPU_RESUME);
	expect_delivered_again();
	/* The stack lies across two pages: the same once more. */
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	assert_int_equal(exit_at(STACK + 4096), VCPU_RESUME);
	expect_delivered_again();
	enter_and_end();
}

/* Also where everything is asked anew before the entry. */
static void a_question_before_the_entry_changes_nothing(void **state)
{
	(void)state;
	begin_delivery();
	from_pic = 0x08;
	tl_vcpu_interrupt(guest_vcpu);
	assert_int_equal(exit_at(STACK), VCPU_RESUME);
	expect_delivered_again();
	/* What the PICs have comes behind it. */
	assert_true(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	enter_and_end();
}

static void expect_stopped(enum vcpu_action action)
{
	assert_int_equal(action, VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_STOPPED);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_EVENT);
	/* Whoever looks at the vCPU sees it on its way. */
	expect_delivered_again();
}

static void a_stack_in_a_device_stops_the_guest(void **state)
{
	(void)state;
	/* The first time a violation, since there is no entry yet, then a misconfiguration. */
	for (unsigned i = 0; i < 2; i++) {
		memset(registers, 0, PAGE_SIZE);
		cpu.rvi = cpu.svi = 0;
		begin_delivery();
		set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
		expect_stopped(exit_at(DEVICE_LINEAR));
		assert_int_equal(field(VMCS_EXIT_REASON),
				 i ? EXIT_REASON_EPT_MISCONFIGURATION : EXIT_REASON_EPT_VIOLATION);
	}
	assert_int_equal(device_log.count, 0);
}

static void a_stack_in_the_apics_page_as_well(void **state)
{
	(void)state;
	begin_delivery();
	set_field(VMCS_EXIT_REASON, EXIT_REASON_APIC_ACCESS);
	set_field(VMCS_EXIT_QUALIFICATION, 3ull << 12 | 0x2f8);
	expect_stopped(take_exit());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, apic_stop)
	const struct CMUnitTest tests[] = {
		TEST(memory_that_is_not_mapped_yet_is_mapped),
		TEST(a_question_before_the_entry_changes_nothing),
		TEST(a_stack_in_a_device_stops_the_guest),
		TEST(a_stack_in_the_apics_page_as_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
