/* SPDX-License-Identifier: MIT */
/*
 * Accesses that are not one: across pages and ranges, completed by the embedder in parts, given up in the middle. The
 * instruction is done once, as a whole, or not at all.
 */
#include "mmio/ring.h"
#include "mmu/map_edit.h"
#include "tests/unit/engine_guest.h"

enum { PAGE = 0x1000, RING_AT = 0x218000, FLAG_CF = 1, FLAG_ZF = 1 << 6 };

#define LOAD      BYTES(0x48, 0x8b, 0x03)       /* MOV RAX, [RBX] */
#define STORE     BYTES(0x48, 0x89, 0x03)       /* MOV [RBX], RAX */
#define ADD       BYTES(0x48, 0x01, 0x03)       /* ADD [RBX], RAX */
#define XCHG      BYTES(0x87, 0x03)             /* XCHG [RBX], EAX */
#define PUSH      BYTES(0xff, 0x33)             /* PUSH qword [RBX] */
#define CMPXCHG16 BYTES(0x48, 0x0f, 0xc7, 0x0b) /* CMPXCHG16B [RBX] */
#define MOVUPS    BYTES(0x0f, 0x10, 0x0b)       /* MOVUPS XMM1, [RBX] */
#define LDMXCSR   BYTES(0x0f, 0xae, 0x13)       /* LDMXCSR [RBX] */
#define FLD       BYTES(0xdd, 0x03)             /* FLD m64 [RBX] */
#define FST       BYTES(0xdd, 0x13)             /* FST m64 [RBX] */
#define FNSTSW    BYTES(0xdd, 0x3b)             /* FNSTSW [RBX] */

static struct tl_ring *ring;
static struct tl_mmio_options with_ring;

static int start(void **context)
{
	struct tl_range range = mmio_range(RING_AT, PAGE);

	engine_guest_start(context);
	ring = with_ring.ring = tl_ring_create(1, 2);
	range.options = &with_ring;
	range_add(range);
	return 0;
}

static int stop(void **context)
{
	tl_ring_destroy(ring);
	return engine_guest_stop(context);
}

static void at(gva_t linear)
{
	guest.cpu.gpr[TL_RBX] = linear;
}

/* The embedder is asked for this, and the CPU is what it was. */
static void expect_waiting(enum mmio_progress progress, const struct mmio_cpu *before, gpa_t gpa, unsigned size,
			   bool write, uint64_t data)
{
	assert_int_equal(progress, MMIO_EMBEDDER);
	expect_access(gpa, size, write, data);
	assert_memory_equal(&guest.cpu, before, sizeof(*before));
}

static void across_a_device_and_memory(void **context)
{
	(void)context;
	memcpy(guest.device + DEVICE_SIZE - 3, "\x11\x22\x33", 3);
	engine_put(UPPER_RAM_AT, 0x8877665544, 5);
	at(UPPER_RAM_AT - 3);
	expect_done(LOAD);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0x8877665544332211);
	assert_int_equal(guest.calls, 1);
	expect_call(0, UPPER_RAM_AT - 3, 3, false, 0);
	guest.cpu.gpr[TL_RAX] = 0x0102030405060708;
	expect_done(STORE);
	expect_call(1, UPPER_RAM_AT - 3, 3, true, 0x060708);
	assert_int_equal(engine_get(UPPER_RAM_AT, 6), 0x0102030405);
}

/* Two pages that follow each other only in the guest's linear addresses, the second first in its physical ones. */
static void across_two_pages(void **context)
{
	(void)context;
	engine_map_page(LINEAR_AT, DEVICE_AT + PAGE, ALL | A | D);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, ALL | A | D);
	guest.cpu.gpr[TL_RAX] = 0x1122334455667788;
	at(LINEAR_AT + PAGE - 6);
	expect_done(STORE);
	assert_int_equal(guest.calls, 2);
	expect_call(0, DEVICE_AT + 2 * PAGE - 6, 6, true, 0x334455667788);
	expect_call(1, DEVICE_AT, 2, true, 0x1122);
}

/* The exit's address may be in either part. */
static void the_operand_is_where_the_exit_was(void **context)
{
	(void)context;
	engine_map_page(LINEAR_AT, DEVICE_AT + PAGE, ALL | A | D);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, ALL | A | D);
	at(LINEAR_AT + PAGE - 6);
	guest.exit_gpa = DEVICE_AT + 2 * PAGE - 6;
	expect_done(LOAD);
	guest.exit_gpa = DEVICE_AT + 1;
	expect_done(LOAD);
	guest.exit_gpa = DEVICE_AT + 2;
	expect_nothing_done(LOAD, MMIO_ELSEWHERE);
	guest.exit_gpa = DEVICE_AT + 2 * PAGE - 7;
	expect_nothing_done(LOAD, MMIO_ELSEWHERE);
	guest.exit_gpa = DEVICE_AT + 2 * PAGE;
	expect_nothing_done(LOAD, MMIO_ELSEWHERE);
	guest.exit_gpa = DEVICE_AT;
	at(DATA_AT);
	expect_nothing_done(LOAD, MMIO_ELSEWHERE);
}

static void across_a_device_and_the_hole(void **context)
{
	(void)context;
	at(EMBEDDER_AT - 2);
	assert_int_equal(engine_run(STORE), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 6, true, 0);
	assert_int_equal(guest.stats.hole_writes, 1);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	at(EMBEDDER_AT + EMBEDDER_SIZE - 4);
	assert_int_equal(engine_run(LOAD), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + EMBEDDER_SIZE - 4, 4, false, 0);
	/* What it fills in above the size is ignored. */
	assert_int_equal(engine_resume(0x1234567801020304), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0xffffffff01020304);
	assert_int_equal(guest.stats.hole_reads, 1);
}

static void a_read_and_write_resumes_where_it_was(void **context)
{
	struct mmio_cpu before;

	(void)context;
	at(EMBEDDER_AT + 8);
	guest.cpu.gpr[TL_RAX] = 1;
	before = guest.cpu;
	expect_waiting(engine_run(ADD), &before, EMBEDDER_AT + 8, 8, false, 0);
	expect_waiting(engine_resume(~0ull), &before, EMBEDDER_AT + 8, 8, true, 0);
	/* What a write is completed with does not count. */
	assert_int_equal(engine_resume(77), MMIO_DONE);
	assert_int_equal(guest.cpu.rip, before.rip + 3);
	assert_int_equal(guest.cpu.rflags & (FLAG_CF | FLAG_ZF), FLAG_CF | FLAG_ZF);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 1);
}

/* Part of it by the embedder, part in the hole; read in order, then written in order. */
static void a_straddling_read_and_write_resumes_where_it_was(void **context)
{
	struct mmio_cpu before;

	(void)context;
	at(EMBEDDER_AT - 2);
	engine_map_page(EMBEDDER_AT - PAGE, DATA_AT, ALL | A | D);
	engine_put(DATA_AT + PAGE - 2, 0x2211, 2);
	guest.cpu.gpr[TL_RAX] = 0xddccbbaa;
	before = guest.cpu;
	expect_waiting(engine_run(XCHG), &before, EMBEDDER_AT, 2, false, 0);
	assert_int_equal(engine_get(DATA_AT + PAGE - 2, 2), 0x2211);
	expect_waiting(engine_resume(0x4433), &before, EMBEDDER_AT, 2, true, 0xddcc);
	assert_int_equal(engine_get(DATA_AT + PAGE - 2, 2), 0xbbaa);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0x44332211);
}

static void sixteen_bytes_are_two_accesses(void **context)
{
	struct mmio_cpu before;

	(void)context;
	at(EMBEDDER_AT);
	guest.cpu.gpr[TL_RAX] = 1;
	guest.cpu.gpr[TL_RDX] = 2;
	guest.cpu.gpr[TL_RCX] = 4;
	before = guest.cpu;
	expect_waiting(engine_run(CMPXCHG16), &before, EMBEDDER_AT, 8, false, 0);
	expect_waiting(engine_resume(1), &before, EMBEDDER_AT + 8, 8, false, 0);
	expect_waiting(engine_resume(2), &before, EMBEDDER_AT, 8, true, EMBEDDER_AT);
	expect_waiting(engine_resume(0), &before, EMBEDDER_AT + 8, 8, true, 4);
	assert_int_equal(engine_resume(0), MMIO_DONE);
	assert_true(guest.cpu.rflags & FLAG_ZF);
}

static void a_vector_is_loaded_when_all_of_it_is_there(void **context)
{
	struct mmio_cpu before;
	uint8_t *register_1 = guest.xsave + XSAVE_XMM + 16;

	(void)context;
	at(EMBEDDER_AT + EMBEDDER_SIZE - 12);
	before = guest.cpu;
	expect_waiting(engine_run(MOVUPS), &before, EMBEDDER_AT + EMBEDDER_SIZE - 12, 8, false, 0);
	expect_waiting(engine_resume(0x0807060504030201), &before, EMBEDDER_AT + EMBEDDER_SIZE - 4, 4, false, 0);
	assert_memory_equal(register_1, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(engine_resume(0x0c0b0a09), MMIO_DONE);
	assert_memory_equal(register_1, "\1\2\3\4\5\6\7\10\11\12\13\14\xff\xff\xff\xff", 16);
}

/* From the embedder to a stack that lies in the device. */
static void a_push_resumes_with_what_was_read(void **context)
{
	(void)context;
	at(EMBEDDER_AT);
	guest.cpu.gpr[TL_RSP] = DEVICE_AT + 0x100;
	assert_int_equal(engine_run(PUSH), MMIO_EMBEDDER);
	assert_int_equal(guest.calls, 0);
	assert_int_equal(engine_resume(0x99), MMIO_DONE);
	expect_call(0, DEVICE_AT + 0xf8, 8, true, 0x99);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 0xf8);
}

/* After a kick the embedder runs on without having completed anything: it is asked again. */
static void what_was_not_asked_is_not_completed(void **context)
{
	struct insn insn = engine_decode(LOAD);

	(void)context;
	at(EMBEDDER_AT);
	mmio_begin(&guest.op, &insn, MMIO_ANY_GPA, 1);
	assert_int_equal(engine_resume(5), MMIO_EMBEDDER);
	assert_int_equal(engine_resume(6), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 6);
}

static void remove_the_device(unsigned call)
{
	/* Inside tl_vcpu_run(): published, and completed after the instruction. */
	if (call == 1)
		assert_int_equal(range_remove(map_find(map_now(), DEVICE_AT)->id), TL_PENDING);
}

/* A callback changes the map between the halves of an access: the second half sees the map of the first. */
static void one_instruction_sees_one_map(void **context)
{
	struct tl_range device = {.kind = TL_RANGE_MMIO, .start = DEVICE_AT, .size = DEVICE_SIZE};

	(void)context;
	device.access = map_find(map_now(), DEVICE_AT)->access;
	engine_map_page(LINEAR_AT, DEVICE_AT, ALL | A | D);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT + PAGE, ALL | A | D);
	at(LINEAR_AT + PAGE - 4);
	guest.on_call = remove_the_device;
	/* Two elements of one instruction, and of each a part. */
	expect_done(MOVUPS);
	assert_int_equal(guest.calls, 3);
	assert_true(map_complete_pending(&guest.reader));
	at(DEVICE_AT);
	expect_done(LOAD);
	assert_int_equal(guest.calls, 3);
	assert_int_equal(guest.stats.hole_reads, 1);
	reader_leave(&guest.reader, 0);
	range_add(device);
	reader_enter(&guest.reader, 0);
}

static void an_error_of_a_device_changes_nothing(void **context)
{
	struct mmio_cpu before;

	(void)context;
	at(DEVICE_AT);
	before = guest.cpu;
	guest.fail_at = 2; /* the write */
	assert_int_equal(engine_run(ADD), MMIO_DEVICE_ERROR);
	assert_int_equal(guest.access.write, true);
	assert_memory_equal(&guest.cpu, &before, sizeof(before));
}

/* The embedder empties the ring of the range first, then completes the access. */
static void a_read_waits_for_the_ring(void **context)
{
	struct tl_coalesced taken;

	(void)context;
	at(RING_AT + 8);
	guest.cpu.gpr[TL_RAX] = 0x55;
	expect_done(STORE);
	assert_int_equal(engine_run(LOAD), MMIO_DRAIN);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0x55);
	/* It took nothing: the same again. */
	assert_int_equal(engine_resume(1), MMIO_DRAIN);
	assert_int_equal(tl_ring_take(ring, &taken, 1), 1);
	assert_int_equal(taken.offset, 8);
	assert_int_equal(taken.data, 0x55);
	assert_int_equal(engine_resume(2), MMIO_EMBEDDER);
	assert_int_equal(engine_resume(3), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 3);
}

/* SDM vol. 2, LDMXCSR: a reserved bit is #GP(0), and found after the read. */
static void a_reserved_bit_of_mxcsr(void **context)
{
	(void)context;
	at(DATA_AT);
	engine_put(DATA_AT, 0x10000, 4);
	expect_fault(LDMXCSR, GP, 0);
	engine_put(DATA_AT, 0x1f81, 4);
	expect_done(LDMXCSR);
	assert_int_equal(guest.xsave[XSAVE_MXCSR], 0x81);
	assert_int_equal(guest.cpu.changed, CPU_XSTATE);
}

/* SDM vol. 1, 8.7: an exception that is not masked is raised by the next waiting instruction, before it begins. */
static void a_pending_x87_exception(void **context)
{
	(void)context;
	at(DEVICE_AT);
	guest.xsave[XSAVE_FCW] = 0x7e;     /* #I is not masked */
	guest.xsave[XSAVE_FSW] = 0x81;     /* IE, ES */
	guest.xsave[XSAVE_FSW + 1] = 0x80; /* B */
	expect_fault(FLD, MF, NO_ERROR_CODE);
	expect_fault(FST, MF, NO_ERROR_CODE);
	expect_done(FNSTSW);
	expect_call(0, DEVICE_AT, 2, true, 0x8081);
}

/* The stack underflows, and #I is not masked: no store, ES is set, and the instruction is complete. */
static void an_x87_store_without_a_store(void **context)
{
	(void)context;
	at(DEVICE_AT);
	guest.xsave[XSAVE_FCW] = 0x7e;
	expect_done(FST);
	assert_int_equal(guest.calls, 0);
	assert_int_equal(guest.xsave[XSAVE_FSW] & 0x81, 0x81);
	expect_fault(FST, MF, NO_ERROR_CODE);
}

/* A store that changes the x87 state is given up: the state is what it was. */
static void an_x87_store_that_fails(void **context)
{
	static uint8_t before[XSTATE_FIRST_BYTES];

	(void)context;
	at(EMBEDDER_AT);
	memcpy(before, guest.xsave, sizeof(before));
	/* #I masked: the default NaN is stored, and IE set. */
	assert_int_equal(engine_run(FST), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 8, true, 0xfff8000000000000);
	assert_memory_equal(guest.xsave, before, sizeof(before));
	assert_int_equal(engine_resume(0), MMIO_DONE);
	assert_int_equal(guest.xsave[XSAVE_FSW] & 0x41, 0x41);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(across_a_device_and_memory, engine_reset),
		cmocka_unit_test_setup(across_two_pages, engine_reset),
		cmocka_unit_test_setup(the_operand_is_where_the_exit_was, engine_reset),
		cmocka_unit_test_setup(across_a_device_and_the_hole, engine_reset),
		cmocka_unit_test_setup(a_read_and_write_resumes_where_it_was, engine_reset),
		cmocka_unit_test_setup(a_straddling_read_and_write_resumes_where_it_was, engine_reset),
		cmocka_unit_test_setup(sixteen_bytes_are_two_accesses, engine_reset),
		cmocka_unit_test_setup(a_vector_is_loaded_when_all_of_it_is_there, engine_reset),
		cmocka_unit_test_setup(a_push_resumes_with_what_was_read, engine_reset),
		cmocka_unit_test_setup(what_was_not_asked_is_not_completed, engine_reset),
		cmocka_unit_test_setup(one_instruction_sees_one_map, engine_reset),
		cmocka_unit_test_setup(an_error_of_a_device_changes_nothing, engine_reset),
		cmocka_unit_test_setup(a_read_waits_for_the_ring, engine_reset),
		cmocka_unit_test_setup(a_reserved_bit_of_mxcsr, engine_reset),
		cmocka_unit_test_setup(a_pending_x87_exception, engine_reset),
		cmocka_unit_test_setup(an_x87_store_without_a_store, engine_reset),
		cmocka_unit_test_setup(an_x87_store_that_fails, engine_reset),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
