/* SPDX-License-Identifier: MIT */
/* JMP and CALL through far pointers in memory, against the words of the SDM: vol. 2, JMP, CALL; vol. 3, 5.8.1. */
#include "mmio/cpu.h"
#include "tests/unit/descriptors.h"

enum { SELECTOR = 0x20, TARGET = 0x4000, BASE = 0x1000, PAGE = 0x1000, RPL_3 = 3 };

static const uint8_t jmp[15] = {0xff, 0x2b}, call[15] = {0xff, 0x1b};                   /* m16:32 [RBX] */
static const uint8_t jmp_64[15] = {0x48, 0xff, 0x2b}, call_64[15] = {0x48, 0xff, 0x1b}; /* m16:64 */
static const uint8_t jmp_16[15] = {0x66, 0xff, 0x2b};

static void in_64(unsigned cpl)
{
	engine_in_64(cpl);
	guest.cpu.gpr[TL_RBX] = DATA_AT;
	guest.cpu.segment[TL_CS].selector = (uint16_t)(0x10 | cpl);
}

static void in_32(unsigned cpl)
{
	engine_in_32();
	guest.cpu.paging.cpl = (uint8_t)cpl;
	guest.cpu.gpr[TL_RBX] = DATA_AT;
	guest.cpu.segment[TL_CS].selector = (uint16_t)(0x10 | cpl);
}

static int reset(void **context)
{
	engine_reset(context);
	in_64(0);
	return 0;
}

/* A far pointer with `size` bytes of offset, and the code segment it names. */
static void aim(uint64_t target, unsigned size, uint16_t selector, uint32_t rights, uint32_t limit)
{
	engine_put(DATA_AT, target, size);
	engine_put(DATA_AT + size, selector, 2);
	engine_put(GDT_AT + (selector & ~7u), descriptor_of(BASE, limit, rights), 8);
}

static bool may_go(unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool present, bool bad_size,
		   unsigned *vector)
{
	*vector = GP;
	if (type < 24 || bad_size)
		return false;
	if (type & 4 ? dpl > cpl : rpl > cpl || dpl != cpl)
		return false;
	*vector = NP;
	return present;
}

static void check(unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool present, unsigned size_bits)
{
	uint32_t rights = with_dpl(type | (present ? PRESENT : 0) | size_bits << 13, dpl);
	const struct tl_segment *cs = &guest.cpu.segment[TL_CS];
	unsigned vector;

	in_64(cpl);
	aim(TARGET, 4, (uint16_t)(SELECTOR | rpl), rights, TARGET);
	if (type < 16) {
		/* Gates and tasks: not emulated. */
		expect_nothing_done(jmp, MMIO_REFUSED);
		return;
	}
	/* L and D together are reserved in IA-32e mode. */
	if (!may_go(type, dpl, rpl, cpl, present, size_bits == 3, &vector)) {
		expect_fault(jmp, vector, SELECTOR);
		return;
	}
	assert_int_equal(engine_run(jmp), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, TARGET);
	assert_int_equal(cs->selector, SELECTOR | cpl);
	assert_int_equal(cs->access, rights | TYPE_ACCESSED);
	assert_int_equal(cs->base, BASE);
	assert_int_equal(engine_get(GDT_AT + SELECTOR, 8), descriptor_of(BASE, TARGET, rights | TYPE_ACCESSED));
}

static void every_type_and_privilege(void **context)
{
	(void)context;
	for (unsigned bits = 0; bits < 32 * 4 * 4 * 2 * 2 * 4; bits++)
		check(bits & 31, bits >> 5 & 3, bits >> 7 & 3, bits >> 9 & 1 ? 3 : 0, bits >> 10 & 1, bits >> 11);
}

/* What is wrong with the target is found before the segment is marked. */
static void targets(void **context)
{
	uint32_t code_64 = PRESENT | NO_SYSTEM | TYPE_CODE | LONG_CODE, code = PRESENT | NO_SYSTEM | TYPE_CODE | BIG;

	(void)context;
	aim(NON_CANONICAL, 8, SELECTOR, code_64, 0);
	expect_fault(jmp_64, GP, 0);
	expect_fault(call_64, GP, 0);
	aim(0xffff800000000000, 8, SELECTOR, code_64, 0);
	assert_int_equal(engine_run(jmp_64), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, 0xffff800000000000);
	in_64(0);
	aim(TARGET + 1, 4, SELECTOR, code, TARGET);
	expect_fault(jmp, GP, 0);
	/* Outside IA-32e mode the L bit means nothing. */
	in_32(0);
	aim(TARGET + 1, 4, SELECTOR, code | LONG_CODE, TARGET);
	expect_fault(jmp, GP, 0);
	aim(0xabcd4321, 4, SELECTOR, code, 0xffff);
	expect_fault(jmp, GP, 0);
	/* 16 bits of it. */
	engine_put(DATA_AT + 2, SELECTOR, 2);
	assert_int_equal(engine_run(jmp_16), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, 0x4321);
}

static void selectors(void **context)
{
	(void)context;
	aim(TARGET, 4, RPL_3, 0, 0);
	expect_fault(jmp, GP, 0);
	aim(TARGET, 4, SELECTOR, PRESENT | NO_SYSTEM | TYPE_CODE, TARGET);
	guest.cpu.gdtr.limit = SELECTOR + 6;
	expect_fault(jmp, GP, SELECTOR);
	guest.cpu.gdtr.limit++;
	engine_map_page(GDT_AT, GDT_AT, P | A | D);
	expect_page_fault(jmp, 3, GDT_AT + SELECTOR);
	engine_map_page(GDT_AT, GDT_AT, P | W | A | D);
	assert_int_equal(engine_run(jmp), MMIO_DONE);
}

static void calls_push(void **context)
{
	(void)context;
	aim(TARGET, 8, SELECTOR, PRESENT | NO_SYSTEM | TYPE_CODE | LONG_CODE, 0);
	guest.cpu.gpr[TL_RSP] = DEVICE_AT + 0x100;
	assert_int_equal(engine_run(call_64), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, TARGET);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0xf0);
	assert_int_equal(guest.calls, 2);
	expect_call(0, DEVICE_AT + 0xf8, 8, true, 0x10);
	expect_call(1, DEVICE_AT + 0xf0, 8, true, 0x9003);
	in_32(0);
	aim(TARGET, 4, SELECTOR, PRESENT | NO_SYSTEM | TYPE_CODE | BIG, 0xffff);
	assert_int_equal(engine_run(call), MMIO_DONE);
	assert_int_equal(engine_get(STACK_AT - 8, 8), 0x1000009002);
	assert_int_equal(guest.cpu.gpr[TL_RSP], STACK_AT - 8);
	/* A 16-bit stack leaves the upper half of ESP. */
	in_32(0);
	guest.cpu.segment[TL_SS].access &= ~(uint32_t)BIG;
	guest.cpu.gpr[TL_RSP] = 0x12340000 | 0xa008;
	assert_int_equal(engine_run(call), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0x1234a000);
	assert_int_equal(engine_get(0xa000, 8), 0x1000009002);
}

/* The embedder completes the pushes, and the transfer is done then. */
static void calls_on_other_stacks(void **context)
{
	(void)context;
	aim(TARGET, 8, SELECTOR, PRESENT | NO_SYSTEM | TYPE_CODE | LONG_CODE, 0);
	guest.cpu.gpr[TL_RSP] = NON_CANONICAL + 8;
	expect_fault(call_64, SS, 0);
	guest.cpu.gpr[TL_RSP] = LINEAR_AT + 8;
	engine_unmap_page(LINEAR_AT - PAGE);
	expect_page_fault(call_64, 2, LINEAR_AT - 8);
	guest.cpu.gpr[TL_RSP] = EMBEDDER_AT + 0x10;
	assert_int_equal(engine_run(call_64), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + 8, 8, true, 0x10);
	assert_int_equal(guest.cpu.rip, 0x9000);
	assert_int_equal(engine_resume(0), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 8, true, 0x9003);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, TARGET);
	assert_int_equal(guest.cpu.segment[TL_CS].selector, SELECTOR);
}

/* The segment's faults, the stack's limit, the target's, the stack's pages: SDM vol. 2, CALL, far. */
static void faults_of_calls_have_an_order(void **context)
{
	uint32_t code = PRESENT | NO_SYSTEM | TYPE_CODE | LONG_CODE;

	(void)context;
	engine_unmap_page(LINEAR_AT);
	guest.cpu.gpr[TL_RSP] = NON_CANONICAL + 8;
	aim(NON_CANONICAL, 8, SELECTOR, code & ~(uint32_t)TYPE_CODE, 0);
	expect_fault(call_64, GP, SELECTOR);
	aim(NON_CANONICAL, 8, SELECTOR, code & ~(uint32_t)PRESENT, 0);
	expect_fault(call_64, NP, SELECTOR);
	aim(NON_CANONICAL, 8, SELECTOR, code, 0);
	expect_fault(call_64, SS, 0);
	guest.cpu.gpr[TL_RSP] = LINEAR_AT + 8;
	expect_fault(call_64, GP, 0);
	aim(TARGET, 8, SELECTOR, code, 0);
	expect_page_fault(call_64, 2, LINEAR_AT);
	/* CS goes first, and where it went is one of the places that may have been the exit's. */
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, ALL | A | D);
	guest.cpu.gpr[TL_RSP] = LINEAR_AT + PAGE + 8;
	guest.exit_gpa = DEVICE_AT;
	expect_page_fault(call_64, 2, LINEAR_AT + PAGE - 8);
	guest.exit_gpa = DEVICE_AT + PAGE;
	expect_nothing_done(call_64, MMIO_ELSEWHERE);
}

/* Between the two pushes SP wraps, and no item lies at both ends. SDM vol. 1, 6.2. */
static void calls_at_the_ends_of_a_stack(void **context)
{
	(void)context;
	in_32(0);
	aim(TARGET, 4, SELECTOR, PRESENT | NO_SYSTEM | TYPE_CODE | BIG, 0xffff);
	guest.cpu.segment[TL_SS] = (struct tl_segment){.base = STACK_AT, .limit = 0xffff, .access = 0x93};
	guest.cpu.gpr[TL_RSP] = 0x12340004;
	assert_int_equal(engine_run(call), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0x1234fffc);
	assert_int_equal(engine_get(STACK_AT, 4), 0x10);
	assert_int_equal(engine_get(STACK_AT + 0xfffc, 4), 0x9002);
	in_32(0);
	guest.cpu.segment[TL_SS] = (struct tl_segment){.base = STACK_AT, .limit = 0xffff, .access = 0x93};
	guest.cpu.gpr[TL_RSP] = 0x12340006;
	expect_fault(call, SS, 0);
	guest.cpu.gpr[TL_RSP] = 0x12340002;
	expect_fault(call, SS, 0);
}

static void without_descriptors(void **context)
{
	(void)context;
	engine_in_16();
	guest.cpu.segment[TL_DS].base = DATA_AT;
	guest.cpu.gpr[TL_RBX] = 0;
	guest.cpu.segment[TL_CS].limit = 0x7fff;
	engine_put(DATA_AT, 0xf0008000, 4);
	expect_fault(BYTES(0xff, 0x2f), GP, 0); /* JMP FAR [BX] */
	engine_put(DATA_AT, 0xf0007fff, 4);
	assert_int_equal(engine_run(BYTES(0xff, 0x2f)), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, 0x7fff);
	assert_int_equal(guest.cpu.segment[TL_CS].selector, 0xf000);
	assert_int_equal(guest.cpu.segment[TL_CS].base, 0xf0000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_and_privilege, reset),
		cmocka_unit_test_setup(targets, reset),
		cmocka_unit_test_setup(selectors, reset),
		cmocka_unit_test_setup(calls_push, reset),
		cmocka_unit_test_setup(calls_on_other_stacks, reset),
		cmocka_unit_test_setup(faults_of_calls_have_an_order, reset),
		cmocka_unit_test_setup(calls_at_the_ends_of_a_stack, reset),
		cmocka_unit_test_setup(without_descriptors, reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
