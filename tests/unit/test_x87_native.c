/* SPDX-License-Identifier: MIT */
/*
 * x87 moves against this machine's CPU: an FXSAVE image is loaded, the instruction executed and the image saved;
 * x87_load() and x87_store() must make the same of a copy. All is compared but the bytes that FXSAVE reserves, and FOP,
 * FIP and FDP where no exception waits: many CPUs do not keep them then.
 */
#include "mmio/x87.h"
#include "mmio/x87_image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { IMAGE_BYTES = 512, MEMORY_BYTES = 16, AT_FTW = 4, AT_FOP = 6, AT_FIP = 8, AT_FDP = 16, AT_MXCSR = 24 };
enum { RANDOM_ROUNDS = 1500000, MASKS = 0x3f, RC_SHIFT = 10, FCW_ONES = 0x40 };

/* The CPU's registers are used between its own FXSAVE and FXRSTOR, so the compiler need not know. */
#define NATIVE(name, text)                                                              \
	static void name(void *image, void *memory)                                     \
	{                                                                               \
		static _Alignas(64) uint8_t own[IMAGE_BYTES];                           \
		__asm__ volatile("fxsave64 (%0)\n\tfxrstor64 (%1)\n\t" text " (%2)\n\t" \
				 "fxsave64 (%1)\n\tfxrstor64 (%0)"                      \
				 :                                                      \
				 : "r"(own), "r"(image), "r"(memory)                    \
				 : "memory");                                           \
	}

NATIVE(fld_m32, "flds")
NATIVE(fld_m64, "fldl")
NATIVE(fld_m80, "fldt")
NATIVE(fild_m16, "filds")
NATIVE(fild_m32, "fildl")
NATIVE(fild_m64, "fildll")
NATIVE(fldcw, "fldcw")
NATIVE(fst_m32, "fsts")
NATIVE(fst_m64, "fstl")
NATIVE(fstp_m32, "fstps")
NATIVE(fstp_m64, "fstpl")
NATIVE(fstp_m80, "fstpt")
NATIVE(fist_m16, "fists")
NATIVE(fist_m32, "fistl")
NATIVE(fistp_m16, "fistps")
NATIVE(fistp_m32, "fistpl")
NATIVE(fistp_m64, "fistpll")
NATIVE(fisttp_m16, "fisttps")
NATIVE(fisttp_m32, "fisttpl")
NATIVE(fisttp_m64, "fisttpll")
NATIVE(fnstcw, "fnstcw")
NATIVE(fnstsw, "fnstsw")

struct row {
	const char *name;
	void (*native)(void *image, void *memory);
	uint8_t opcode, reg, size;
	bool store;
	bool control; /* leaves the pointers */
};

static const struct row rows[] = {
	{"FLD m32", fld_m32, 0xd9, 0, 4, false, false},      {"FLD m64", fld_m64, 0xdd, 0, 8, false, false},
	{"FLD m80", fld_m80, 0xdb, 5, 10, false, false},     {"FILD m16", fild_m16, 0xdf, 0, 2, false, false},
	{"FILD m32", fild_m32, 0xdb, 0, 4, false, false},    {"FILD m64", fild_m64, 0xdf, 5, 8, false, false},
	{"FLDCW", fldcw, 0xd9, 5, 2, false, true},           {"FST m32", fst_m32, 0xd9, 2, 4, true, false},
	{"FST m64", fst_m64, 0xdd, 2, 8, true, false},       {"FSTP m32", fstp_m32, 0xd9, 3, 4, true, false},
	{"FSTP m64", fstp_m64, 0xdd, 3, 8, true, false},     {"FSTP m80", fstp_m80, 0xdb, 7, 10, true, false},
	{"FIST m16", fist_m16, 0xdf, 2, 2, true, false},     {"FIST m32", fist_m32, 0xdb, 2, 4, true, false},
	{"FISTP m16", fistp_m16, 0xdf, 3, 2, true, false},   {"FISTP m32", fistp_m32, 0xdb, 3, 4, true, false},
	{"FISTP m64", fistp_m64, 0xdf, 7, 8, true, false},   {"FISTTP m16", fisttp_m16, 0xdf, 1, 2, true, false},
	{"FISTTP m32", fisttp_m32, 0xdb, 1, 4, true, false}, {"FISTTP m64", fisttp_m64, 0xdd, 1, 8, true, false},
	{"FNSTCW", fnstcw, 0xd9, 7, 2, true, true},          {"FNSTSW", fnstsw, 0xdd, 7, 2, true, true},
};

enum { NR_ROWS = sizeof(rows) / sizeof(rows[0]) };

static unsigned long cases, with_pointers;
static uint64_t seed = 1;

/* xorshift64 */
static uint64_t number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

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

/* A number with long runs of equal bits: what rounding looks at. */
static uint64_t runs(void)
{
	uint64_t value = number();

	switch (number() & 7) {
	case 0:
		return value;
	case 1:
		return ~0ull << (value & 63);
	case 2:
		return ~0ull >> (value & 63);
	case 3:
		return 1ull << (value & 63) | 1ull << (value >> 6 & 63);
	case 4:
		return (~0ull << (value & 63)) + (1ull << (value >> 6 & 63));
	case 5:
		return (~0ull << (value & 63)) ^ 1ull << (value >> 6 & 63);
	case 6:
		return (1ull << (value & 63)) - 1 + (value >> 6 & 3);
	default:
		return 0;
	}
}

/* Exponents at which something changes, for one of the formats, and their neighbours. */
static uint16_t exponent(void)
{
	static const int at[] = {0,  1,  -24, -53, -64,  -126,  -149,  -1022, -1074,
				 15, 31, 63,  127, 1023, 16383, 16384, -16383};
	uint64_t any = number();
	int unbiased = at[any % (sizeof(at) / sizeof(at[0]))] + (int)(any >> 32 & 7) - 3;

	if ((any >> 40 & 7) == 0)
		return (uint16_t)number();
	return (uint16_t)(((unbiased + 16383) & 0x7fff) | (any >> 48 & 1 ? 0x8000 : 0));
}

static uint64_t wide_number(void)
{
	return runs() | (number() & 7 ? 1ull << 63 : 0);
}

static void random_image(uint8_t *image)
{
	uint16_t fcw = (uint16_t)((number() & 0x1f3f) | FCW_ONES);
	uint64_t kind = number();

	memset(image, 0, IMAGE_BYTES);
	if ((kind & 3) == 0)
		fcw |= MASKS;
	put(image, fcw, 2);
	/* Exceptions that are not masked would be raised before the instruction. */
	put(image + 2, number() & 0x7f7f & (uint64_t)(~MASKS | fcw), 2);
	image[AT_FTW] = (uint8_t)(kind & 4 ? 0xff : kind & 8 ? 0 : kind >> 32);
	put(image + AT_MXCSR, 0x1f80, 4);
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++) {
		put(image + 32 + 16ul * i, wide_number(), 8);
		put(image + 40 + 16ul * i, exponent(), 2);
	}
}

/* TOP, and whether the register that the instruction is about counts as empty. */
static void set_slot(uint8_t *image, const struct row *row, bool fault)
{
	unsigned top = (unsigned)(image[3] >> 3 & 7);
	unsigned slot = row->store ? top : (top - 1) & 7;
	bool valid = row->store ? !fault : fault;

	image[AT_FTW] &= (uint8_t) ~(1u << slot);
	image[AT_FTW] |= (uint8_t)(valid << slot);
}

static void show(const char *title, const uint8_t *image, const uint8_t *memory)
{
	printf("%-8s fcw %04x fsw %04x ftw %02x fop %03x fip %llx fdp %llx", title, (unsigned)get(image, 2),
	       (unsigned)get(image + 2, 2), image[AT_FTW], (unsigned)get(image + AT_FOP, 2),
	       (unsigned long long)get(image + AT_FIP, 8), (unsigned long long)get(image + AT_FDP, 8));
	printf(" memory %04x:%016llx\n  ", (unsigned)get(memory + 8, 2), (unsigned long long)get(memory, 8));
	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		printf(" %04x:%016llx", (unsigned)get(image + 40 + 16ul * i, 2),
		       (unsigned long long)get(image + 32 + 16ul * i, 8));
	printf("\n");
}

static bool is_same(const uint8_t *a, const uint8_t *b, bool pointers)
{
	bool same = memcmp(a, b, AT_FTW + 1) == 0;

	for (unsigned i = 0; i < X87_NR_REGISTERS; i++)
		same = same && memcmp(a + 32 + 16ul * i, b + 32 + 16ul * i, 10) == 0;
	if (pointers)
		same = same && memcmp(a + AT_FOP, b + AT_FOP, AT_MXCSR - AT_FOP) == 0;
	return same;
}

/* FIP as the CPU has it, which must be on this instruction; what it should have in FOP and FDP. */
static struct x87_pointers pointers_of(const struct row *row, const uint8_t *native, const void *memory)
{
	struct x87_pointers pointers = {.ip = get(native + AT_FIP, 8), .dp = (uintptr_t)memory};
	const uint8_t *code = (const uint8_t *)(uintptr_t)pointers.ip;

	assert_int_equal(code[0], row->opcode);
	assert_int_equal(code[1] >> 3 & 7, row->reg);
	pointers.opcode = (uint16_t)((code[0] & 7) << 8 | code[1]);
	return pointers;
}

static void compare(const struct row *row, const uint8_t *before, const uint8_t *memory_before)
{
	static _Alignas(64) uint8_t native[IMAGE_BYTES], model[IMAGE_BYTES];
	static uint8_t memory[MEMORY_BYTES], model_memory[MEMORY_BYTES];
	struct insn insn = {.op = row->store ? INSN_X87_STORE : INSN_X87_LOAD,
			    .memory_size = row->size,
			    .detail = (uint8_t)((row->opcode & 7) << 3 | row->reg)};
	struct xstate xstate = {.area = model, .enabled = 3, .fxsave = true};
	uint8_t data[MEMORY_BYTES];
	struct x87_pointers pointers = {0};
	bool has_pointers;

	memcpy(native, before, IMAGE_BYTES);
	memcpy(model, before, IMAGE_BYTES);
	memcpy(memory, memory_before, MEMORY_BYTES);
	memcpy(model_memory, memory_before, MEMORY_BYTES);
	row->native(native, memory);
	has_pointers = !row->control && get(native + 2, 2) & X87_ES;
	if (has_pointers)
		pointers = pointers_of(row, native, memory);
	with_pointers += has_pointers;
	memcpy(data, memory_before, MEMORY_BYTES);
	assert_false(x87_is_pending(&xstate));
	if (!row->store)
		x87_load(&insn, &xstate, &pointers, data);
	else if (x87_store(&insn, &xstate, &pointers, data))
		memcpy(model_memory, data, row->size);
	cases++;
	if (is_same(native, model, has_pointers) && memcmp(memory, model_memory, MEMORY_BYTES) == 0)
		return;
	printf("%s\n", row->name);
	show("before", before, memory_before);
	show("CPU", native, memory);
	show("model", model, model_memory);
	fail();
}

/* A floating-point operand of 4 or 8 bytes whose exponent is at one of the edges. */
static uint64_t binary(unsigned size)
{
	static const uint64_t edges[] = {0, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff, 0x3ff, 0x7fe, 0x7ff};
	unsigned fraction = size == 4 ? 23 : 52;
	uint64_t exponent_at = edges[number() % (sizeof(edges) / sizeof(edges[0]))];

	return (runs() & ((1ull << fraction) - 1)) | exponent_at << fraction | number() << (size * 8 - 1);
}

static void random_operands(void **state)
{
	static _Alignas(64) uint8_t image[IMAGE_BYTES];
	uint8_t memory[MEMORY_BYTES];

	(void)state;
	for (unsigned i = 0; i < RANDOM_ROUNDS; i++) {
		const struct row *row = &rows[number() % NR_ROWS];

		random_image(image);
		if (number() & 15)
			set_slot(image, row, false);
		put(memory, number() & 1 ? binary(row->size == 4 ? 4 : 8) : runs(), 8);
		put(memory + 8, exponent(), 8);
		compare(row, image, memory);
	}
}

/* Every rounding mode and every set of masks with every pair of these. */
static const uint16_t edge_exponents[] = {
	0,     1,     2,     15309, 15310, 15360, 15361, 15362, 16233, 16234, 16256, 16257, 16258, 16381, 16382,
	16383, 16384, 16397, 16398, 16413, 16414, 16445, 16446, 16447, 16510, 16511, 17406, 17407, 32766, 32767,
};
static const uint64_t edge_significands[] = {
	0,
	1,
	1ull << 62,
	(1ull << 63) - 1,
	1ull << 63,
	(1ull << 63) + 1,
	0xa000000000000000,
	0xc000000000000000,
	0xffffff8000000000, /* half of the last place of 24 bits above all ones */
	0xffffff7fffffffff,
	0xfffffffffffffc00, /* the same with 53 bits */
	0xfffffffffffffbff,
	0x8000008000000000,
	0x8000000000000400,
	0xfffe800000000000, /* 16 and 32 bits */
	0xfffffffe80000000,
	0xffffffffffffffff,
};

static void stores_at_the_edges(void **state)
{
	static _Alignas(64) uint8_t image[IMAGE_BYTES];
	uint8_t memory[MEMORY_BYTES];
	unsigned nr_exponents = sizeof(edge_exponents) / sizeof(edge_exponents[0]);
	unsigned nr_significands = sizeof(edge_significands) / sizeof(edge_significands[0]);

	(void)state;
	memset(memory, 0x5a, sizeof(memory));
	random_image(image);
	put(image + 2, 5 << X87_TOP_SHIFT, 2);
	for (unsigned i = 0; i < nr_exponents * nr_significands * 4 * 2; i++) {
		unsigned at = i / 8;

		put(image + 32, edge_significands[at % nr_significands], 8);
		put(image + 40, (uint64_t)edge_exponents[at / nr_significands] | (i & 1 ? 0x8000 : 0), 2);
		for (unsigned r = 0; r < NR_ROWS; r++) {
			static const uint8_t masks[] = {0x3f, 0, 0x20, 0x2f, 0x37};
			bool empty = number() % 32 == 0;

			set_slot(image, &rows[r], empty);
			for (unsigned m = 0; rows[r].store && m < sizeof(masks); m++) {
				put(image, (i >> 1 & 3) << RC_SHIFT | FCW_ONES | masks[m], 2);
				compare(&rows[r], image, memory);
			}
		}
	}
}

static void every_mask_and_stack_fault(void **state)
{
	static _Alignas(64) uint8_t image[IMAGE_BYTES];
	/* 0, denormals, the least normal number, infinity, NaNs of both kinds: as m32 and as m64. */
	static const uint64_t values[8][2] = {
		{0, 0},
		{1, 1},
		{0x7fffff, 0xfffffffffffff},
		{0x800000, 0x10000000000000},
		{0x7f800000, 0x7ff0000000000000},
		{0x7f800001, 0x7ff0000000000001},
		{0x7fc00000, 0x7ff8000000000000},
		{0xffbfffff, 0xfff7ffffffffffff},
	};
	uint8_t memory[MEMORY_BYTES] = {0};

	(void)state;
	for (unsigned i = 0; i < 64u * 8 * 2 * 8; i++) {
		for (unsigned r = 0; r < NR_ROWS; r++) {
			random_image(image);
			put(image, (number() & 0xf00) | FCW_ONES | (i & 63), 2);
			put(image + 2, (uint64_t)(i >> 6 & 7) << X87_TOP_SHIFT, 2);
			set_slot(image, &rows[r], i >> 9 & 1);
			put(memory, values[i >> 10][rows[r].size == 8], 8);
			compare(&rows[r], image, memory);
		}
	}
}

/* FLDCW may uncover exceptions that were masked. */
static void control_words(void **state)
{
	static _Alignas(64) uint8_t image[IMAGE_BYTES];
	uint8_t memory[MEMORY_BYTES] = {0};
	const struct row *row = &rows[0];

	(void)state;
	while (row->native != fldcw)
		row++;
	for (unsigned word = 0; word < 0x10000; word++) {
		random_image(image);
		put(memory, word, 2);
		compare(row, image, memory);
	}
}

static int report(void **state)
{
	(void)state;
	printf("x87 moves against this CPU: %lu cases, %lu of them with FOP, FIP and FDP\n", cases, with_pointers);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operands),
		cmocka_unit_test(stores_at_the_edges),
		cmocka_unit_test(every_mask_and_stack_fault),
		cmocka_unit_test(control_words),
	};

	return cmocka_run_group_tests(tests, NULL, report);
}
