/* SPDX-License-Identifier: MIT */
/* x87 moves: known answers, and what a comparison with the CPU can't show. test_x87_native.c makes that. */
#include "mmio/x87.h"
#include "mmio/x87_convert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER = 512, AT_FOP = 6, AT_FIP = 8, AT_FDP = 16, AT_ST = 32 };
enum { FLD_M32 = 010, FLD_M64 = 050, FSTP_M32 = 013, FLDCW = 015, FNSTCW = 017, FNSTSW = 057 };
enum { FILD_M16 = 070, FISTP_M16 = 073, FILD_M64 = 075, FISTP_M64 = 077, FSTP_M64 = 053 };
enum { DEFAULT = 0x37f, DOWN = 0x77f, UP = 0xb7f, TRUNCATE = 0xf7f };

static _Alignas(64) uint8_t area[XSTATE_FIRST_BYTES];
static struct xstate xstate = {.area = area, .enabled = 3};
static const struct x87_pointers pointers = {.ip = 0x1234567890, .dp = 0xfedcba98, .opcode = 0x1d9};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	memcpy(at, &value, bytes);
}

static uint64_t get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	memcpy(&value, at, bytes);
	return value;
}

static int reset(void **state)
{
	(void)state;
	memset(area, 0xcc, sizeof(area)); /* in an area that is not in use lies anything */
	put(area + HEADER, 0, 8);
	return 0;
}

static void load(unsigned form, uint64_t value)
{
	const struct insn insn = {.op = INSN_X87_LOAD, .detail = (uint8_t)form};
	uint8_t data[16] = {0};

	put(data, value, 8);
	x87_load(&insn, &xstate, &pointers, data);
}

static bool store(unsigned form, uint64_t *value)
{
	const struct insn insn = {.op = INSN_X87_STORE, .detail = (uint8_t)form};
	uint8_t data[16];
	bool done;

	memset(data, 0xee, sizeof(data));
	done = x87_store(&insn, &xstate, &pointers, data);
	*value = get(data, 8);
	return done;
}

/* An f80 rounded to an m32, with all exceptions masked. */
static const struct {
	uint16_t sign_exponent;
	uint64_t significand;
	uint16_t fcw;
	uint32_t result;
	uint16_t flags;
	bool up;
} singles[] = {
	{0x3fff, 0x8000000000000000, DEFAULT, 0x3f800000, 0, false},
	{0x3fff, 0x8000008000000000, DEFAULT, 0x3f800000, X87_PE, false}, /* a tie, to even */
	{0x3fff, 0x8000018000000000, DEFAULT, 0x3f800002, X87_PE, true},
	{0x3fff, 0x8000008000000001, DEFAULT, 0x3f800001, X87_PE, true},
	{0x3fff, 0x8000000000000001, UP, 0x3f800001, X87_PE, true},
	{0xbfff, 0x8000000000000001, UP, 0xbf800000, X87_PE, false},
	{0xbfff, 0x8000000000000001, DOWN, 0xbf800001, X87_PE, true},
	{0x3fff, 0xffffffffffffffff, TRUNCATE, 0x3fffffff, X87_PE, false},
	{0x3fff, 0xffffffffffffffff, DEFAULT, 0x40000000, X87_PE, true},
	{0x407e, 0xffffffffffffffff, DEFAULT, 0x7f800000, X87_OE | X87_PE, true},
	{0x407f, 0x8000000000000000, TRUNCATE, 0x7f7fffff, X87_OE | X87_PE, false},
	{0xc07f, 0x8000000000000000, UP, 0xff7fffff, X87_OE | X87_PE, false},
	{0x3f80, 0x8000000000000000, DEFAULT, 0x00400000, 0, false}, /* tiny, but exact */
	{0x3f80, 0x8000000000000001, DEFAULT, 0x00400000, X87_UE | X87_PE, false},
	{0x3f80, 0xffffffffffffffff, DEFAULT, 0x00800000, X87_PE, true},          /* not tiny once rounded to 24 bits */
	{0x3f80, 0xffffff0000000000, DEFAULT, 0x00800000, X87_UE | X87_PE, true}, /* tiny, though it ends as normal */
	{0x3f69, 0x8000000000000000, DEFAULT, 0x00000000, X87_UE | X87_PE, false}, /* half of the least one */
	{0x3f69, 0x8000000000000001, DEFAULT, 0x00000001, X87_UE | X87_PE, true},
	{0x0000, 0x0000000000000001, UP, 0x00000001, X87_UE | X87_PE, true},
	{0x8000, 0x0000000000000000, DEFAULT, 0x80000000, 0, false},
	{0xffff, 0x8000000000000000, DEFAULT, 0xff800000, 0, false},
	{0x7fff, 0x8000010000000000, DEFAULT, 0x7fc00001, X87_IE, false}, /* a signalling NaN */
	{0x7fff, 0xc000010000000000, DEFAULT, 0x7fc00001, 0, false},
	{0x7fff, 0x0000000000000000, DEFAULT, 0xffc00000, X87_IE, false}, /* a pseudo-infinity */
	{0x3fff, 0x7fffffffffffffff, DEFAULT, 0xffc00000, X87_IE, false}, /* an unnormal */
};

static void known_singles(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(singles) / sizeof(singles[0]); i++) {
		struct f80 value = {.significand = singles[i].significand, .sign_exponent = singles[i].sign_exponent};
		struct x87_outcome outcome;

		assert_int_equal(x87_to_binary(&x87_single, value, singles[i].fcw, &outcome), singles[i].result);
		assert_int_equal(outcome.flags, singles[i].flags);
		assert_int_equal(outcome.up, singles[i].up);
	}
}

/* Through the register and back: every 16-bit integer, and floating-point numbers of all exponents. */
static void round_trips(void **state)
{
	uint64_t back;

	(void)state;
	for (uint32_t value = 0; value < 0x10000; value++) {
		load(FILD_M16, value);
		assert_true(store(FISTP_M16, &back));
		assert_int_equal(back & 0xffff, value);
	}
	for (uint64_t value = 0; value < 1ull << 32; value += 65521) {
		load(FLD_M32, value);
		assert_true(store(FSTP_M32, &back));
		if ((value & 0x7fc00000) == 0x7f800000 && value & 0x3fffff)
			assert_int_equal((uint32_t)back, value | 1 << 22);
		else
			assert_int_equal((uint32_t)back, value);
	}
	for (uint64_t value = 1; value < ~0ull - (~0ull >> 15); value += ~0ull >> 15) {
		load(FLD_M64, value & ~(1ull << 52)); /* an even exponent, so no NaN */
		assert_true(store(FSTP_M64, &back));
		assert_int_equal(back, value & ~(1ull << 52));
		load(FILD_M64, value);
		assert_true(store(FISTP_M64, &back));
		assert_int_equal(back, value);
	}
}

static void initial_configuration(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(store(FNSTCW, &value));
	assert_int_equal(value & 0xffff, 0x37f);
	assert_true(store(FNSTSW, &value));
	assert_int_equal(value & 0xffff, 0);
	assert_int_equal(get(area + HEADER, 8), 0);
	assert_int_equal(area[0], 0xcc);
	assert_false(x87_is_pending(&xstate));

	load(FLD_M32, 0x3f800000);
	assert_int_equal(get(area + HEADER, 8), 1);
	assert_int_equal(get(area, 2), 0x37f);
	assert_int_equal(get(area + 2, 2), 7 << X87_TOP_SHIFT);
	assert_int_equal(area[4], 0x80);
	assert_int_equal(get(area + AT_ST, 8), 1ull << 63);
	assert_int_equal(get(area + AT_ST + 8, 2), 0x3fff);
	assert_int_equal(get(area + AT_ST + 16, 8), 0);
	/* MXCSR and what follows the registers is not the component's. */
	assert_int_equal(area[24], 0xcc);
	assert_int_equal(area[160], 0xcc);
}

static void pointers_of_the_last_instruction(void **state)
{
	uint64_t value;

	(void)state;
	load(FLDCW, 0x37f);
	assert_int_equal(get(area + AT_FIP, 8), 0);
	load(FLD_M32, 0);
	assert_int_equal(get(area + AT_FOP, 2), pointers.opcode);
	assert_int_equal(get(area + AT_FIP, 8), pointers.ip);
	assert_int_equal(get(area + AT_FDP, 8), pointers.dp);
	put(area + AT_FIP, 1, 8);
	load(FLDCW, 0x37f);
	assert_true(store(FNSTSW, &value));
	assert_int_equal(get(area + AT_FIP, 8), 1);
}

/* CPUs of late keep the operand's address only where a handler will look for it. */
static void data_pointer_of_exceptions_only(void **state)
{
	(void)state;
	xstate.dp_on_exceptions = true;
	load(FLD_M32, 0);
	assert_int_equal(get(area + AT_FIP, 8), pointers.ip);
	assert_int_equal(get(area + AT_FDP, 8), 0);
	load(FLDCW, 0x37e);
	load(FLD_M32, 0x7f800001); /* a signalling NaN, and not masked */
	assert_int_equal(get(area + AT_FDP, 8), pointers.dp);
	xstate.dp_on_exceptions = false;
}

static void unmasked_exceptions(void **state)
{
	uint64_t value;

	(void)state;
	load(FLDCW, 0x300);
	assert_false(store(FSTP_M32, &value)); /* the stack is empty */
	assert_int_equal(value, 0xeeeeeeeeeeeeeeee);
	assert_int_equal(get(area + 2, 2), X87_IE | X87_SF | X87_ES | X87_B);
	assert_true(x87_is_pending(&xstate));

	load(FLDCW, 0x37f);
	assert_false(x87_is_pending(&xstate));
	assert_int_equal(get(area + 2, 2), X87_IE | X87_SF);
	load(FLDCW, 0x37e);
	assert_true(x87_is_pending(&xstate));

	reset(NULL);
	load(FLDCW, 0x37e);
	load(FLD_M32, 0x7f800001); /* a signalling NaN is not pushed */
	assert_int_equal(get(area + 2, 2), X87_IE | X87_ES | X87_B);
	reset(NULL);
	load(FLDCW, 0x37d);
	load(FLD_M32, 1); /* a denormal is */
	assert_int_equal(get(area + 2, 2), X87_DE | X87_ES | X87_B | 7 << X87_TOP_SHIFT);

	reset(NULL);
	load(FLDCW, 0x35f);
	load(FLD_M64, 0x3ff0000000000001);
	assert_true(store(FSTP_M32, &value)); /* an inexact result is stored, and then reported */
	assert_int_equal((uint32_t)value, 0x3f800000);
	assert_int_equal(get(area + 2, 2), X87_PE | X87_ES | X87_B);
}

static void abandoned(void **state)
{
	static _Alignas(64) uint8_t scratch[XSTATE_FIRST_BYTES];
	static uint8_t before[XSTATE_FIRST_BYTES];
	const struct insn insn = {.op = INSN_X87_STORE, .detail = FSTP_M64};
	struct xstate copy;
	uint8_t data[16];

	(void)state;
	xstate_fork_x87(&copy, &xstate, scratch);
	xstate_join_x87(&xstate, &copy);
	assert_int_equal(get(area + HEADER, 8), 0); /* still in the initial configuration */

	load(FLD_M32, 0x3f800000);
	memcpy(before, area, sizeof(area));
	xstate_fork_x87(&copy, &xstate, scratch);
	assert_true(x87_store(&insn, &copy, &pointers, data));
	assert_memory_equal(area, before, sizeof(area));
	xstate_join_x87(&xstate, &copy);
	assert_int_equal(area[4], 0);
	assert_int_equal(get(area + 2, 2), 0);
	assert_memory_equal(area + 24, before + 24, 8);
	assert_memory_equal(area + 160, before + 160, sizeof(area) - 160);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(known_singles, reset),
		cmocka_unit_test_setup(round_trips, reset),
		cmocka_unit_test_setup(initial_configuration, reset),
		cmocka_unit_test_setup(pointers_of_the_last_instruction, reset),
		cmocka_unit_test_setup(data_pointer_of_exceptions_only, reset),
		cmocka_unit_test_setup(unmasked_exceptions, reset),
		cmocka_unit_test_setup(abandoned, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
