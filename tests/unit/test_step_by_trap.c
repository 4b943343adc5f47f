/* SPDX-License-Identifier: MIT */
/* One instruction at a time where the CPU has no monitor trap flag: by a TF that the guest does not see. */
#include "tests/unit/step_fixture.h"
#include "vmx/controls.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { VECTOR_BP = 3, ALL_EXCEPTIONS = 0xffffffff };

static enum vcpu_action exit_by_exception(unsigned type, unsigned vector, uint64_t qualification)
{
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EXCEPTION_OR_NMI);
	set_field(VMCS_EXIT_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | (uint64_t)type << 8 | vector);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, 1);
	return take_exit();
}

static enum vcpu_action exit_by_trap(gva_t rip, uint64_t qualification)
{
	set_field(VMCS_GUEST_RIP, rip);
	return exit_by_exception(TL_EVENT_EXCEPTION, VECTOR_DB, qualification);
}

static bool is_entering(void)
{
	return field(VMCS_ENTRY_INTERRUPTION_INFORMATION) & EVENT_INFO_VALID;
}

static void a_trap_ends_it_and_the_guest_has_none(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	assert_true(begin_at(nop, sizeof(nop)));
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST | RFLAGS_TF);
	assert_int_equal(field(VMCS_EXCEPTION_BITMAP), ALL_EXCEPTIONS);
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST);
	assert_int_equal(mock_cpu.dr6, OLD_DR6);
	assert_false(is_entering());
	/* One that jumps to itself. */
	assert_true(begin_step());
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
}

/* Bochs says of an instruction that exits that its trap is pending. The shadow is the entry's to check, and no window
 * may open in it. */
static void an_exit_before_the_instruction_changes_nothing(void **context)
{
	static const uint8_t load[] = {0x8b, 0x07};

	(void)context;
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	set_field(VMCS_PROC_CONTROLS, field(VMCS_PROC_CONTROLS) | PROC_INTERRUPT_WINDOW_EXITING);
	assert_true(begin_at(load, sizeof(load)));
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
	assert_false(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EXTERNAL_INTERRUPT);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	step_take_back(guest_vcpu);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_true(field(VMCS_PROC_CONTROLS) & PROC_INTERRUPT_WINDOW_EXITING);
	/* The same instruction again, which is emulated. */
	vcpu_trace_entry(guest_vcpu);
	expect_step(exit_at(DEVICE_LINEAR));
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_int_equal(device_log.count, 1);
}

static void an_sti_leaves_its_shadow(void **context)
{
	static const uint8_t sti[] = {0xfb};

	(void)context;
	set_field(VMCS_GUEST_RFLAGS, 2);
	assert_true(begin_at(sti, sizeof(sti)));
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF | RFLAGS_TF);
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_STI);
	/* With interrupts on already it has none. */
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_true(begin_at(sti, sizeof(sti)));
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

static void an_iret_loads_tf(void **context)
{
	static const uint8_t iret[] = {0x48, 0xcf};

	(void)context;
	assert_true(begin_at(iret, sizeof(iret)));
	set_field(VMCS_GUEST_RFLAGS, RFLAGS_OF_GUEST | RFLAGS_TF);
	expect_step(exit_by_trap(CODE + 64, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST | RFLAGS_TF);
	assert_false(is_entering());
}

static void the_guests_own_tf_traps(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	set_field(VMCS_GUEST_RFLAGS, RFLAGS_OF_GUEST | RFLAGS_TF);
	assert_true(begin_at(nop, sizeof(nop)));
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_RFLAGS), RFLAGS_OF_GUEST | RFLAGS_TF);
	assert_int_equal(mock_cpu.dr6, OLD_DR6 | PENDING_DEBUG_BS);
	expect_injected(VECTOR_DB);
}

/* Branches alone, then. */
static void btf_is_the_guests(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	set_field(VMCS_GUEST_RFLAGS, RFLAGS_OF_GUEST | RFLAGS_TF);
	set_field(VMCS_GUEST_DEBUGCTL, DEBUGCTL_BTF);
	assert_true(begin_at(nop, sizeof(nop)));
	assert_int_equal(field(VMCS_GUEST_DEBUGCTL), 0);
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(field(VMCS_GUEST_DEBUGCTL), DEBUGCTL_BTF);
	assert_false(is_entering());
	assert_true(begin_at(nop, sizeof(nop)));
	expect_step(exit_by_trap(CODE - 16, PENDING_DEBUG_BS));
	expect_injected(VECTOR_DB);
}

static void the_guests_breakpoints_trap(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	set_field(VMCS_GUEST_DR7, 0x402);
	assert_true(begin_at(nop, sizeof(nop)));
	/* That of one that is not enabled may be told, too. */
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS | BIT(1)));
	assert_false(is_entering());
	assert_int_equal(mock_cpu.dr6, OLD_DR6);
	assert_true(begin_at(nop, sizeof(nop)));
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS | BIT(0)));
	assert_int_equal(mock_cpu.dr6, OLD_DR6 | BIT(0));
	expect_injected(VECTOR_DB);
	/* On the instruction itself it comes before: a step is its delivery. */
	assert_true(begin_at(nop, sizeof(nop)));
	assert_int_equal(exit_by_trap(CODE, BIT(0)), VCPU_RESUME);
	expect_injected(VECTOR_DB);
}

static void what_mov_ss_held_back_comes_with_the_trap(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	set_field(VMCS_GUEST_DR7, 0x402);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, DEBUG_ENABLED | BIT(0));
	assert_true(begin_at(nop, sizeof(nop)));
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	expect_step(exit_by_trap(CODE + 1, PENDING_DEBUG_BS));
	assert_int_equal(mock_cpu.dr6, OLD_DR6 | BIT(0));
	expect_injected(VECTOR_DB);
}

static void nothing_is_lent_while_a_trap_is_due(void **context)
{
	static const uint8_t nop[] = {0x90};

	(void)context;
	set_field(VMCS_GUEST_RFLAGS, RFLAGS_OF_GUEST | RFLAGS_TF);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	assert_true(begin_at(nop, sizeof(nop)));
	assert_int_equal(field(VMCS_EXCEPTION_BITMAP), EXITING_EXCEPTIONS);
	assert_int_equal(exit_by_trap(CODE, PENDING_DEBUG_BS), VCPU_RESUME);
	assert_int_equal(mock_cpu.dr6, OLD_DR6 | PENDING_DEBUG_BS);
	expect_injected(VECTOR_DB);
}

/* The entry that delivers it has no TF, and a timer that ends it: which is not that of the guest's budget. */
static void a_delivery_is_a_step(void **context)
{
	static const uint8_t load[] = {0x8b, 0x07};

	(void)context;
	set_field(VMCS_PREEMPTION_TIMER_VALUE, 12345);
	assert_true(begin_at(load, sizeof(load)));
	set_field(VMCS_GUEST_INTERRUPTIBILITY, 0);
	assert_int_equal(exit_by_exception(TL_EVENT_EXCEPTION, VECTOR_PF, 0x1234), VCPU_RESUME);
	assert_int_equal(mock_cpu.cr2, 0x1234);
	assert_false(field(VMCS_GUEST_RFLAGS) & RFLAGS_TF);
	assert_int_equal(field(VMCS_EXCEPTION_BITMAP), EXITING_EXCEPTIONS);
	assert_true(field(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_int_equal(field(VMCS_PREEMPTION_TIMER_VALUE), 0);
	expect_injected(VECTOR_PF);
	set_field(VMCS_GUEST_RIP, CODE + 4096);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_PREEMPTION_TIMER);
	expect_step(take_exit());
	assert_false(field(VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER);
	assert_int_equal(field(VMCS_PREEMPTION_TIMER_VALUE), 12345);
}

static void a_kick_ends_a_delivery_without_a_timer(void **context)
{
	size_t kicks = hosted.nr_kicks;

	(void)context;
	vmx_controls.preemption_timer = false;
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, EVENT_INFO_VALID | 0x40);
	assert_true(begin_at("\x90", 1));
	assert_int_equal(hosted.nr_kicks, kicks + 1);
	assert_false(field(VMCS_GUEST_RFLAGS) & RFLAGS_TF);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EXTERNAL_INTERRUPT);
	expect_step(take_exit());
}

/* Both push the address behind the instruction, so they go in as what they are. */
static void software_exceptions_stay_such(void **context)
{
	static const uint8_t int3[] = {0xcc};

	(void)context;
	assert_true(begin_at(int3, sizeof(int3)));
	assert_int_equal(exit_by_exception(EVENT_SOFTWARE_EXCEPTION, VECTOR_BP, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
			 EVENT_INFO_VALID | EVENT_SOFTWARE_EXCEPTION << 8 | VECTOR_BP);
	assert_int_equal(field(VMCS_ENTRY_INSTRUCTION_LENGTH), 1);
	assert_false(field(VMCS_GUEST_RFLAGS) & RFLAGS_RF);
}

/* Also where nothing is stepped: #DB always exits. */
static void int1_pushes_the_address_behind_it(void **context)
{
	(void)context;
	assert_int_equal(exit_by_exception(EVENT_PRIVILEGED_SOFTWARE_EXCEPTION, VECTOR_DB, 0), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
			 EVENT_INFO_VALID | EVENT_PRIVILEGED_SOFTWARE_EXCEPTION << 8 | VECTOR_DB);
	assert_int_equal(field(VMCS_ENTRY_INSTRUCTION_LENGTH), 1);
}

/* What other CPUs or the embedder see of it between two runs. */
static void the_state_is_the_guests(void **context)
{
	static const uint8_t nop[] = {0x90};
	struct tl_state state;

	(void)context;
	assert_true(begin_at(nop, sizeof(nop)));
	tl_vcpu_kick(guest_vcpu);
	set_field(VMCS_EXIT_REASON, EXIT_REASON_EXTERNAL_INTERRUPT);
	assert_int_equal(take_exit(), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_KICKED);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &state), TL_OK);
	assert_int_equal(state.rflags, RFLAGS_OF_GUEST);
	assert_int_equal(tl_vcpu_set_step(guest_vcpu, false), TL_OK);
	assert_int_equal(field(VMCS_HOST_RIP), (uintptr_t)vmx_exit_entry);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, step_start, step_stop)
	const struct CMUnitTest tests[] = {
		TEST(a_trap_ends_it_and_the_guest_has_none),
		TEST(an_exit_before_the_instruction_changes_nothing),
		TEST(an_sti_leaves_its_shadow),
		TEST(an_iret_loads_tf),
		TEST(the_guests_own_tf_traps),
		TEST(btf_is_the_guests),
		TEST(the_guests_breakpoints_trap),
		TEST(what_mov_ss_held_back_comes_with_the_trap),
		TEST(nothing_is_lent_while_a_trap_is_due),
		TEST(a_delivery_is_a_step),
		TEST(a_kick_ends_a_delivery_without_a_timer),
		TEST(software_exceptions_stay_such),
		TEST(int1_pushes_the_address_behind_it),
		TEST(the_state_is_the_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
