/* SPDX-License-Identifier: MIT */
/* Decode: rows that the assembler emitted, every ModRM and SIB, prefixes, refusals, lengths. */
#include "mmio/decode.h"
#include "tests/unit/decode_rows.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each instruction with its length in front. */
#define EMIT(text, ...) ".byte 2f - 1f\n1: " text "\n2:\n"
asm(".pushsection .rodata\n"
    "rows_64: .code64\n" ROWS_64(EMIT) "rows_32: .code32\n" ROWS_32(EMIT) "rows_16: .code16\n" ROWS_16(
	    EMIT) ".code64\n"
		  ".popsection\n");
extern const uint8_t rows_64[], rows_32[], rows_16[];

struct row {
	const char *text;
	struct insn insn;
};

#define EXPECT(text, ...) {text, {__VA_ARGS__}},
static const struct row expected_64[] = {ROWS_64(EXPECT)};
static const struct row expected_32[] = {ROWS_32(EXPECT)};
static const struct row expected_16[] = {ROWS_16(EXPECT)};

static void assert_same_insn(const struct insn *got, const struct insn *wanted)
{
	assert_int_equal(got->length, wanted->length);
	assert_int_equal(got->op, wanted->op);
	assert_int_equal(got->memory_size, wanted->memory_size);
	assert_int_equal(got->register_size, wanted->register_size);
	assert_int_equal(got->reg, wanted->reg);
	assert_int_equal(got->high_byte, wanted->high_byte);
	assert_int_equal(got->base, wanted->base);
	assert_int_equal(got->index, wanted->index);
	assert_int_equal(got->scale, wanted->scale);
	assert_int_equal(got->segment, wanted->segment);
	assert_int_equal(got->address_size, wanted->address_size);
	assert_int_equal(got->rip_relative, wanted->rip_relative);
	assert_int_equal(got->disp, wanted->disp);
	assert_int_equal(got->imm, wanted->imm);
}

/* Decodes a copy whose last byte is the last of its allocation, so that reading on is seen. */
static enum decode_status decode_exactly(const uint8_t *bytes, unsigned count, unsigned bits, struct insn *insn)
{
	uint8_t *copy = malloc(count ? count : 1);
	enum decode_status status;

	assert_non_null(copy);
	memcpy(copy, bytes, count);
	status = insn_decode(count ? copy : copy + 1, count, bits, insn);
	free(copy);
	return status;
}

static void check_rows(const struct row *rows, size_t count, const uint8_t *code, unsigned bits)
{
	for (size_t i = 0; i < count; i++) {
		struct insn wanted = rows[i].insn, insn = {0};
		unsigned length = *code++;
		enum decode_status status = decode_exactly(code, length, bits, &insn);

		wanted.length = (uint8_t)length;
		if (status != DECODE_OK || memcmp(&insn, &wanted, sizeof(insn)) != 0)
			print_message("%u-bit: %s\n", bits, rows[i].text);
		assert_int_equal(status, DECODE_OK);
		assert_same_insn(&insn, &wanted);
		for (unsigned part = 0; part < length; part++)
			assert_int_equal(decode_exactly(code, part, bits, &insn), DECODE_MORE);
		code += length;
	}
}

static void decodes_what_the_assembler_emits(void **context)
{
	(void)context;
	check_rows(expected_64, ARRAY_SIZE(expected_64), rows_64, 64);
	check_rows(expected_32, ARRAY_SIZE(expected_32), rows_32, 32);
	check_rows(expected_16, ARRAY_SIZE(expected_16), rows_16, 16);
}

/* What tables 2-2 and 2-3 of the SDM, vol. 2, say; written out apart from the decoder. */
static struct insn address_of(uint8_t modrm, uint8_t sib, unsigned rex, unsigned bits)
{
	struct insn insn = {.base = NONE, .index = NONE, .segment = TL_DS};
	unsigned mod = modrm / 64, rm = modrm % 8;
	unsigned disp_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	unsigned low_base = rm;

	insn.length = 2;
	if (rm == 4) {
		insn.length = 3;
		low_base = sib % 8;
		if (sib / 8 % 8 != 4 || rex & 2) {
			insn.index = (uint8_t)(sib / 8 % 8 + (rex & 2 ? 8 : 0));
			insn.scale = sib / 64;
		}
	}
	if (low_base == 5 && mod == 0) {
		disp_bytes = 4;
		insn.rip_relative = rm == 5 && bits == 64;
	} else {
		insn.base = (uint8_t)(low_base + (rex & 1 ? 8 : 0));
		if (insn.base == RSP || insn.base == RBP)
			insn.segment = TL_SS;
	}
	insn.disp = disp_bytes == 1 ? (int8_t)0x81 : disp_bytes == 4 ? (int32_t)0x84838281 : 0;
	insn.length = (uint8_t)(insn.length + disp_bytes);
	return insn;
}

static void check_modrm_sib(unsigned modrm, unsigned sib, unsigned rex, unsigned bits)
{
	uint8_t bytes[16] = {0};
	unsigned at = 0;
	struct insn insn, wanted = address_of((uint8_t)modrm, (uint8_t)sib, rex, bits);
	enum decode_status status;

	if (rex)
		bytes[at++] = (uint8_t)rex;
	bytes[at++] = 0x8b;
	bytes[at++] = (uint8_t)modrm;
	if (modrm % 8 == 4)
		bytes[at++] = (uint8_t)sib;
	memcpy(bytes + at, "\x81\x82\x83\x84", 4);
	status = insn_decode(bytes, sizeof(bytes), bits, &insn);
	if (modrm >= 0xc0) {
		assert_int_equal(status, DECODE_UNSUPPORTED);
		return;
	}
	wanted.op = INSN_LOAD;
	wanted.length = (uint8_t)(wanted.length + (rex != 0));
	wanted.register_size = wanted.memory_size = rex & 8 ? 8 : 4;
	wanted.reg = (uint8_t)(modrm / 8 % 8 + (rex & 4 ? 8 : 0));
	wanted.address_size = (uint8_t)(bits / 8);
	assert_int_equal(status, DECODE_OK);
	/* One comparison for a million cases; field by field only to show what differs. */
	if (memcmp(&insn, &wanted, sizeof(insn)) != 0)
		assert_same_insn(&insn, &wanted);
}

static void decodes_every_modrm_and_sib(void **context)
{
	(void)context;
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		for (unsigned sib = 0; sib < 256; sib++) {
			check_modrm_sib(modrm, sib, 0, 32);
			check_modrm_sib(modrm, sib, 0, 64);
			for (unsigned rex = 0x40; rex < 0x50; rex++)
				check_modrm_sib(modrm, sib, rex, 64);
		}
	}
}

static void decodes_every_16_bit_modrm(void **context)
{
	static const struct {
		uint8_t base, index, segment;
	} table[8] = {
		{RBX, RSI, TL_DS},  {RBX, RDI, TL_DS},  {RBP, RSI, TL_SS},  {RBP, RDI, TL_SS},
		{RSI, NONE, TL_DS}, {RDI, NONE, TL_DS}, {RBP, NONE, TL_SS}, {RBX, NONE, TL_DS},
	};

	(void)context;
	for (unsigned modrm = 0; modrm < 256; modrm++) {
		const uint8_t bytes[16] = {0x8b, (uint8_t)modrm, 0x90, 0x91};
		unsigned mod = modrm >> 6, rm = modrm & 7;
		bool absolute = mod == 0 && rm == 6;
		struct insn insn, wanted = {
					  .op = INSN_LOAD,
					  .length = (uint8_t)(2 + (absolute ? 2 : mod)),
					  .memory_size = 2,
					  .register_size = 2,
					  .reg = modrm >> 3 & 7,
					  .base = absolute ? NONE : table[rm].base,
					  .index = absolute ? NONE : table[rm].index,
					  .segment = absolute ? TL_DS : table[rm].segment,
					  .address_size = 2,
					  .disp = absolute || mod == 2 ? (int16_t)0x9190
						  : mod == 1           ? (int8_t)0x90
								       : 0,
				  };
		enum decode_status status = insn_decode(bytes, sizeof(bytes), 16, &insn);

		assert_int_equal(status, mod == 3 ? DECODE_UNSUPPORTED : DECODE_OK);
		if (mod != 3)
			assert_same_insn(&insn, &wanted);
	}
}

static void prefixes_do_what_they_should(void **context)
{
	/* clang-format off */
	static const struct {
		unsigned bits;
		uint8_t length, bytes[10];
		uint8_t memory_size, address_size, segment, reg;
	} cases[] = {
		{64, 3, {0x66, 0x8b, 0x03}, 2, 8, TL_DS, RAX},
		{64, 4, {0x66, 0x48, 0x8b, 0x03}, 8, 8, TL_DS, RAX},	    /* REX.W is stronger */
		{64, 4, {0x48, 0x66, 0x8b, 0x03}, 2, 8, TL_DS, RAX},	    /* a REX too early counts for nothing */
		{64, 4, {0x44, 0x48, 0x8b, 0x03}, 8, 8, TL_DS, RAX},	    /* of two the last counts */
		{64, 4, {0x66, 0x66, 0x8b, 0x03}, 2, 8, TL_DS, RAX},	    /* no toggle */
		{64, 3, {0x67, 0x8b, 0x03}, 4, 4, TL_DS, RAX},
		{64, 3, {0xf2, 0x8b, 0x03}, 4, 8, TL_DS, RAX},
		{64, 3, {0xf3, 0x89, 0x03}, 4, 8, TL_DS, RAX},
		{64, 3, {0x26, 0x8b, 0x03}, 4, 8, TL_DS, RAX},		    /* ES does nothing here */
		{64, 4, {0x64, 0x2e, 0x8b, 0x03}, 4, 8, TL_FS, RAX},	    /* nor does CS undo FS */
		{64, 4, {0x64, 0x65, 0x8b, 0x03}, 4, 8, TL_GS, RAX},
		{64, 7, {0x67, 0x46, 0xa1, 1, 2, 3, 4}, 4, 4, TL_DS, RAX}, /* REX.R does not reach moffs */
		{32, 3, {0x66, 0x8b, 0x03}, 2, 4, TL_DS, RAX},
		{32, 3, {0x67, 0x8b, 0x07}, 4, 2, TL_DS, RAX},
		{32, 4, {0x64, 0x2e, 0x8b, 0x03}, 4, 4, TL_CS, RAX},
		{32, 3, {0x36, 0x8b, 0x03}, 4, 4, TL_SS, RAX},
		{32, 4, {0x3e, 0x8b, 0x45, 0x00}, 4, 4, TL_DS, RAX},
		{16, 3, {0x66, 0x8b, 0x07}, 4, 2, TL_DS, RAX},
		{16, 3, {0x67, 0x8b, 0x03}, 2, 4, TL_DS, RAX},
		{16, 4, {0x66, 0x67, 0x8b, 0x03}, 4, 4, TL_DS, RAX},
		{16, 3, {0x26, 0x8b, 0x07}, 2, 2, TL_ES, RAX},
	};
	/* clang-format on */
	struct insn insn;

	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned length = cases[i].length;

		assert_int_equal(decode_exactly(cases[i].bytes, length, cases[i].bits, &insn), DECODE_OK);
		assert_int_equal(insn.length, length);
		assert_int_equal(insn.memory_size, cases[i].memory_size);
		assert_int_equal(insn.address_size, cases[i].address_size);
		assert_int_equal(insn.segment, cases[i].segment);
		assert_int_equal(insn.reg, cases[i].reg);
	}
}

static void refuses_what_it_should(void **context)
{
	/* clang-format off */
	static const struct {
		unsigned bits;
		uint8_t length, bytes[8];
		enum decode_status status;
	} cases[] = {
		{64, 3, {0xf0, 0x8b, 0x03}, DECODE_INVALID},	   /* LOCK */
		{64, 3, {0xf0, 0x89, 0x03}, DECODE_INVALID},
		{64, 3, {0xf0, 0x8b, 0xc3}, DECODE_INVALID},
		{64, 4, {0xf0, 0xc6, 0x03, 0x00}, DECODE_INVALID},
		{32, 6, {0xf0, 0xa1, 0, 0, 0, 0}, DECODE_INVALID},
		{64, 4, {0xf0, 0x0f, 0xb6, 0x03}, DECODE_INVALID},
		{64, 3, {0xc6, 0x0b, 0x00}, DECODE_INVALID},	   /* C6 /1 */
		{64, 6, {0xc7, 0x3b, 0, 0, 0, 0}, DECODE_INVALID}, /* C7 /7 */
		{64, 4, {0x66, 0x0f, 0xc3, 0x03}, DECODE_INVALID}, /* MOVNTI with prefixes, with a register */
		{64, 4, {0xf2, 0x0f, 0xc3, 0x03}, DECODE_INVALID},
		{64, 4, {0xf3, 0x0f, 0xc3, 0x03}, DECODE_INVALID},
		{64, 3, {0x0f, 0xc3, 0xc3}, DECODE_INVALID},
		{64, 2, {0x8b, 0xc3}, DECODE_UNSUPPORTED},	   /* registers only */
		{64, 3, {0xc6, 0xf8, 0x00}, DECODE_UNSUPPORTED},   /* XABORT */
		{64, 3, {0x0f, 0xae, 0x03}, DECODE_UNSUPPORTED},   /* FXSAVE */
		{64, 3, {0x0f, 0x58, 0x03}, DECODE_UNSUPPORTED},   /* ADDPS */
		{64, 3, {0xf0, 0x39, 0x03}, DECODE_INVALID},	   /* LOCK CMP writes nothing */
		{64, 3, {0xf0, 0x01, 0xc3}, DECODE_INVALID},	   /* LOCK ADD with registers */
		{64, 1, {0x06}, DECODE_INVALID},		   /* PUSH ES */
		{64, 2, {0x0f, 0x0b}, DECODE_UNSUPPORTED},
		{32, 1, {0x40}, DECODE_UNSUPPORTED},		   /* INC EAX: no REX here */
		{64, 4, {0xc5, 0xf8, 0x58, 0x03}, DECODE_UNSUPPORTED}, /* VADDPS */
		{64, 4, {0xc5, 0xe8, 0x10, 0x03}, DECODE_INVALID},     /* VMOVUPS with a second source */
		{64, 5, {0x66, 0xc5, 0xf8, 0x10, 0x03}, DECODE_INVALID},
	};
	/* clang-format on */
	struct insn insn;

	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(decode_exactly(cases[i].bytes, cases[i].length, cases[i].bits, &insn),
				 cases[i].status);
}

/* Prefixes that change nothing before each kind of field: the limit is met in every one of them. */
static void keeps_to_15_bytes(void **context)
{
	/* clang-format off */
	static const struct {
		uint8_t length, bytes[10];
	} tails[] = {
		{2, {0x8b, 0x03}},
		{3, {0x8b, 0x43, 1}},
		{3, {0x8b, 0x04, 0x24}},
		{6, {0x8b, 0x83, 1, 2, 3, 4}},
		{3, {0x0f, 0xb6, 0x03}},
		{10, {0xc7, 0x83, 1, 2, 3, 4, 5, 6, 7, 8}},
		{3, {0xc6, 0x03, 1}},
		{9, {0xa0, 1, 2, 3, 4, 5, 6, 7, 8}},
	};
	/* clang-format on */
	uint8_t bytes[32];
	struct insn insn;

	(void)context;
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		for (unsigned prefixes = 0; prefixes <= 16; prefixes++) {
			unsigned length = prefixes + tails[i].length;

			memset(bytes, 0xf3, sizeof(bytes));
			memcpy(bytes + prefixes, tails[i].bytes, sizeof(tails[i].bytes));
			for (unsigned available = 0; available <= 20; available++) {
				enum decode_status status = decode_exactly(bytes, available, 64, &insn);

				if (length <= 15 && available >= length)
					assert_int_equal(status, DECODE_OK);
				else if (available >= 15)
					assert_int_equal(status, DECODE_TOO_LONG);
				else
					assert_true(status == DECODE_MORE ||
						    (status == DECODE_TOO_LONG && length > 15));
				if (status == DECODE_OK)
					assert_int_equal(insn.length, length);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_what_the_assembler_emits), cmocka_unit_test(decodes_every_modrm_and_sib),
		cmocka_unit_test(decodes_every_16_bit_modrm),       cmocka_unit_test(prefixes_do_what_they_should),
		cmocka_unit_test(refuses_what_it_should),           cmocka_unit_test(keeps_to_15_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
