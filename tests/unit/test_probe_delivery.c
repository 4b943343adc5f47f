/* SPDX-License-Identifier: MIT */
/* Whether virtual interrupts wait for a guest that has interrupts off: what a run of the probe's guest ends in. */
#include "tests/unit/hosted.h"

#include "tests/unit/mock/vmx/asm.h"
#include "tests/unit/virtual_cpu.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/feature.h"
#include "vmx/probe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BITMAP_PAGES = 4 };

_Thread_local struct mock_cpu mock_cpu;
static unsigned nr_nmis, nr_interrupts, nr_runs;
static uint32_t ends_in;

/* What a CPU with posted interrupts does with the notification. */
static enum { PROCESSES, PROCESSES_NOTHING, EXITS, FORGETS_RVI, DELIVERS } notified;

static void let_out(uint32_t reason, uint64_t information)
{
	vmcs_write(VMCS_EXIT_REASON, reason);
	vmcs_write(VMCS_EXIT_INTERRUPTION_INFORMATION, information);
}

/* The second part's guest: nothing pending, one posted, its notification on its way. */
static void run_posted(void)
{
	struct tl_posted *posted = phys_to_host(vmcs_read(VMCS_POSTED_INTERRUPT_DESCRIPTOR));
	struct virtual_cpu cpu = {.page = phys_to_host(vmcs_read(VMCS_VIRTUAL_APIC_ADDRESS)), .posted = posted};
	bool waits = hosted.nr_notifications == 1 && !mock_cpu.nr_taken;

	assert_int_equal(hosted.notified[0], 0);
	assert_true(ALIGNED((uintptr_t)posted, 64));
	assert_int_equal(posted->control, 1);
	assert_int_equal(vmcs_read(VMCS_POSTED_INTERRUPT_VECTOR), HOSTED_NOTIFICATION);
	assert_true(vmcs_read(VMCS_EXIT_CONTROLS) & VM_EXIT_ACKNOWLEDGE_INTERRUPT);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS) | virtual_cpu_highest(&cpu, VIRTUAL_IRR), 0);
	let_out(notified == DELIVERS ? EXIT_REASON_TRIPLE_FAULT : EXIT_REASON_VMCALL, 0);
	if (notified == EXITS && waits) {
		let_out(EXIT_REASON_EXTERNAL_INTERRUPT, EVENT_INFO_VALID | HOSTED_NOTIFICATION);
	} else if (notified != EXITS && notified != PROCESSES_NOTHING) {
		virtual_cpu_notified(&cpu);
		vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, notified == FORGETS_RVI ? 0 : cpu.rvi);
	}
}

/* A guest with interrupts off, one pending, no IDT, and an interrupt of the host's on its way. */
enum vcpu_action vmx_run(struct tl_vcpu *vcpu)
{
	const uint32_t *page = phys_to_host(vmcs_read(VMCS_VIRTUAL_APIC_ADDRESS));

	(void)vcpu;
	nr_runs++;
	if (vmcs_read(VMCS_PIN_CONTROLS) & PIN_POSTED_INTERRUPTS) {
		run_posted();
		return VCPU_LEAVE;
	}
	assert_int_equal(hosted.nr_kicks, 1);
	assert_false(vmcs_read(VMCS_GUEST_RFLAGS) & RFLAGS_IF);
	assert_int_equal(vmcs_read(VMCS_GUEST_IDTR_LIMIT), 0);
	assert_int_equal(vmcs_read(VMCS_GUEST_INTERRUPT_STATUS), 0x41);
	assert_int_equal(page[(0x200 + 2 * 16) / 4], 2);
	assert_true(vmcs_read(VMCS_PROC_CONTROLS) & PROC_USE_TPR_SHADOW);
	assert_true(vmcs_read(VMCS_PROC2_CONTROLS) & PROC2_VIRTUAL_INTERRUPT_DELIVERY);
	if (nr_runs <= nr_nmis)
		let_out(EXIT_REASON_EXCEPTION_OR_NMI, EVENT_INFO_VALID | TL_EVENT_NMI << 8 | 2);
	else if (nr_runs <= nr_nmis + nr_interrupts)
		let_out(EXIT_REASON_EXTERNAL_INTERRUPT, 0);
	else
		let_out(ends_in, 0);
	return VCPU_LEAVE;
}

static int start(void **state)
{
	(void)state;
	hosted_start();
	memset(&mock_cpu, 0, sizeof(mock_cpu));
	vmx_cpu[0] = (struct vmx_cpu){.up = true};
	vmx_capability.physical_bits = 0;
	assert_int_equal(tl_features_trusted(0), TL_OK);
	vmx_capability.physical_bits = 39;
	vmx_controls = (struct vmx_controls){
		.tpr_shadow = true, .virtual_interrupts = true, .apic_registers = true, .unrestricted_guest = true};
	assert_int_equal(vmcs_bitmaps_create(), TL_OK);
	nr_nmis = nr_interrupts = nr_runs = 0;
	notified = PROCESSES;
	probe_set_delivery(PROBE_DELIVERY_UNKNOWN);
	return 0;
}

static uint32_t features_after(uint32_t reason)
{
	uint32_t features;

	ends_in = reason;
	features = tl_apic_features();
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);
	return features;
}

static void interrupts_of_the_hosts_are_all_that_comes(void **state)
{
	(void)state;
	nr_nmis = 1;
	nr_interrupts = 2;
	assert_int_equal(features_after(EXIT_REASON_VMCALL), TL_APIC_TPR | TL_APIC_INTERRUPTS | TL_APIC_REGISTERS);
	assert_int_equal(mock_cpu.nr_nmis, 1);
	/* Each is let in, as is what the kick has left pending; and what is known is not probed again. */
	assert_int_equal(mock_cpu.nr_windows, 3);
	tl_apic_features();
	assert_int_equal(nr_runs, 4);
}

/* As far as was looked: it is not looked for ever. */
static void interrupts_without_end_are_right_as_well(void **state)
{
	(void)state;
	assert_true(features_after(EXIT_REASON_EXTERNAL_INTERRUPT) & TL_APIC_INTERRUPTS);
}

static void a_delivery_behind_them_is_not(void **state)
{
	(void)state;
	nr_interrupts = 2;
	assert_int_equal(features_after(EXIT_REASON_TRIPLE_FAULT), TL_APIC_TPR);
	assert_int_equal(nr_runs, 3);
}

static void nothing_at_all_is_right_as_well(void **state)
{
	(void)state;
	assert_true(features_after(EXIT_REASON_VMCALL) & TL_APIC_INTERRUPTS);
}

static void a_delivery_is_not(void **state)
{
	(void)state;
	assert_int_equal(features_after(EXIT_REASON_TRIPLE_FAULT), TL_APIC_TPR);
	tl_apic_features();
	assert_int_equal(nr_runs, 1);
}

static void it_is_used_all_the_same_by_who_says_so(void **state)
{
	(void)state;
	vmx_capability.physical_bits = 0;
	assert_int_equal(tl_features_trusted(1u << TL_FEATURE_VIRTUAL_INTERRUPTS), TL_OK);
	assert_int_equal(tl_features_trusted(1u << TL_NR_FEATURES), TL_INVALID_ARGUMENT);
	vmx_capability.physical_bits = 39;
	assert_int_equal(tl_features_trusted(0), TL_INVALID_ARGUMENT);
	assert_true(features_after(EXIT_REASON_TRIPLE_FAULT) & TL_APIC_INTERRUPTS);
}

static void what_is_not_there_is_not_probed(void **state)
{
	(void)state;
	vmx_controls.virtual_interrupts = vmx_controls.apic_registers = false;
	assert_int_equal(features_after(EXIT_REASON_TRIPLE_FAULT), TL_APIC_TPR);
	assert_int_equal(nr_runs, 0);
}

/* ---- Posted interrupts ------------------------------------------------------------------------------------------- */

enum { OTHERS = TL_APIC_TPR | TL_APIC_INTERRUPTS | TL_APIC_REGISTERS };

static void are_used_where_the_cpu_processes_them(void **state)
{
	(void)state;
	vmx_controls.posted_interrupts = true;
	assert_int_equal(features_after(EXIT_REASON_VMCALL), OTHERS | TL_APIC_POSTED);
	assert_int_equal(nr_runs, 2);
	tl_apic_features();
	assert_int_equal(nr_runs, 2);
}

static void are_not_where_it_does_not(void **state)
{
	(void)state;
	for (notified = PROCESSES_NOTHING; notified <= DELIVERS; notified++) {
		probe_set_delivery(PROBE_DELIVERY_UNKNOWN);
		vmx_controls.posted_interrupts = true;
		mock_cpu.nr_taken = nr_runs = 0;
		hosted.nr_kicks = hosted.nr_notifications = 0;
		assert_int_equal(features_after(EXIT_REASON_VMCALL), OTHERS);
		/* One that exits was acknowledged: the host's handler has it. */
		assert_int_equal(mock_cpu.nr_taken, notified == EXITS);
		assert_true(notified != EXITS || mock_cpu.taken == HOSTED_NOTIFICATION);
	}
}

static void trust(uint32_t features)
{
	vmx_capability.physical_bits = 0;
	assert_int_equal(tl_features_trusted(features), TL_OK);
	vmx_capability.physical_bits = 39;
}

static void are_used_all_the_same_by_who_says_so(void **state)
{
	(void)state;
	trust(1u << TL_FEATURE_POSTED_INTERRUPTS);
	notified = PROCESSES_NOTHING;
	vmx_controls.posted_interrupts = true;
	assert_int_equal(features_after(EXIT_REASON_VMCALL), OTHERS | TL_APIC_POSTED);
}

/* Whoever trusts them. */
static void are_not_without_virtual_ones(void **state)
{
	(void)state;
	trust(1u << TL_FEATURE_POSTED_INTERRUPTS);
	vmx_controls.posted_interrupts = true;
	assert_int_equal(features_after(EXIT_REASON_TRIPLE_FAULT), TL_APIC_TPR);
	assert_int_equal(nr_runs, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(interrupts_of_the_hosts_are_all_that_comes, start),
		cmocka_unit_test_setup(interrupts_without_end_are_right_as_well, start),
		cmocka_unit_test_setup(a_delivery_behind_them_is_not, start),
		cmocka_unit_test_setup(nothing_at_all_is_right_as_well, start),
		cmocka_unit_test_setup(a_delivery_is_not, start),
		cmocka_unit_test_setup(it_is_used_all_the_same_by_who_says_so, start),
		cmocka_unit_test_setup(what_is_not_there_is_not_probed, start),
		cmocka_unit_test_setup(are_used_where_the_cpu_processes_them, start),
		cmocka_unit_test_setup(are_not_where_it_does_not, start),
		cmocka_unit_test_setup(are_used_all_the_same_by_who_says_so, start),
		cmocka_unit_test_setup(are_not_without_virtual_ones, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
