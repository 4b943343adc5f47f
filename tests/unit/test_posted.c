/* SPDX-License-Identifier: MIT */
/* Interrupts that other CPUs post to a vCPU: who is notified, when they are collected, and what the VMCS has for them.
 */
#include "tests/unit/apic_vcpu.h"
#include "tests/unit/virtual_cpu.h"
#include "vmx/posted.h"

enum { OTHER_CPU = 1, VECTOR = 0x61, HIGHER = 0xd5 };

static struct tl_posted *descriptor;

static int start(void **state)
{
	apic_start(state);
	descriptor = page_alloc(1);
	apic_offer.posted = descriptor;
	apic_offer_to(&(struct vmx_controls){
		.apic_accesses = true, .x2apic_mode = true, .virtual_interrupts = true, .posted_interrupts = true});
	apic_go(TL_APIC_XAPIC);
	return 0;
}

static int stop(void **state)
{
	page_free(descriptor, 1);
	return apic_stop(state);
}

static void post_from_another(unsigned vector)
{
	hosted_cpu = OTHER_CPU;
	tl_vcpu_post(guest_vcpu, (uint8_t)vector);
	hosted_cpu = 0;
}

static bool is_requested(unsigned vector)
{
	return registers[(IRR + vector / 32 * 16) / 4] >> vector % 32 & 1;
}

static bool is_posted(unsigned vector)
{
	return descriptor->requests[vector / 64] >> vector % 64 & 1;
}

static enum vcpu_action exit_for(uint32_t reason, uint64_t interruption)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_INTERRUPTION_INFORMATION, interruption);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	return take_exit();
}

static enum vcpu_action interrupted_by(unsigned vector)
{
	return exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, EVENT_INFO_VALID | vector);
}

/* ---- Controls ---------------------------------------------------------------------------------------------------- */

static bool posts(void)
{
	bool posts = field(VMCS_PIN_CONTROLS) & PIN_POSTED_INTERRUPTS;

	/* One asks for the other (SDM vol. 3, 27.2.1.1). */
	assert_int_equal(posts, !!(field(VMCS_EXIT_CONTROLS) & VM_EXIT_ACKNOWLEDGE_INTERRUPT));
	assert_true(!posts || field(VMCS_PROC2_CONTROLS) & PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	return posts;
}

static void are_used_while_the_apic_is_on(void **state)
{
	(void)state;
	assert_true(tl_apic_features() & TL_APIC_POSTED);
	assert_true(posts());
	assert_int_equal(field(VMCS_POSTED_INTERRUPT_VECTOR), HOSTED_NOTIFICATION);
	assert_int_equal(field(VMCS_POSTED_INTERRUPT_DESCRIPTOR), host_to_phys(descriptor));
	apic_go(TL_APIC_X2APIC);
	assert_true(posts());
	apic_go(TL_APIC_OFF);
	assert_false(posts());
	apic_go(TL_APIC_XAPIC);
	assert_true(posts());
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, NULL), TL_OK);
	assert_false(posts());
}

static void are_not_without_a_descriptor(void **state)
{
	struct tl_apic without = apic_offer;

	(void)state;
	without.posted = NULL;
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, &without), TL_OK);
	assert_int_equal(tl_vcpu_set_apic_mode(guest_vcpu, TL_APIC_XAPIC, APIC_AT), TL_OK);
	assert_false(posts());
	assert_true(field(VMCS_PROC2_CONTROLS) & PROC2_VIRTUAL_INTERRUPT_DELIVERY);
}

/* A budget and a step have controls of their own in the same fields. */
static void other_controls_leave_them_alone(void **state)
{
	(void)state;
	vmx_controls.preemption_timer = true;
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 1000), TL_OK);
	assert_true(posts());
	apic_go(TL_APIC_OFF);
	assert_true(field(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	apic_go(TL_APIC_XAPIC);
	assert_int_equal(tl_vcpu_set_budget(guest_vcpu, 0), TL_OK);
	assert_true(posts());
}

/* ---- Who posts --------------------------------------------------------------------------------------------------- */

/* Rule 14. */
static void the_first_one_notifies(void **state)
{
	(void)state;
	post_from_another(VECTOR);
	assert_true(is_posted(VECTOR));
	assert_int_equal(descriptor->control, POSTED_ON);
	assert_int_equal(hosted.nr_notifications, 1);
	assert_int_equal(hosted.notified[0], 0);
	post_from_another(HIGHER);
	post_from_another(VECTOR);
	assert_true(is_posted(HIGHER));
	assert_int_equal(hosted.nr_notifications, 1);
	assert_int_equal(hosted.nr_kicks, 0);
}

/* No exit looks at it that is served with the host's interrupts off: the CPU takes it at the entry. */
static void a_fast_exit_leaves_them_to_the_cpu(void **state)
{
	(void)state;
	post_from_another(VECTOR);
	collected = 0;
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 3);
	guest_vcpu->gpr[TL_RAX] = 0;
	assert_int_equal(exit_for(EXIT_REASON_VMCALL, 0), VCPU_RESUME);
	assert_int_equal(collected, 0);
	assert_true(is_posted(VECTOR));
	assert_int_equal(descriptor->control, POSTED_ON);
}

/* Who runs collects before its first entry, wherever that is; nobody has to be notified. */
static void one_that_does_not_run_collects_when_it_does(void **state)
{
	(void)state;
	grace_leave(&guest_vcpu->reader, 0);
	post_from_another(VECTOR);
	post_from_another(HIGHER);
	assert_int_equal(hosted.nr_notifications, 0);
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(event_attend(guest_vcpu), VCPU_RESUME);
	assert_true(is_requested(VECTOR) && is_requested(HIGHER));
	assert_false(is_posted(VECTOR) || is_posted(HIGHER));
	assert_int_equal(descriptor->control, 0);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), HIGHER);
	post_from_another(VECTOR);
	assert_int_equal(hosted.nr_notifications, 1);
}

/* The notification goes where the vCPU runs. */
static void the_cpu_that_it_runs_on_is_notified(void **state)
{
	(void)state;
	grace_leave(&guest_vcpu->reader, 0);
	grace_enter(&guest_vcpu->reader, 3);
	post_from_another(VECTOR);
	assert_int_equal(hosted.nr_notifications, 1);
	assert_int_equal(hosted.notified[0], 3);
	grace_leave(&guest_vcpu->reader, 3);
	grace_enter(&guest_vcpu->reader, 0);
}

/* In a callback: no interrupt between CPUs, and what others add meanwhile is collected with it. */
static void its_own_callback_posts_without_notifying(void **state)
{
	(void)state;
	tl_vcpu_post(guest_vcpu, VECTOR);
	assert_int_equal(descriptor->control, POSTED_ON);
	post_from_another(HIGHER);
	assert_int_equal(hosted.nr_notifications, 0);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_true(is_requested(VECTOR) && is_requested(HIGHER));
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), HIGHER);
	/* Also where others were first. */
	post_from_another(HIGHER);
	tl_vcpu_post(guest_vcpu, VECTOR + 1);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_true(is_requested(VECTOR + 1));
}

/* ---- Exits ------------------------------------------------------------------------------------------------------- */

/* Rule 16: the host's handler has it, acknowledged as it is; and whatever it was, what is posted is collected. */
static void an_interrupt_of_the_hosts_is_handed_to_its_handler(void **state)
{
	unsigned long windows = mock_cpu.nr_windows;

	(void)state;
	post_from_another(VECTOR);
	assert_int_equal(interrupted_by(0x93), VCPU_RESUME);
	assert_int_equal(mock_cpu.nr_taken, 1);
	assert_int_equal(mock_cpu.taken, 0x93);
	assert_int_equal(mock_cpu.nr_windows, windows);
	assert_true(is_requested(VECTOR));
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), VECTOR);
	/* Without posted interrupts they are not acknowledged. */
	apic_go(TL_APIC_OFF);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(mock_cpu.nr_taken, 1);
	assert_int_equal(mock_cpu.nr_windows, windows + 1);
}

static void a_halt_ends_by_what_is_posted(void **state)
{
	(void)state;
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
	assert_int_equal(exit_for(EXIT_REASON_HLT, 0), VCPU_LEAVE);
	post_from_another(VECTOR);
	assert_int_equal(exit_for(EXIT_REASON_HLT, 0), VCPU_RESUME);
	assert_true(is_requested(VECTOR));
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), VECTOR);
}

/* What the CPU has processed by itself stays, as does what it has in service. */
static void what_the_cpu_has_processed_is_kept(void **state)
{
	struct virtual_cpu cpu = {.page = registers, .posted = descriptor};

	(void)state;
	post_from_another(HIGHER);
	virtual_cpu_notified(&cpu);
	assert_int_equal(cpu.rvi, HIGHER);
	assert_int_equal(virtual_cpu_deliver(&cpu), HIGHER);
	post_from_another(VECTOR);
	assert_int_equal(hosted.nr_notifications, 2);
	assert_int_equal(interrupted_by(0x93), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), HIGHER << 8 | VECTOR);
}

/* A step by TF delivers nothing, so that the CPU must not process anything: what notifies is a kick then. */
static void a_step_by_the_trap_flag_goes_without(void **state)
{
	(void)state;
	guest_vcpu->step.by_trap_flag = true;
	for (unsigned delivering = 0; delivering < 2; delivering++) {
		vmx_controls.preemption_timer = delivering;
		set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, delivering ? EVENT_INFO_VALID | 0x33 : 0);
		set_field(VMCS_PIN_CONTROLS, PIN_POSTED_INTERRUPTS | PIN_VIRTUAL_NMIS);
		step_lend(guest_vcpu);
		assert_int_equal(field(VMCS_PIN_CONTROLS), PIN_VIRTUAL_NMIS | (delivering ? PIN_PREEMPTION_TIMER : 0));
		set_field(VMCS_EXIT_REASON, EXIT_REASON_EXTERNAL_INTERRUPT);
		step_take_back(guest_vcpu);
		assert_int_equal(field(VMCS_PIN_CONTROLS), PIN_POSTED_INTERRUPTS | PIN_VIRTUAL_NMIS);
	}
	guest_vcpu->step.by_trap_flag = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(are_used_while_the_apic_is_on),
		TEST(are_not_without_a_descriptor),
		TEST(other_controls_leave_them_alone),
		TEST(the_first_one_notifies),
		TEST(a_fast_exit_leaves_them_to_the_cpu),
		TEST(one_that_does_not_run_collects_when_it_does),
		TEST(the_cpu_that_it_runs_on_is_notified),
		TEST(its_own_callback_posts_without_notifying),
		TEST(an_interrupt_of_the_hosts_is_handed_to_its_handler),
		TEST(a_halt_ends_by_what_is_posted),
		TEST(what_the_cpu_has_processed_is_kept),
		TEST(a_step_by_the_trap_flag_goes_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
