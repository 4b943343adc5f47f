/* SPDX-License-Identifier: MIT */
/* MOVDIR64B, ENQCMD and ENQCMDS: 64 bytes at once. SDM vol. 2. */
#include "tests/unit/engine_guest.h"

enum { PAGE = 0x1000, BYTES_64 = 64, FLAG_ZF = 1 << 6, STATUS = 0x8d5 };

/* From [RBX] to where RCX points. */
static const uint8_t movdir64b[15] = {0x66, 0x0f, 0x38, 0xf8, 0x0b}, enqcmd[15] = {0xf2, 0x0f, 0x38, 0xf8, 0x0b},
		     enqcmds[15] = {0xf3, 0x0f, 0x38, 0xf8, 0x0b},
		     movdir64b_67[15] = {0x67, 0x66, 0x0f, 0x38, 0xf8, 0x0b};

static int reset(void **context)
{
	engine_reset(context);
	for (unsigned i = 0; i < BYTES_64; i++)
		*engine_ram(DATA_AT + 4 + i) = (uint8_t)(i + 1);
	engine_put(DATA_AT + 4, 0x00012345, 4); /* of a command: bits 30:20 are reserved */
	guest.cpu.gpr[TL_RBX] = DATA_AT + 4;
	guest.cpu.gpr[TL_RCX] = DEVICE_AT + 0x40;
	return 0;
}

static void expect_64_bytes(void)
{
	assert_int_equal(guest.calls, 8);
	for (unsigned i = 0; i < 8; i++)
		expect_call(i, DEVICE_AT + 0x40 + 8 * i, 8, true, engine_get(DATA_AT + 4 + 8 * i, 8));
}

static void bytes_are_moved(void **context)
{
	(void)context;
	guest.cpu.rflags |= STATUS;
	expect_done(movdir64b);
	expect_64_bytes();
	assert_int_equal(guest.cpu.rflags & STATUS, STATUS);
	/* With 32-bit addresses the upper half of the register is not looked at. */
	guest.calls = 0;
	guest.cpu.gpr[TL_RCX] |= BIT(40);
	expect_done(movdir64b_67);
	expect_64_bytes();
}

static void commands_are_taken(void **context)
{
	(void)context;
	guest.cpu.rflags |= STATUS;
	expect_done(enqcmds);
	expect_64_bytes();
	/* ZF is 0: the device took it; the other status flags are cleared. */
	assert_int_equal(guest.cpu.rflags & STATUS, 0);
}

static void commands_are_refused(void **context)
{
	(void)context;
	/* IA32_PASID is not valid. */
	expect_fault(enqcmd, GP, 0);
	for (unsigned bit = 20; bit <= 30; bit++) {
		engine_put(DATA_AT + 4, BIT(bit), 4);
		expect_fault(enqcmds, GP, 0);
	}
	engine_put(DATA_AT + 4, BIT(31) | 0xfffff, 4);
	expect_done(enqcmds);
	engine_in_64(3);
	guest.cpu.gpr[TL_RBX] = DATA_AT + 4;
	guest.cpu.gpr[TL_RCX] = DEVICE_AT + 0x40;
	expect_fault(enqcmds, GP, 0);
	expect_fault(enqcmd, GP, 0);
	expect_done(movdir64b);
}

static void places_that_are_refused(void **context)
{
	(void)context;
	for (unsigned i = 1; i < BYTES_64; i *= 2) {
		guest.cpu.gpr[TL_RCX] = DEVICE_AT + i;
		expect_fault(movdir64b, GP, 0);
	}
	guest.cpu.gpr[TL_RCX] = NON_CANONICAL;
	expect_fault(movdir64b, GP, 0);
	engine_unmap_page(LINEAR_AT);
	guest.cpu.gpr[TL_RCX] = LINEAR_AT;
	expect_page_fault(movdir64b, 2, LINEAR_AT);
	/* The source is looked at first. */
	guest.cpu.gpr[TL_RBX] = LINEAR_AT + PAGE - 8;
	engine_map_page(LINEAR_AT + PAGE, DATA_AT, ALL | A | D);
	expect_page_fault(movdir64b, 0, LINEAR_AT + PAGE - 8);
	guest.cpu.gpr[TL_RBX] = NON_CANONICAL - 1;
	expect_fault(movdir64b, GP, 0);
}

/* The embedder completes eight parts of the source, and eight of the destination. */
static void the_embedder_completes_parts(void **context)
{
	(void)context;
	guest.cpu.gpr[TL_RBX] = EMBEDDER_AT + 1;
	guest.cpu.gpr[TL_RCX] = EMBEDDER_AT + 0x80;
	assert_int_equal(engine_run(movdir64b), MMIO_EMBEDDER);
	for (unsigned i = 0; i < 8; i++) {
		expect_access(EMBEDDER_AT + 1 + 8 * i, 8, false, 0);
		assert_int_equal(engine_resume(i * 0x111), MMIO_EMBEDDER);
	}
	for (unsigned i = 0; i < 8; i++) {
		expect_access(EMBEDDER_AT + 0x80 + 8 * i, 8, true, i * 0x111);
		assert_int_equal(engine_resume(0), i == 7 ? MMIO_DONE : MMIO_EMBEDDER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(bytes_are_moved, reset),
		cmocka_unit_test_setup(commands_are_taken, reset),
		cmocka_unit_test_setup(commands_are_refused, reset),
		cmocka_unit_test_setup(places_that_are_refused, reset),
		cmocka_unit_test_setup(the_embedder_completes_parts, reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
