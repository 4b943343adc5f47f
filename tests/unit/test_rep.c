/* SPDX-License-Identifier: MIT */
/*
 * String instructions that end in the middle: a fault, a limit, a device, the embedder, a port. What was done counts,
 * once, and the instruction goes on from there. SDM vol. 2, REP. See test_string.c, too.
 */
#include "tests/unit/engine_guest.h"

enum { PAGE = 0x1000, FLAG_ZF = 1 << 6, FLAG_CF = 1, FLAG_DF = 1 << 10 };

static const uint8_t rep_movsd[15] = {0xf3, 0xa5}, movsd[15] = {0xa5}, rep_lodsd[15] = {0xf3, 0xad},
		     repe_cmpsb[15] = {0xf3, 0xa6}, repne_scasb[15] = {0xf2, 0xae}, repe_scasd[15] = {0xf3, 0xaf},
		     rep_insb[15] = {0xf3, 0x6c}, insd[15] = {0x6d}, rep_outsw[15] = {0xf3, 0x66, 0x6f},
		     rep_stosb_67[15] = {0x67, 0xf3, 0xaa};

static void strings(uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
	guest.cpu.gpr[TL_RSI] = rsi;
	guest.cpu.gpr[TL_RDI] = rdi;
	guest.cpu.gpr[TL_RCX] = rcx;
}

static void expect_strings(uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
	assert_int_equal(guest.cpu.gpr[TL_RSI], rsi);
	assert_int_equal(guest.cpu.gpr[TL_RDI], rdi);
	assert_int_equal(guest.cpu.gpr[TL_RCX], rcx);
}

static void expect_in_the_middle(const uint8_t *bytes, enum mmio_progress progress)
{
	uint64_t rip = guest.cpu.rip;

	assert_int_equal(engine_run(bytes), progress);
	assert_int_equal(guest.cpu.rip, rip);
}

static void a_count_of_nothing(void **context)
{
	(void)context;
	strings(1, 2, 0);
	expect_done(rep_movsd);
	expect_strings(1, 2, 0);
	/* With 32-bit addresses ECX counts. */
	strings(1, 2, 0x100000000);
	expect_done(rep_stosb_67);
	expect_strings(1, 2, 0x100000000);
	assert_int_equal(guest.calls, 0);
}

/* Without REP the count is another register. */
static void a_single_element(void **context)
{
	(void)context;
	strings(DEVICE_AT, DATA_AT, 0);
	memcpy(guest.device, "\1\2\3\4", 4);
	expect_done(movsd);
	expect_strings(DEVICE_AT + 4, DATA_AT + 4, 0);
	assert_int_equal(engine_get(DATA_AT, 8), 0x04030201);
	guest.cpu.rflags |= FLAG_DF;
	expect_done(movsd);
	expect_strings(DEVICE_AT, DATA_AT, 0);
}

/* So many in one run, then the vCPU looks up. */
static void the_limit_of_a_run(void **context)
{
	(void)context;
	strings(DATA_AT, DEVICE_AT, 40);
	for (unsigned i = 0; i < 40; i++)
		engine_put(DATA_AT + 4 * i, i, 4);
	for (unsigned limit = 1; limit < 9; limit++) {
		unsigned before = guest.calls;

		guest.limit = limit;
		expect_in_the_middle(rep_movsd, MMIO_AGAIN);
		assert_int_equal(guest.calls, before + limit);
		expect_strings(DATA_AT + 4 * guest.calls, DEVICE_AT + 4 * guest.calls, 40 - guest.calls);
	}
	guest.limit = 4;
	/* The last element ends the instruction even where the limit ends, too. */
	expect_done(rep_movsd);
	expect_strings(DATA_AT + 160, DEVICE_AT + 160, 0);
	for (unsigned i = 0; i < 40; i++)
		expect_call(i, DEVICE_AT + 4 * i, 4, true, i);
}

static unsigned raise_at;

static void raise_round(unsigned call)
{
	/* As a writer on another CPU does. */
	if (call == raise_at)
		atomic_fetch_add(&vm->round, 1);
}

/* Whichever element it is, the run ends after it. */
static void a_round_that_was_raised(void **context)
{
	for (raise_at = 1; raise_at < 10; raise_at++) {
		engine_reset(context);
		strings(DATA_AT, DEVICE_AT, 10);
		guest.on_call = raise_round;
		expect_in_the_middle(rep_movsd, MMIO_AGAIN);
		assert_int_equal(guest.calls, raise_at);
		expect_strings(DATA_AT + 4 * raise_at, DEVICE_AT + 4 * raise_at, 10 - raise_at);
	}
	/* Each run does at least one. */
	assert_int_equal(engine_run(rep_movsd), MMIO_DONE);
	assert_int_equal(guest.calls, 10);
}

/* A fault at an element: those before count, and of it nothing is done. */
static void a_fault_in_the_middle(void **context)
{
	(void)context;
	engine_map_page(LINEAR_AT, DEVICE_AT, ALL | A | D);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, P | U | A | D);
	strings(DATA_AT, LINEAR_AT + PAGE - 12, 9);
	expect_in_the_middle(rep_movsd, MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, PF);
	assert_int_equal(guest.op.fault.error_code, 3);
	assert_int_equal(guest.op.fault.linear, LINEAR_AT + PAGE);
	assert_int_equal(guest.calls, 3);
	expect_strings(DATA_AT + 12, LINEAR_AT + PAGE, 6);
	/* The source is looked at first; and of an element that straddles nothing is written. */
	engine_unmap_page(LINEAR_AT + 2 * PAGE);
	strings(LINEAR_AT + 2 * PAGE, LINEAR_AT + PAGE, 1);
	expect_page_fault(rep_movsd, 0, LINEAR_AT + 2 * PAGE);
	strings(DATA_AT, LINEAR_AT + PAGE - 2, 1);
	expect_page_fault(rep_movsd, 3, LINEAR_AT + PAGE);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, ALL | A | D);
	expect_done(rep_movsd);
}

static void a_segment_that_ends(void **context)
{
	(void)context;
	engine_in_32();
	guest.cpu.segment[TL_ES] = (struct tl_segment){.base = DEVICE_AT, .limit = 0x0b, .access = 0xc093};
	strings(DATA_AT, 4, 3);
	expect_in_the_middle(rep_movsd, MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, GP);
	expect_strings(DATA_AT + 8, 12, 1);
	assert_int_equal(guest.calls, 2);
	/* The source's override; the destination has none. */
	guest.cpu.segment[TL_SS].limit = 0;
	strings(0x10, 0, 1);
	expect_fault(BYTES(0x36, 0xf3, 0xa5), SS, 0);
	guest.cpu.segment[TL_DS].limit = 0;
	expect_fault(rep_movsd, GP, 0);
}

static void an_error_in_the_middle(void **context)
{
	(void)context;
	strings(DEVICE_AT, DEVICE_AT + PAGE, 10);
	guest.fail_at = 6; /* the third element's write */
	expect_in_the_middle(rep_movsd, MMIO_DEVICE_ERROR);
	expect_strings(DEVICE_AT + 8, DEVICE_AT + PAGE + 8, 8);
	guest.calls = 0;
	guest.fail_at = 1;
	strings(DEVICE_AT, DATA_AT, 10);
	expect_in_the_middle(rep_movsd, MMIO_DEVICE_ERROR);
	expect_strings(DEVICE_AT, DATA_AT, 10);
}

/* From the embedder to the device and back: each part is asked for once, the CPU moves on element by element. */
static void the_embedder_completes_elements(void **context)
{
	(void)context;
	strings(EMBEDDER_AT, DEVICE_AT, 2);
	assert_int_equal(engine_run(rep_movsd), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 4, false, 0);
	expect_strings(EMBEDDER_AT, DEVICE_AT, 2);
	assert_int_equal(engine_resume(0x11), MMIO_EMBEDDER);
	expect_call(0, DEVICE_AT, 4, true, 0x11);
	expect_access(EMBEDDER_AT + 4, 4, false, 0);
	expect_strings(EMBEDDER_AT + 4, DEVICE_AT + 4, 1);
	assert_int_equal(engine_resume(0x22), MMIO_DONE);
	expect_call(1, DEVICE_AT + 4, 4, true, 0x22);
	strings(DEVICE_AT, EMBEDDER_AT, 2);
	assert_int_equal(engine_run(rep_movsd), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 4, true, 0x11);
	assert_int_equal(engine_resume(0), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + 4, 4, true, 0x22);
	/* Read once for each element. */
	assert_int_equal(guest.calls, 4);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	expect_strings(DEVICE_AT + 8, EMBEDDER_AT + 8, 0);
	strings(EMBEDDER_AT, 0, 2);
	guest.cpu.gpr[TL_RAX] = ~0ull;
	assert_int_equal(engine_run(rep_lodsd), MMIO_EMBEDDER);
	assert_int_equal(engine_resume(1), MMIO_EMBEDDER);
	assert_int_equal(engine_resume(2), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 2);
}

/* An element half of which is the embedder's. */
static void the_embedder_completes_a_part_of_an_element(void **context)
{
	(void)context;
	strings(EMBEDDER_AT + EMBEDDER_SIZE - 2, EMBEDDER_AT - 3, 1);
	engine_map_page(EMBEDDER_AT - PAGE, DATA_AT, ALL | A | D);
	assert_int_equal(engine_run(rep_movsd), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + EMBEDDER_SIZE - 2, 2, false, 0);
	assert_int_equal(engine_resume(0x2211), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 1, true, 0xff);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	assert_int_equal(engine_get(DATA_AT + PAGE - 3, 3), 0xff2211);
}

static void comparisons_end_where_they_say(void **context)
{
	(void)context;
	memcpy(engine_ram(DATA_AT), "abcdefgh", 8);
	memcpy(guest.device, "abcxefgh", 8);
	strings(DATA_AT, DEVICE_AT, 8);
	expect_done(repe_cmpsb);
	expect_strings(DATA_AT + 4, DEVICE_AT + 4, 4);
	assert_false(guest.cpu.rflags & FLAG_ZF);
	/* 'd' - 'x' borrows. */
	assert_true(guest.cpu.rflags & FLAG_CF);
	strings(0, DEVICE_AT, 8);
	guest.cpu.gpr[TL_RAX] = 0x12300 | 'e';
	expect_done(repne_scasb);
	expect_strings(0, DEVICE_AT + 5, 3);
	assert_true(guest.cpu.rflags & FLAG_ZF);
	strings(0, DEVICE_AT, 1);
	expect_done(repne_scasb);
	expect_strings(0, DEVICE_AT + 1, 0);
	assert_false(guest.cpu.rflags & FLAG_ZF);
	/* The flags of the elements before a fault stay. */
	engine_map_page(LINEAR_AT, DEVICE_AT + PAGE, ALL | A | D);
	engine_unmap_page(LINEAR_AT + PAGE);
	strings(0, LINEAR_AT + PAGE - 8, 3);
	guest.cpu.gpr[TL_RAX] = 0;
	expect_in_the_middle(repe_scasd, MMIO_FAULT);
	expect_strings(0, LINEAR_AT + PAGE, 1);
	assert_true(guest.cpu.rflags & FLAG_ZF);
	/* And a limit does not end the comparison. */
	guest.limit = 1;
	strings(0, DEVICE_AT + PAGE, 2);
	expect_in_the_middle(repe_scasd, MMIO_AGAIN);
	expect_done(repe_scasd);
	expect_strings(0, DEVICE_AT + PAGE + 8, 0);
}

static void expect_port(unsigned size, bool write, uint32_t data)
{
	assert_int_equal(guest.port.port, 0x3f8);
	assert_int_equal(guest.port.size, size);
	assert_int_equal(guest.port.write, write);
	assert_int_equal(guest.port.data, data);
}

static void from_a_port(void **context)
{
	(void)context;
	guest.cpu.gpr[TL_RDX] = 0x12303f8;
	strings(5, DEVICE_AT, 2);
	assert_int_equal(engine_run(rep_insb), MMIO_PORT);
	expect_port(1, false, 0);
	assert_int_equal(guest.calls, 0);
	assert_int_equal(engine_resume(0xab41), MMIO_PORT);
	expect_call(0, DEVICE_AT, 1, true, 0x41);
	expect_strings(5, DEVICE_AT + 1, 1);
	assert_int_equal(engine_resume(0x42), MMIO_DONE);
	expect_call(1, DEVICE_AT + 1, 1, true, 0x42);
	expect_strings(5, DEVICE_AT + 2, 0);
	/* The port, then the write, are the embedder's. */
	strings(5, EMBEDDER_AT, 9);
	assert_int_equal(engine_run(insd), MMIO_PORT);
	expect_port(4, false, 0);
	assert_int_equal(engine_resume(0x44332211), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 4, true, 0x44332211);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	expect_strings(5, EMBEDDER_AT + 4, 9);
	/* A port is not read for a write that faults. */
	engine_map_page(LINEAR_AT, DEVICE_AT, P | U | A | D);
	strings(0, LINEAR_AT, 1);
	expect_page_fault(rep_insb, 3, LINEAR_AT);
}

static void to_a_port(void **context)
{
	(void)context;
	guest.cpu.gpr[TL_RDX] = 0x3f8;
	memcpy(guest.device, "\1\2", 2);
	strings(DEVICE_AT, 7, 2);
	assert_int_equal(engine_run(rep_outsw), MMIO_PORT);
	expect_port(2, true, 0x0201);
	expect_strings(DEVICE_AT, 7, 2);
	assert_int_equal(engine_resume(0), MMIO_PORT);
	expect_port(2, true, 0);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	expect_strings(DEVICE_AT + 4, 7, 0);
	assert_int_equal(guest.calls, 2);
	strings(EMBEDDER_AT, 7, 1);
	assert_int_equal(engine_run(rep_outsw), MMIO_EMBEDDER);
	assert_int_equal(engine_resume(0x9988), MMIO_PORT);
	expect_port(2, true, 0x9988);
	assert_int_equal(engine_resume(0), MMIO_DONE);
}

/* The exit is on the first element; the others may be anywhere. */
static void the_operand_is_where_the_exit_was(void **context)
{
	(void)context;
	strings(DATA_AT, DEVICE_AT + PAGE - 4, 2);
	guest.exit_gpa = DEVICE_AT + PAGE - 4;
	expect_done(rep_movsd);
	strings(DATA_AT, DEVICE_AT, 2);
	guest.exit_gpa = DEVICE_AT + 4;
	expect_nothing_done(rep_movsd, MMIO_ELSEWHERE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_count_of_nothing, engine_reset),
		cmocka_unit_test_setup(a_single_element, engine_reset),
		cmocka_unit_test_setup(the_limit_of_a_run, engine_reset),
		cmocka_unit_test_setup(a_round_that_was_raised, engine_reset),
		cmocka_unit_test_setup(a_fault_in_the_middle, engine_reset),
		cmocka_unit_test_setup(a_segment_that_ends, engine_reset),
		cmocka_unit_test_setup(an_error_in_the_middle, engine_reset),
		cmocka_unit_test_setup(the_embedder_completes_elements, engine_reset),
		cmocka_unit_test_setup(the_embedder_completes_a_part_of_an_element, engine_reset),
		cmocka_unit_test_setup(comparisons_end_where_they_say, engine_reset),
		cmocka_unit_test_setup(from_a_port, engine_reset),
		cmocka_unit_test_setup(to_a_port, engine_reset),
		cmocka_unit_test_setup(the_operand_is_where_the_exit_was, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
