/* SPDX-License-Identifier: MIT */
/* Vector moves: what of the state they bring into use, and forms that not every CPU has. See test_vector_native.c, too.
 */
#include "mmio/vector.h"
#include "mmio/x87_image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER = 512, AVX = 576, OPMASK = 1088, ZMM_HI256 = 1152, HI16_ZMM = 1664, AREA_BYTES = 2688, MXCSR = 24 };
enum { LEGACY = 3, WITH_AVX = 7, WITH_AVX512 = 0xe7 };

static _Alignas(64) uint8_t area[AREA_BYTES];
static struct xstate xstate;
static uint8_t data[64];

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

/* A state of which nothing is in use, and whose area is not zero. */
static int reset(void **state)
{
	(void)state;
	memset(area, 0xcc, sizeof(area));
	put(area + HEADER, 0, 8);
	xstate = (struct xstate){
		.area = area,
		.enabled = WITH_AVX512,
		.offset = {[XSTATE_AVX] = AVX,
			   [XSTATE_OPMASK] = OPMASK,
			   [XSTATE_ZMM_HI256] = ZMM_HI256,
			   [XSTATE_HI16_ZMM] = HI16_ZMM},
	};
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i + 1);
	return 0;
}

static uint64_t in_use(void)
{
	return get(area + HEADER, 8);
}

static struct insn load_of(enum insn_encoding encoding, unsigned size, unsigned reg)
{
	return (struct insn){
		.op = INSN_VECTOR_LOAD,
		.access = INSN_READ,
		.encoding = (uint8_t)encoding,
		.memory_size = (uint8_t)size,
		.vector_length = (uint8_t)size,
		.reg = (uint8_t)reg,
	};
}

static bool is_all(const uint8_t *bytes, unsigned count, uint8_t value)
{
	for (unsigned i = 0; i < count; i++) {
		if (bytes[i] != value)
			return false;
	}
	return true;
}

static void load(struct insn insn)
{
	assert_int_equal(vector_load(&insn, &xstate, data), -1);
}

static void initial_components_are_zero(void **state)
{
	uint8_t value[64];

	(void)state;
	for (unsigned reg = 0; reg < 32; reg++) {
		xstate_read_vector(&xstate, reg, value);
		assert_true(is_all(value, 64, 0));
	}
	assert_int_equal(xstate_read_opmask(&xstate, 3), 0);
	assert_int_equal(in_use(), 0);
}

static void a_load_initialises_the_component(void **state)
{
	(void)state;
	load(load_of(ENCODING_LEGACY, 16, 2));
	assert_int_equal(in_use(), 1 << XSTATE_SSE);
	assert_true(is_all(area + 160, 32, 0));
	assert_memory_equal(area + 192, data, 16);
	assert_true(is_all(area + 208, 256 - 48, 0));
	assert_true(is_all(area + 416, HEADER - 416, 0xcc));

	load(load_of(ENCODING_EVEX, 64, 17));
	assert_int_equal(in_use(), 1 << XSTATE_SSE | 1 << XSTATE_HI16_ZMM);
	assert_true(is_all(area + HI16_ZMM, 64, 0));
	assert_memory_equal(area + HI16_ZMM + 64, data, 64);
	assert_true(is_all(area + HI16_ZMM + 128, 1024 - 128, 0));

	/* Zeros above bit 127 don't bring AVX or ZMM into use. */
	load(load_of(ENCODING_VEX, 16, 2));
	assert_int_equal(in_use(), 1 << XSTATE_SSE | 1 << XSTATE_HI16_ZMM);
	xstate_write_opmask(&xstate, 2, 5);
	assert_int_equal(in_use() >> XSTATE_OPMASK & 1, 1);
	assert_int_equal(get(area + OPMASK + 16, 8), 5);
	assert_int_equal(get(area + OPMASK + 24, 8), 0);
}

static void what_a_load_leaves_above(void **state)
{
	uint8_t value[64];

	(void)state;
	load(load_of(ENCODING_EVEX, 64, 5));
	load(load_of(ENCODING_LEGACY, 4, 5));
	xstate_read_vector(&xstate, 5, value);
	assert_memory_equal(value, data, 4);
	assert_true(is_all(value + 4, 12, 0));
	assert_memory_equal(value + 16, data + 16, 48);
	load(load_of(ENCODING_VEX, 32, 5));
	xstate_read_vector(&xstate, 5, value);
	assert_memory_equal(value, data, 32);
	assert_true(is_all(value + 32, 32, 0));
}

/* AVX-512 that the guest has not enabled, or the CPU does not have: zeros, and nothing of the area is touched. */
static void components_that_are_not_there(void **state)
{
	uint8_t before[AREA_BYTES], value[64];

	(void)state;
	put(area + HEADER, ~0ull, 8);
	memcpy(before, area, sizeof(area));
	xstate.enabled = WITH_AVX;
	xstate.offset[XSTATE_AVX] = 0;
	xstate_write_opmask(&xstate, 1, 0xff);
	load(load_of(ENCODING_EVEX, 64, 20));
	assert_memory_equal(area, before, sizeof(area));
	xstate_read_vector(&xstate, 20, value);
	assert_true(is_all(value, 64, 0));
	load(load_of(ENCODING_VEX, 32, 1));
	assert_memory_equal(area + 416, before + 416, sizeof(area) - 416);
}

static void opmasks(void **state)
{
	struct insn insn = load_of(ENCODING_EVEX, 64, 9);
	uint8_t value[64];

	(void)state;
	load(insn);
	xstate_write_opmask(&xstate, 6, 0xfff0000000000005);
	insn.opmask = 6;
	insn.element = 4;
	assert_int_equal(vector_mask(&insn, &xstate), 0xf0f);
	memset(data, 0x77, sizeof(data));
	load(insn);
	xstate_read_vector(&xstate, 9, value);
	assert_true(is_all(value, 4, 0x77));
	assert_int_equal(value[4], 5);
	assert_true(is_all(value + 8, 4, 0x77));
	assert_int_equal(value[63], 64);
	insn.flags = INSN_ZEROING;
	load(insn);
	xstate_read_vector(&xstate, 9, value);
	assert_true(is_all(value + 8, 4, 0x77));
	assert_true(is_all(value + 4, 4, 0));
	assert_true(is_all(value + 12, 52, 0));

	/* Element 1 is wanted only in the third copy of 16 bytes. */
	xstate_write_opmask(&xstate, 6, 1 << 9);
	insn.op = INSN_VECTOR_BROADCAST;
	insn.memory_size = 16;
	assert_int_equal(vector_mask(&insn, &xstate), 0xf0);
	insn.element = 1;
	insn.memory_size = 1;
	assert_int_equal(vector_mask(&insn, &xstate), 1);

	insn.op = INSN_VECTOR_EXTRACT;
	insn.memory_size = 32;
	insn.element = 8;
	assert_int_equal(vector_mask(&insn, &xstate), 0);
	assert_int_equal(vector_fault_mask(&insn, &xstate), 0xffffffff);
}

static void mxcsr(void **state)
{
	const struct insn insn = {.op = INSN_LDMXCSR, .memory_size = 4, .vector_length = 16};

	(void)state;
	put(area + MXCSR, 0x1f80, 4);
	put(area + MXCSR + 4, 0, 4); /* without a mask: DAZ is reserved */
	put(data, 0x1fc0, 4);
	assert_int_equal(vector_load(&insn, &xstate, data), 13);
	assert_int_equal(xstate_read_mxcsr(&xstate), 0x1f80);
	put(area + MXCSR + 4, 0xffff, 4);
	assert_int_equal(vector_load(&insn, &xstate, data), -1);
	assert_int_equal(xstate_read_mxcsr(&xstate), 0x1fc0);
	put(data, 0x11fc0, 4);
	assert_int_equal(vector_load(&insn, &xstate, data), 13);
	assert_int_equal(in_use(), 0);
}

/* 512 bytes and no more: the sanitizer knows. */
static void fxsave_areas(void **state)
{
	static _Alignas(64) uint8_t fxsave[512];
	_Alignas(64) uint8_t scratch[512];
	struct xstate copy;
	uint8_t value[64];

	(void)state;
	for (unsigned i = 0; i < sizeof(fxsave); i++)
		fxsave[i] = (uint8_t)i;
	xstate = (struct xstate){.area = fxsave, .enabled = LEGACY, .fxsave = true};
	xstate_read_vector(&xstate, 15, value);
	assert_memory_equal(value, fxsave + 400, 16);
	assert_true(is_all(value + 16, 48, 0));
	load(load_of(ENCODING_LEGACY, 16, 15));
	assert_memory_equal(fxsave + 400, data, 16);
	xstate_fork_x87(&copy, &xstate, scratch);
	x87_enter_mmx(&copy);
	assert_int_equal(fxsave[4], 4);
	xstate_join_x87(&xstate, &copy);
	assert_int_equal(fxsave[4], 0xff);
}

static void mmx_registers_are_physical(void **state)
{
	struct insn insn = {.op = INSN_MMX_LOAD, .access = INSN_READ, .memory_size = 8, .vector_length = 8, .reg = 1};
	struct x87_image image;

	(void)state;
	x87_image_read(&xstate, &image);
	for (unsigned i = 0; i < 8; i++)
		image.st[i].significand = 100 + i;
	image.fsw = 6 << X87_TOP_SHIFT; /* ST(0) is R6, ST(2) is R0 */
	x87_image_write(&xstate, &image);
	assert_int_equal(x87_read_mmx(&xstate, 0), 102);
	load(insn);
	x87_image_read(&xstate, &image);
	assert_int_equal(x87_top(&image), 0);
	assert_int_equal(image.valid, 0xff);
	assert_int_equal(image.st[0].significand, 102);
	assert_int_equal(image.st[1].significand, 0x0807060504030201);
	assert_int_equal(image.st[1].sign_exponent, 0xffff);
	assert_int_equal(image.st[6].significand, 100);

	image.valid = 0;
	x87_image_write(&xstate, &image);
	insn.op = INSN_MMX_STORE;
	insn.access = INSN_WRITE;
	insn.reg = 6;
	vector_store(&insn, &xstate, data);
	assert_int_equal(get(data, 8), 100);
	x87_image_read(&xstate, &image);
	assert_int_equal(image.valid, 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(initial_components_are_zero, reset),
		cmocka_unit_test_setup(a_load_initialises_the_component, reset),
		cmocka_unit_test_setup(what_a_load_leaves_above, reset),
		cmocka_unit_test_setup(components_that_are_not_there, reset),
		cmocka_unit_test_setup(opmasks, reset),
		cmocka_unit_test_setup(mxcsr, reset),
		cmocka_unit_test_setup(fxsave_areas, reset),
		cmocka_unit_test_setup(mmx_registers_are_physical, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
