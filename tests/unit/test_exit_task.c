/* SPDX-License-Identifier: MIT */
/* Exits by task switches: what the VMCS says of them, and what is put back into it. SDM vol. 3, 28.4.2, table 28-2. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/cpu.h"
#include "vmx/cr.h"
#include "vmx/exit_reason.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BY_CALL, BY_IRET, BY_JMP, BY_GATE };
enum {
	GDT_AT = 0x8000,
	OLD_AT = 0x9000,
	NEW_AT = 0x9800,
	STACK_AT = 0xa000,
	OLD = 0x18,
	NEW = 0x20,
	TSS = 0x8900,
	TSS_BUSY = 0x8b00,
	ENTRY = 0x5000,
	LENGTH = 7,
	EXTERNAL = 1,
	TS = 10,
	NP = 11,
	INTERRUPT = 0 << 8,
	NMI = 2 << 8,
	HARDWARE = 3 << 8,
	SOFTWARE = 4 << 8,
	DR6_BT = 1 << 15,
	NT = 1 << 14,
};

static void put(gpa_t gpa, uint64_t value, unsigned size)
{
	memcpy(guest_ram + gpa, &value, size);
}

static uint64_t get(gpa_t gpa, unsigned size)
{
	uint64_t value = 0;

	memcpy(&value, guest_ram + gpa, size);
	return value;
}

static void descriptor(unsigned selector, uint32_t base, uint64_t rights)
{
	put(GDT_AT + selector, 0x67 | (uint64_t)base << 16 | rights << 32, 8);
}

/* 32-bit code without paging in the task OLD; NEW begins at ENTRY. */
static int start(void **context)
{
	struct tl_state state;

	vcpu_start(context);
	assert_int_equal(tl_vcpu_get(guest_vcpu, &state), TL_OK);
	state.segment[TL_CS].access = 0xc09b;
	state.segment[TL_TR] = (struct tl_segment){.selector = OLD, .base = OLD_AT, .limit = 0x67, .access = 0x8b};
	state.gdtr = (struct tl_table){.base = GDT_AT, .limit = 0xff};
	state.cr0 &= ~(uint64_t)CR0_PG;
	state.cr4 = state.efer = 0;
	state.gpr[TL_RAX] = 0x1234;
	state.dr7 = 0x7ff;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &state), TL_OK);
	put(GDT_AT + 8, 0x00cf9b000000ffff, 8);
	put(GDT_AT + 16, 0x00cf93000000ffff, 8);
	descriptor(OLD, OLD_AT, TSS_BUSY);
	descriptor(NEW, NEW_AT, TSS);
	put(NEW_AT + 0x20, ENTRY, 4);
	put(NEW_AT + 0x24, 2, 4);
	put(NEW_AT + 0x28, 0x5678, 4);
	put(NEW_AT + 0x38, STACK_AT, 4);
	for (unsigned i = 0; i <= TL_GS; i++)
		put(NEW_AT + 0x48 + 4 * i, i == TL_CS ? 8 : 16, 2);
	return 0;
}

/* `event`: whose delivery it is, without the valid bit; 0: an instruction's. */
static enum vcpu_action switch_by(unsigned source, uint64_t event)
{
	bool is_event = source == BY_GATE;

	set_field(VMCS_EXIT_REASON, EXIT_REASON_TASK_SWITCH);
	set_field(VMCS_EXIT_QUALIFICATION, (uint64_t)source << 30 | NEW);
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, LENGTH);
	set_field(VMCS_IDT_VECTORING_INFORMATION, is_event ? EVENT_INFO_VALID | event : 0);
	set_field(VMCS_IDT_VECTORING_ERROR_CODE, 0x9abc);
	set_field(VMCS_ENTRY_INTERRUPTION_INFORMATION, 0);
	return take_exit();
}

static void expect_switched(uint64_t saved_rip)
{
	assert_int_equal(field(VMCS_GUEST_RIP), ENTRY);
	assert_int_equal(guest_vcpu->gpr[TL_RAX], 0x5678);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_TR)), NEW);
	assert_int_equal(field(VMCS_GUEST_ACCESS_RIGHTS(TL_TR)), 0x8b);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	assert_int_equal(field(VMCS_GUEST_DR7), 0x7ff & ~0x155);
	assert_true(cr_read_cr0() & CR0_TS);
	assert_int_equal(get(OLD_AT + 0x20, 4), saved_rip);
	assert_int_equal(get(OLD_AT + 0x28, 4), 0x1234);
}

static void instructions_go_on_behind_themselves(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_RF);
	set_field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_NMI);
	assert_int_equal(switch_by(BY_CALL, 0), VCPU_RESUME);
	expect_switched(CODE + LENGTH);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	assert_int_equal(get(OLD_AT + 0x24, 4), 2);
	assert_int_equal(field(VMCS_GUEST_RFLAGS), 2 | NT);
	/* NMIs stay blocked, but for an IRET. */
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), INTERRUPTIBILITY_NMI);
}

static void an_iret_lets_nmis_through(void **context)
{
	(void)context;
	descriptor(NEW, NEW_AT, TSS_BUSY);
	set_field(VMCS_GUEST_RFLAGS, 2 | NT);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_NMI);
	assert_int_equal(switch_by(BY_IRET, 0), VCPU_RESUME);
	expect_switched(CODE + LENGTH);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
	assert_int_equal(get(OLD_AT + 0x24, 4), 2);
}

/* Each is delivered by it, and does not come again. */
static void events_by_gates(void **context)
{
	static const struct {
		uint64_t event;
		bool goes_on, blocks_nmis, has_error;
	} events[] = {
		{INTERRUPT | 0x20, false, false, false},
		{NMI | 2, false, true, false},
		{HARDWARE | EVENT_INFO_ERROR_CODE | 8, false, false, true},
		{SOFTWARE | 0x80, true, false, false},
	};

	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		set_field(VMCS_GUEST_INTERRUPTIBILITY, events[i].blocks_nmis ? INTERRUPTIBILITY_NMI : 0);
		assert_int_equal(switch_by(BY_GATE, events[i].event), VCPU_RESUME);
		expect_switched(CODE + (events[i].goes_on ? LENGTH : 0));
		assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
		assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), events[i].blocks_nmis ? INTERRUPTIBILITY_NMI : 0);
		assert_int_equal(field(VMCS_GUEST_RSP), STACK_AT - (events[i].has_error ? 4 : 0));
		if (events[i].has_error)
			assert_int_equal(get(STACK_AT - 4, 4), 0x9abc);
		vcpu_stop(context);
		start(context);
	}
}

/* A fault comes into the event's delivery; in the new task, if that has begun. */
static void faults(void **context)
{
	(void)context;
	descriptor(NEW, NEW_AT, TSS & ~0x8000u);
	assert_int_equal(switch_by(BY_GATE, INTERRUPT | 0x20), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
			 EVENT_INFO_VALID | HARDWARE | EVENT_INFO_ERROR_CODE | NP);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), NEW | EXTERNAL);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	assert_int_equal(switch_by(BY_GATE, SOFTWARE | 0x80), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_EXCEPTION_ERROR_CODE), NEW);
	/* A page fault's, and then not a contributory one, but both. */
	assert_int_equal(switch_by(BY_GATE, HARDWARE | 14), VCPU_RESUME);
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION),
			 EVENT_INFO_VALID | HARDWARE | EVENT_INFO_ERROR_CODE | VECTOR_DF);
	assert_int_equal(switch_by(BY_GATE, HARDWARE | VECTOR_DF), VCPU_LEAVE);
	assert_int_equal(vcpu_left.reason, TL_EXIT_SHUTDOWN);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_TR)), OLD);
	descriptor(NEW, NEW_AT, TSS);
	put(NEW_AT + 0x50, 0, 2);
	assert_int_equal(switch_by(BY_JMP, 0), VCPU_RESUME);
	expect_injected(TS);
	expect_switched(CODE + LENGTH);
	assert_int_equal(field(VMCS_GUEST_ACCESS_RIGHTS(TL_SS)), 0x10000);
}

static void a_traced_task(void **context)
{
	(void)context;
	put(NEW_AT + 0x64, 1, 2);
	assert_int_equal(switch_by(BY_JMP, 0), VCPU_RESUME);
	expect_injected(VECTOR_DB);
	assert_true(read_dr6() & DR6_BT);
	expect_switched(CODE + LENGTH);
}

/* Without unrestricted guest the entry looks at the RPL of SS, usable or not. */
static void a_stack_that_is_none(void **context)
{
	(void)context;
	vmx_controls.unrestricted_guest = false;
	put(NEW_AT + 0x4c, 8 | 3, 2);
	put(NEW_AT + 0x50, 16, 2);
	guest_vcpu->flat = false;
	assert_int_equal(switch_by(BY_JMP, 0), VCPU_RESUME);
	expect_injected(TS);
	assert_int_equal(field(VMCS_GUEST_SELECTOR(TL_SS)) & 3, 3);
	vmx_controls.unrestricted_guest = true;
}

/* In a device, or in IA-32e mode, where the CPU makes none: in words. */
static void what_stops_the_guest(void **context)
{
	(void)context;
	descriptor(NEW, DEVICE_AT, TSS);
	assert_int_equal(switch_by(BY_CALL, 0), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_PAGE_TABLE);
	assert_int_equal(vcpu_left.stop.gpa, DEVICE_AT);
	guest_vcpu->mode.efer = EFER_LMA;
	assert_int_equal(switch_by(BY_CALL, 0), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_EXIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(instructions_go_on_behind_themselves),
		TEST(an_iret_lets_nmis_through),
		TEST(events_by_gates),
		TEST(faults),
		TEST(a_traced_task),
		TEST(a_stack_that_is_none),
		TEST(what_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
