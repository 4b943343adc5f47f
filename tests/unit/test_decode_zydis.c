/* SPDX-License-Identifier: MIT */
/* Decode against Zydis on random byte strings: the same instruction, or a refusal by both. Needs libzydis-dev. */
#include "mmio/decode.h"
#include <Zydis/Zydis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { STRINGS = 600000, MAX = INSN_MAX_LENGTH };

struct machine {
	ZydisMachineMode mode;
	ZydisStackWidth stack;
	unsigned bits;
};

static const struct machine machines[] = {
	{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, 64},
	{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, 32},
	{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, 16},
};

static struct {
	unsigned long same, refused, other;
} counts;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) * n >> 32);
}

/* Mostly prefixes, a REX and one of our opcodes; the rest at random. */
static void make_string(uint8_t *bytes)
{
	static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x48};
	static const uint8_t one[] = {0x63, 0x88, 0x89, 0x8a, 0x8b, 0xa0, 0xa1, 0xa2, 0xa3, 0xc6, 0xc7};
	static const uint8_t two[] = {0xb6, 0xb7, 0xbe, 0xbf, 0xc3};
	unsigned at = 0, nr_prefixes = random_below(16) ? random_below(4) : random_below(15);

	for (unsigned i = 0; i < 24; i++)
		bytes[i] = (uint8_t)random_below(256);
	while (at < nr_prefixes) {
		uint8_t prefix = prefixes[random_below(sizeof(prefixes))];

		/* LOCK makes nearly everything invalid: not too often. */
		bytes[at++] = prefix == 0xf0 && random_below(4) ? 0x66 : prefix;
	}
	if (random_below(2))
		bytes[at++] = (uint8_t)(0x40 | random_below(16));
	switch (random_below(8)) {
	case 0:
		break;
	case 1:
	case 2:
	case 3:
		bytes[at++] = 0x0f;
		bytes[at++] = two[random_below(sizeof(two))];
		break;
	default:
		bytes[at++] = one[random_below(sizeof(one))];
		if (random_below(2))
			bytes[at] &= 0xc7;
	}
}

static unsigned register_number(ZydisRegister reg)
{
	return reg == ZYDIS_REGISTER_NONE ? INSN_NO_REGISTER : (unsigned)ZydisRegisterGetId(reg);
}

static const ZydisDecodedOperand *find_operand(const ZydisDecodedInstruction *zydis,
					       const ZydisDecodedOperand *operands, ZydisOperandType type)
{
	for (unsigned i = 0; i < zydis->operand_count_visible; i++) {
		if (operands[i].type == type)
			return &operands[i];
	}
	return NULL;
}

/* Whether it is one of the forms that the table holds. */
static bool is_ours(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	if (zydis->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	if (!find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_MEMORY))
		return false;
	switch (zydis->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return zydis->opcode != 0x8c && zydis->opcode != 0x8e; /* segment registers */
	case ZYDIS_MNEMONIC_MOVZX:
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
	case ZYDIS_MNEMONIC_MOVNTI:
		return true;
	default:
		return false;
	}
}

static enum insn_op expected_op(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	if (zydis->mnemonic == ZYDIS_MNEMONIC_MOVSX || zydis->mnemonic == ZYDIS_MNEMONIC_MOVSXD)
		return INSN_LOAD_SX;
	if (operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER)
		return INSN_LOAD;
	return operands[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? INSN_STORE_IMM : INSN_STORE;
}

static void compare_memory(const struct insn *insn, const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *op)
{
	ZydisRegister base = op->mem.base;
	bool rip = base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP;

	/* MOVSXD to 16 bits reads 16 by the SDM; Zydis has it as AMD does, reading 32. */
	if (zydis->mnemonic == ZYDIS_MNEMONIC_MOVSXD && insn->register_size == 2)
		assert_int_equal(insn->memory_size, 2);
	else
		assert_int_equal(insn->memory_size * 8, op->size);
	assert_int_equal(insn->address_size * 8, zydis->address_width);
	assert_int_equal(insn->rip_relative, rip);
	assert_int_equal(insn->base, rip ? INSN_NO_REGISTER : register_number(base));
	assert_int_equal(insn->index, register_number(op->mem.index));
	assert_int_equal(1 << insn->scale, op->mem.index == ZYDIS_REGISTER_NONE ? 1 : op->mem.scale);
	assert_int_equal(insn->segment, ZydisRegisterGetId(op->mem.segment));
	/* Zydis extends a moffs by its sign. */
	if (zydis->opcode >= 0xa0 && zydis->opcode <= 0xa3)
		assert_int_equal(insn->disp, (uint64_t)op->mem.disp.value & ~0ull >> (64 - zydis->address_width));
	else
		assert_int_equal(insn->disp, op->mem.disp.value);
}

static void compare_register(const struct insn *insn, const ZydisDecodedOperand *op)
{
	ZydisRegister reg;

	if (!op) {
		assert_int_equal(insn->reg, INSN_NO_REGISTER);
		assert_int_equal(insn->register_size, 0);
		return;
	}
	reg = op->reg.value;
	assert_int_equal(insn->register_size * 8, op->size);
	assert_int_equal(insn->high_byte, reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH);
	if (insn->high_byte)
		assert_int_equal(insn->reg, reg - ZYDIS_REGISTER_AH);
	else if (insn->register_size == 1)
		assert_int_equal(insn->reg,
				 reg >= ZYDIS_REGISTER_SPL ? reg - ZYDIS_REGISTER_SPL + 4 : reg - ZYDIS_REGISTER_AL);
	else
		assert_int_equal(insn->reg, register_number(reg));
}

static void compare(const struct insn *insn, const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *immediate = find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_IMMEDIATE);

	assert_int_equal(insn->length, zydis->length);
	assert_int_equal(insn->op, expected_op(zydis, operands));
	compare_memory(insn, zydis, find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_MEMORY));
	compare_register(insn, find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_REGISTER));
	if (immediate)
		assert_int_equal(insn->imm, immediate->imm.value.u & ~0ull >> (64 - 8 * insn->memory_size));
	else
		assert_int_equal(insn->imm, 0);
}

/* With less than the whole instruction the answer is "more", and nothing beyond is read (the buffer ends there). */
static void decode_parts(const uint8_t *bytes, unsigned length, unsigned bits)
{
	uint8_t *buffer = malloc(MAX);
	struct insn insn;

	for (unsigned part = 0; part < length; part++) {
		memcpy(buffer + MAX - part, bytes, part);
		assert_int_equal(insn_decode(buffer + MAX - part, part, bits, &insn), DECODE_MORE);
	}
	free(buffer);
}

/*
 * Zydis 4.0.0 takes SIB base 101b with mod 0, REX.B and 32-bit addresses for R13 without a displacement. There is no
 * base and a disp32, as with 64-bit addresses (SDM vol. 2, table 2-5); test_emulate.c asks the CPU.
 */
static bool zydis_is_wrong(const ZydisDecodedInstruction *zydis)
{
	return zydis->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && zydis->address_width == 32 &&
	       zydis->attributes & ZYDIS_ATTRIB_HAS_SIB && zydis->raw.modrm.mod == 0 && zydis->raw.sib.base == 5 &&
	       zydis->raw.rex.B;
}

static void show(const uint8_t *bytes, const struct machine *machine, enum decode_status status, ZyanStatus zydis)
{
	print_message("%u-bit, status %d, Zydis %08x:", machine->bits, status, zydis);
	for (unsigned i = 0; i < MAX; i++)
		print_message(" %02x", bytes[i]);
	print_message("\n");
}

static void check_string(const ZydisDecoder *decoder, const struct machine *machine, const uint8_t *bytes)
{
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct insn insn;
	ZyanStatus result = ZydisDecoderDecodeFull(decoder, bytes, MAX + 1, &zydis, operands);
	enum decode_status status = insn_decode(bytes, MAX + 1, machine->bits, &insn);
	bool fits;

	if (ZYAN_SUCCESS(result) && zydis_is_wrong(&zydis))
		return;
	switch (status) {
	case DECODE_OK:
		fits = ZYAN_SUCCESS(result) && is_ours(&zydis, operands);
		break;
	case DECODE_UNSUPPORTED:
		fits = !ZYAN_SUCCESS(result) || !is_ours(&zydis, operands);
		break;
	case DECODE_TOO_LONG:
		fits = result == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || result == ZYDIS_STATUS_DECODING_ERROR ||
		       result == ZYDIS_STATUS_ILLEGAL_LOCK;
		break;
	default:
		fits = status == DECODE_INVALID && !ZYAN_SUCCESS(result);
	}
	if (!fits)
		show(bytes, machine, status, result);
	assert_true(fits);
	if (status == DECODE_OK) {
		compare(&insn, &zydis, operands);
		decode_parts(bytes, insn.length, machine->bits);
		counts.same++;
	} else if (status == DECODE_UNSUPPORTED) {
		counts.other++;
	} else {
		counts.refused++;
	}
}

static void agrees_with_zydis(void **context)
{
	uint8_t bytes[24];

	(void)context;
	for (unsigned m = 0; m < sizeof(machines) / sizeof(machines[0]); m++) {
		ZydisDecoder decoder;

		assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, machines[m].mode, machines[m].stack)));
		for (unsigned i = 0; i < STRINGS; i++) {
			make_string(bytes);
			check_string(&decoder, &machines[m], bytes);
		}
	}
	print_message("%lu decoded alike, %lu refused by both, %lu not emulated\n", counts.same, counts.refused,
		      counts.other);
	/* A generator that no longer makes instructions must not pass. */
	assert_true(counts.same > STRINGS);
	assert_true(counts.refused > STRINGS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_zydis)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
