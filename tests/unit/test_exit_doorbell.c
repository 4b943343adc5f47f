/* SPDX-License-Identifier: MIT */
/* Doorbells: skipped by the exit's instruction length where that may be trusted, decoded where not. */
#include "tests/unit/vcpu_fixture.h"

#include "vmx/probe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { RUNS = 3, BREAKPOINT_0 = 0x401, NO_BREAKPOINT = 0x400, OTHER_LENGTH = 5 };

static const uint8_t store_imm[] = {0xc7, 0x47, 0x10, 1, 2, 3, 4};
static const uint8_t no_insn[] = {0x0f, 0x0b, 0x0f, 0x0b}; /* UD2 */

static unsigned long rings(void)
{
	return bell_counts[0].count;
}

/* One exit, whose length is `length`: it rings once, and RIP moves by `moved`. */
static void expect_ring(uint64_t length, size_t moved)
{
	unsigned long before = rings();

	guest_vcpu->gpr[TL_RDI] = BELL_LINEAR;
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, length);
	expect_served(CODE, BELL_LINEAR + 0x10, CODE + moved);
	assert_int_equal(rings(), before + 1);
	assert_int_equal(device_log.count, 0);
}

static int bell_start(void **context)
{
	vcpu_start(context);
	put_code(CODE, store_imm, sizeof(store_imm));
	guest_vcpu->gpr[TL_RDI] = BELL_LINEAR;
	/* The first access finds no entry. */
	expect_ring(sizeof(store_imm), sizeof(store_imm));
	return 0;
}

static void length_is_trusted(void **context)
{
	(void)context;
	/* Nothing is decoded, so it does not matter what is there. */
	put_code(CODE, no_insn, sizeof(no_insn));
	for (unsigned length = 1; length <= INSN_MAX_LENGTH; length++)
		expect_ring(length, length);
}

static void length_of_no_instruction_is_not(void **context)
{
	static const uint64_t lengths[] = {0, 16, 17, 255, UINT32_MAX};

	(void)context;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		expect_ring(lengths[i], sizeof(store_imm));
}

static void breakpoint_has_it_decoded(void **context)
{
	(void)context;
	for (unsigned i = 0; i < RUNS; i++) {
		dr_write_dr7(guest_vcpu, BREAKPOINT_0);
		expect_ring(OTHER_LENGTH, sizeof(store_imm));
		dr_write_dr7(guest_vcpu, NO_BREAKPOINT);
		expect_ring(OTHER_LENGTH, OTHER_LENGTH);
	}
}

/* The probe found the length wrong on this CPU. */
static void probe_decides(void **context)
{
	(void)context;
	probe_length_is_right = false;
	dr_write_dr7(guest_vcpu, NO_BREAKPOINT);
	expect_ring(OTHER_LENGTH, sizeof(store_imm));
}

static void option_decides(void **context)
{
	(void)context;
	vm->decode_doorbells = true;
	dr_write_dr7(guest_vcpu, NO_BREAKPOINT);
	expect_ring(OTHER_LENGTH, sizeof(store_imm));
}

static void stale_entry_rings_after_a_search(void **context)
{
	(void)context;
	for (unsigned i = 0; i < RUNS; i++) {
		uint64_t stale = guest_vcpu->reader.stats.stale;

		tl_vm_invalidate_mmio(vm);
		assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
		expect_ring(OTHER_LENGTH, OTHER_LENGTH);
		assert_int_equal(guest_vcpu->reader.stats.stale, stale + 1);
		expect_ring(OTHER_LENGTH, OTHER_LENGTH);
	}
}

static void skip_leaves_what_the_instruction_would(void **context)
{
	(void)context;
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	expect_ring(OTHER_LENGTH, OTHER_LENGTH);
	assert_int_equal(field(VMCS_GUEST_PENDING_DEBUG_EXCEPTIONS), PENDING_DEBUG_BS);
	assert_int_equal(field(VMCS_GUEST_INTERRUPTIBILITY), 0);
}

/* Outside of 64-bit mode RIP has 32 bits; in it, it has all. */
static void rip_wraps_at_its_width(void **context)
{
	enum { COMPATIBILITY_CODE = 0xc09b, CODE_64 = 0xa09b };

	(void)context;
	set_field(VMCS_EXIT_INSTRUCTION_LENGTH, OTHER_LENGTH);
	set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, COMPATIBILITY_CODE);
	expect_served(0xfffffffd, BELL_LINEAR, 2);
	set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, CODE_64);
	expect_served(0xfffffffd, BELL_LINEAR, 0x100000002);
	assert_int_equal(rings(), 3);
}

/* The delivery of an event pushed there: no instruction did, and none is skipped. */
static void event_that_is_delivered_does_not_ring(void **context)
{
	unsigned long before = rings();

	(void)context;
	set_field(VMCS_IDT_VECTORING_INFORMATION, EVENT_INFO_VALID | 14);
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(BELL_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_EVENT);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE);
	assert_int_equal(rings(), before);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bell_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(length_is_trusted),
		CASE(length_of_no_instruction_is_not),
		CASE(breakpoint_has_it_decoded),
		CASE(probe_decides),
		CASE(option_decides),
		CASE(stale_entry_rings_after_a_search),
		CASE(skip_leaves_what_the_instruction_would),
		CASE(rip_wraps_at_its_width),
		CASE(event_that_is_delivered_does_not_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
