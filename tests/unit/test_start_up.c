/* SPDX-License-Identifier: MIT */
/* INIT and SIPI: a vCPU starts in real mode, whatever it was doing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/vcpu_fixture.h"
#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include "vmx/msr.h"

static int start(void **state)
{
	vcpu_start(state);
	grace_leave(&guest_vcpu->reader, 0);
	return 0;
}

static int stop(void **state)
{
	grace_enter(&guest_vcpu->reader, 0);
	return vcpu_stop(state);
}

static void it_starts_in_real_mode(void **state)
{
	struct tl_state now;

	(void)state;
	assert_int_equal(tl_vcpu_start_up(guest_vcpu, 0x9a), TL_OK);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &now), TL_OK);
	assert_int_equal(now.rip, 0);
	assert_int_equal(now.rflags, 2);
	assert_int_equal(now.segment[TL_CS].selector, 0x9a00);
	assert_int_equal(now.segment[TL_CS].base, 0x9a000);
	assert_int_equal(now.segment[TL_CS].limit, 0xffff);
	assert_int_equal(now.segment[TL_SS].base | now.segment[TL_DS].base, 0);
	assert_int_equal(now.idtr.base, 0);
	assert_int_equal(now.idtr.limit, 0xffff);
	assert_int_equal(now.cr0, CR0_ET);
	assert_int_equal(now.cr3 | now.cr4 | now.efer, 0);
	assert_int_equal(now.dr7, 0x400);
	assert_false(field(VMCS_ENTRY_CONTROLS) & VM_ENTRY_IA32E_MODE_GUEST);
	assert_false(guest_vcpu->mode.cr0 & CR0_PG);
}

static void nothing_is_under_way(void **state)
{
	(void)state;
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &(struct tl_event){.type = TL_EVENT_NMI, .vector = 2}), TL_OK);
	guest_vcpu->pending = PENDING_IO;
	guest_vcpu->cr8 = 9;
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | 0x31);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, 1 << 14);
	set_field(VMCS_GUEST_DEBUGCTL, 2);
	set_field(VMCS_PROC_CONTROLS, PROC_INTERRUPT_WINDOW_EXITING | PROC_NMI_WINDOW_EXITING | PROC_HLT_EXITING);
	dr_write(guest_vcpu, 1, 0x1234);
	dr_write_dr7(guest_vcpu, 0x401);
	assert_int_equal(tl_vcpu_start_up(guest_vcpu, 1), TL_OK);
	assert_int_equal(guest_vcpu->pending, PENDING_NONE);
	assert_int_equal(guest_vcpu->events, 0);
	assert_int_equal(guest_vcpu->cr8, 0);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_int_equal(field(VMCS_GUEST_DEBUGCTL), 0);
	assert_int_equal(field(VMCS_PROC_CONTROLS), PROC_HLT_EXITING);
	assert_int_equal(guest_vcpu->dr[1], 0);
	assert_int_equal(mock_cpu.dr6, 0xffff0ff0);
	assert_int_equal(guest_vcpu->rflags_slow & RFLAGS_RF, 0);
}

/* The caches' bits, its MSRs and its deadline are not INIT's. */
static void what_init_leaves_alone(void **state)
{
	(void)state;
	hosted.has_timer = true;
	assert_true(cr_write_cr0(guest_vcpu, cr_read_cr0() | CR0_CD));
	assert_int_equal(tl_vcpu_set_deadline(guest_vcpu, 5000), TL_OK);
	guest_vcpu->msr_pat = 0x0606060606060606;
	guest_vcpu->tsc_adjust = 77;
	assert_int_equal(tl_vcpu_start_up(guest_vcpu, 1), TL_OK);
	assert_int_equal(cr_read_cr0(), CR0_ET | CR0_CD);
	assert_int_equal(guest_vcpu->msr_pat, 0x0606060606060606);
	assert_int_equal(guest_vcpu->tsc_adjust, 77);
	assert_int_equal(guest_vcpu->events, EVENT_DEADLINE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
	const struct CMUnitTest tests[] = {
		TEST(it_starts_in_real_mode),
		TEST(nothing_is_under_way),
		TEST(what_init_leaves_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
