/* SPDX-License-Identifier: MIT */
/* A local APIC that the CPU serves in part: controls, what is pending, the threshold, its exits. */
#include "tests/unit/apic_vcpu.h"

static enum vcpu_action exit_for(uint32_t reason, uint64_t qualification)
{
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	return vcpu_exit(guest_vcpu);
}

static uint64_t apic_controls(void)
{
	return field(VMCS_PROC2_CONTROLS) & PROC2_APIC;
}

/* ---- Controls ---------------------------------------------------------------------------------------------------- */

static void a_cpu_without_it_serves_nothing(void **state)
{
	(void)state;
	vmx_controls.tpr_shadow = false;
	assert_int_equal(tl_apic_features(), 0);
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, &apic_offer), TL_UNSUPPORTED);
	assert_int_equal(field(VMCS_PROC_CONTROLS) & (CR8_EXITS | PROC_USE_TPR_SHADOW), CR8_EXITS);
}

/* Who has no interrupts to give has no use for it. */
static void it_takes_a_processor(void **state)
{
	(void)state;
	vmx_controls.tpr_shadow = true;
	tl_vcpu_set_processor(guest_vcpu, NULL);
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, &apic_offer), TL_INVALID_ARGUMENT);
}

static void cr8_is_the_cpus_for_as_long_as_there_is_one(void **state)
{
	(void)state;
	apic_offer_to(&(struct vmx_controls){0});
	assert_int_equal(tl_apic_features(), TL_APIC_TPR);
	assert_int_equal(field(VMCS_PROC_CONTROLS), PROC_USE_TPR_SHADOW | PROC_HLT_EXITING);
	assert_int_equal(field(VMCS_VIRTUAL_APIC_ADDRESS), host_to_phys(registers));
	apic_go(TL_APIC_XAPIC);
	assert_int_equal(apic_controls(), 0);
	assert_int_equal(tl_vcpu_set_apic(guest_vcpu, NULL), TL_OK);
	assert_int_equal(field(VMCS_PROC_CONTROLS), CR8_EXITS | PROC_HLT_EXITING);
}

static void each_mode_has_its_controls(void **state)
{
	uint64_t deliver = PROC2_VIRTUAL_INTERRUPT_DELIVERY | PROC2_APIC_REGISTER_VIRTUALIZATION, plain;

	(void)state;
	apic_offer_to(&(struct vmx_controls){
		.apic_accesses = true, .x2apic_mode = true, .virtual_interrupts = true, .apic_registers = true});
	assert_int_equal(tl_apic_features(),
			 TL_APIC_TPR | TL_APIC_ACCESSES | TL_APIC_MSRS | TL_APIC_INTERRUPTS | TL_APIC_REGISTERS);
	assert_int_equal(field(VMCS_APIC_ACCESS_ADDRESS), host_to_phys(access_page));
	plain = field(VMCS_MSR_BITMAPS);
	assert_int_equal(apic_controls(), 0);
	apic_go(TL_APIC_XAPIC);
	assert_int_equal(apic_controls(), deliver | PROC2_VIRTUALIZE_APIC_ACCESSES);
	assert_int_equal(field(VMCS_MSR_BITMAPS), plain);
	apic_go(TL_APIC_X2APIC);
	assert_int_equal(apic_controls(), deliver | PROC2_VIRTUALIZE_X2APIC_MODE);
	assert_int_equal(field(VMCS_MSR_BITMAPS), plain + PAGE_SIZE);
	apic_go(TL_APIC_OFF);
	assert_int_equal(apic_controls(), 0);
	assert_int_equal(field(VMCS_MSR_BITMAPS), plain);
}

static void what_the_cpu_lacks_is_left_out(void **state)
{
	(void)state;
	apic_offer_to(&(struct vmx_controls){.virtual_interrupts = true});
	apic_go(TL_APIC_XAPIC);
	assert_int_equal(apic_controls(), PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	apic_go(TL_APIC_X2APIC);
	assert_int_equal(apic_controls(), PROC2_VIRTUAL_INTERRUPT_DELIVERY);
}

/* ---- The TPR's threshold ----------------------------------------------------------------------------------------- */

/* An exit when the guest lowers its TPR below the priority of what waits; none where something else holds it. */
static void what_the_tpr_holds_back_sets_the_threshold(void **state)
{
	(void)state;
	apic_offer_to(&(struct vmx_controls){.x2apic_mode = true});
	apic_go(TL_APIC_X2APIC);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 0);
	held = 0x63;
	tl_vcpu_interrupt(guest_vcpu);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 6);
	/* The exit: it can be taken now. */
	held = NONE;
	requested = 0x63;
	assert_int_equal(exit_for(EXIT_REASON_TPR_BELOW_THRESHOLD, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | 0x63);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 0);
}

/* Entry refuses a threshold above a TPR that is not virtualized in memory: nothing of another mode stays. */
static void a_mode_begins_without_a_threshold(void **state)
{
	(void)state;
	apic_offer_to(&(struct vmx_controls){.apic_accesses = true, .x2apic_mode = true});
	apic_go(TL_APIC_XAPIC);
	held = 0x93;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 9);
	assert_int_equal(tl_vcpu_set_apic_mode(guest_vcpu, TL_APIC_X2APIC, 0), TL_OK);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 0);
}

/* ---- Virtual-interrupt delivery ---------------------------------------------------------------------------------- */

static void rvi_and_svi_are_the_highest_of_the_page(void **state)
{
	(void)state;
	apic_deliver();
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), 0);
	set_bit(ISR, 0x41);
	set_bit(ISR, 0x85);
	set_bit(IRR, 0x32);
	sent = 0xff;
	tl_vcpu_interrupt(guest_vcpu);
	assert_int_equal(vcpu_before_entry(guest_vcpu), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), 0x85ff);
	/* Nothing goes by the entry, and nothing is acknowledged. */
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID, 0);
	assert_int_equal(acknowledged, 0);
	assert_int_equal(field(VMCS_TPR_THRESHOLD), 0);
	/* Nothing is remembered: the page is what counts, whoever put it there. */
	memset(registers, 0, PAGE_SIZE);
	set_bit(IRR, 0x20);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), 0x20);
}

static void level_triggered_ones_end_in_an_exit(void **state)
{
	(void)state;
	apic_deliver();
	set_bit(TMR, 0x31);
	set_bit(TMR, 0x5f);
	set_bit(TMR, 0xc0);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_EOI_EXIT_BITMAP_0), 1ull << 0x31);
	assert_int_equal(field(VMCS_EOI_EXIT_BITMAP_1), 1ull << (0x5f - 64));
	assert_int_equal(field(VMCS_EOI_EXIT_BITMAP_2), 0);
	assert_int_equal(field(VMCS_EOI_EXIT_BITMAP_3), 1);
	assert_int_equal(exit_for(EXIT_REASON_VIRTUALIZED_EOI, 0x31), VCPU_RESUME);
	assert_int_equal(end_count, 1);
	assert_int_equal(ended_vector, 0x31);
	/* As an edge it is taken again. */
	registers[(TMR + 16) / 4] = 0;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_EOI_EXIT_BITMAP_0), 0);
}

/* What the PICs have goes by the entry, and its window keeps the CPU from delivering what comes after it. */
static void an_external_interrupt_goes_by_the_entry(void **state)
{
	(void)state;
	apic_deliver();
	set_bit(IRR, 0x51);
	from_pic = 0x08;
	set_field(VMCS_GUEST_RFLAGS, 2);
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(acknowledged, 0);
	assert_true(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
	assert_int_equal(exit_for(EXIT_REASON_INTERRUPT_WINDOW, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | 0x08);
	assert_false(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), 0x51);
}

static void without_an_apic_on_the_entry_delivers(void **state)
{
	(void)state;
	apic_deliver();
	apic_go(TL_APIC_OFF);
	collected = 0;
	requested = 0x31;
	assert_int_equal(exit_for(EXIT_REASON_EXTERNAL_INTERRUPT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), EVENT_INFO_VALID | 0x31);
	assert_int_equal(collected, 0);
}

static void a_halt_ends_by_what_the_cpu_would_deliver(void **state)
{
	(void)state;
	apic_deliver();
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
	assert_int_equal(exit_for(EXIT_REASON_HLT, 0), VCPU_LEAVE);
	requested = 0x44;
	sent = 0x44;
	assert_int_equal(exit_for(EXIT_REASON_HLT, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_GUEST_INTERRUPT_STATUS), 0x44);
}

static void a_write_is_told_of_with_its_register(void **state)
{
	(void)state;
	apic_deliver();
	set_field(VMCS_GUEST_RIP, CODE + 7);
	assert_int_equal(exit_for(EXIT_REASON_APIC_WRITE, 0x300), VCPU_RESUME);
	assert_int_equal(wrote, 1);
	assert_int_equal(wrote_at, 0x300);
	/* The instruction is over already. */
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, apic_start, apic_stop)
	const struct CMUnitTest tests[] = {
		TEST(a_cpu_without_it_serves_nothing),
		TEST(it_takes_a_processor),
		TEST(cr8_is_the_cpus_for_as_long_as_there_is_one),
		TEST(each_mode_has_its_controls),
		TEST(what_the_cpu_lacks_is_left_out),
		TEST(what_the_tpr_holds_back_sets_the_threshold),
		TEST(a_mode_begins_without_a_threshold),
		TEST(rvi_and_svi_are_the_highest_of_the_page),
		TEST(level_triggered_ones_end_in_an_exit),
		TEST(an_external_interrupt_goes_by_the_entry),
		TEST(without_an_apic_on_the_entry_delivers),
		TEST(a_halt_ends_by_what_the_cpu_would_deliver),
		TEST(a_write_is_told_of_with_its_register),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
