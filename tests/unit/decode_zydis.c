/* SPDX-License-Identifier: MIT */
#include "tests/unit/decode_zydis.h"

#include "mmio/decode.h"
#include "tests/unit/decode_emulated.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { MAX = INSN_MAX_LENGTH };

struct machine {
	ZydisMachineMode mode;
	ZydisStackWidth stack;
	unsigned bits;
};

static const struct machine machines[DECODE_ZYDIS_MODES] = {
	{ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64, 64},
	{ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32, 32},
	{ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16, 16},
};

struct decode_zydis decode_zydis;
static ZydisDecoder decoders[DECODE_ZYDIS_MODES];

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

/* The memory operand that ModRM or moffs names. */
static const ZydisDecodedOperand *explicit_memory(const ZydisDecodedInstruction *zydis,
						  const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *op = find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_MEMORY);

	return op && (op->mem.type == ZYDIS_MEMOP_TYPE_MEM || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN) ? op : NULL;
}

/* Strings, the stack, XLAT, MASKMOV: what they access is implied. */
static bool is_implied(const struct insn *insn)
{
	return insn_unit(insn) == UNIT_STRING || insn->op == INSN_XLAT || insn->op == INSN_VECTOR_MASKMOV ||
	       (insn_unit(insn) == UNIT_STACK && insn->source != SOURCE_MEMORY);
}

static void compare_address(const struct insn *insn, const ZydisDecodedInstruction *zydis,
			    const ZydisDecodedOperand *op)
{
	ZydisRegister base = op->mem.base;
	bool rip = base == ZYDIS_REGISTER_RIP || base == ZYDIS_REGISTER_EIP;

	assert_int_equal(insn->address_size * 8, zydis->address_width);
	assert_int_equal(insn->rip_relative, rip);
	assert_int_equal(insn->base, rip ? INSN_NO_REGISTER : register_number(base));
	assert_int_equal(insn->index, register_number(op->mem.index));
	assert_int_equal(1 << insn->scale, op->mem.index == ZYDIS_REGISTER_NONE ? 1 : op->mem.scale);
	/* 3E before an indirect branch is NOTRACK to Zydis, and overrides nothing; to a CPU without CET it does. */
	if (!(zydis->attributes & ZYDIS_ATTRIB_HAS_NOTRACK))
		assert_int_equal(insn->segment, ZydisRegisterGetId(op->mem.segment));
	/* Zydis extends a moffs by its sign. */
	if (zydis->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT && zydis->opcode >= 0xa0 && zydis->opcode <= 0xa3)
		assert_int_equal(insn->disp, (uint64_t)op->mem.disp.value & ~0ull >> (64 - zydis->address_width));
	else
		assert_int_equal(insn->disp, op->mem.disp.value);
}

/* Where Zydis 4.0.0 has the size of a memory operand otherwise than the SDM. */
static unsigned expected_size(const struct insn *insn, const ZydisDecodedInstruction *zydis,
			      const ZydisDecodedOperand *op)
{
	/* MOVSXD to 16 bits reads 16 by the SDM; Zydis has it as AMD does, reading 32. */
	if (zydis->mnemonic == ZYDIS_MNEMONIC_MOVSXD && insn->register_size == 2)
		return 2;
	return op->size / 8;
}

static void compare_access(const struct insn *insn, const ZydisDecodedOperand *op)
{
	const unsigned read = ZYDIS_OPERAND_ACTION_READ | ZYDIS_OPERAND_ACTION_CONDREAD;
	const unsigned write = ZYDIS_OPERAND_ACTION_WRITE | ZYDIS_OPERAND_ACTION_CONDWRITE;

	assert_int_equal(!!(insn->access & INSN_READ), !!(op->actions & read));
	assert_int_equal(!!(insn->access & INSN_WRITE), !!(op->actions & write));
}

static void compare_general_register(const struct insn *insn, const ZydisDecodedOperand *op)
{
	ZydisRegister reg = op->reg.value;

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

/* The visible operands that are neither memory nor immediate: ours are reg, reg2 and the opmask, in some order. */
static void compare_registers(const struct insn *insn, const ZydisDecodedInstruction *zydis,
			      const ZydisDecodedOperand *operands)
{
	for (unsigned i = 0; i < zydis->operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &operands[i];
		unsigned number;

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		number = register_number(op->reg.value);
		switch (ZydisRegisterGetClass(op->reg.value)) {
		case ZYDIS_REGCLASS_GPR8:
			if (insn->source != SOURCE_CL || op->reg.value != ZYDIS_REGISTER_CL || insn->register_size == 1)
				compare_general_register(insn, op);
			break;
		case ZYDIS_REGCLASS_GPR16:
		case ZYDIS_REGCLASS_GPR32:
		case ZYDIS_REGCLASS_GPR64:
			if (op->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD)
				assert_int_equal(insn->reg2, number);
			else if (insn_unit(insn) == UNIT_DIRECT)
				assert_int_equal(insn->reg, number);
			else if (insn_unit(insn) != UNIT_STRING)
				compare_general_register(insn, op);
			break;
		case ZYDIS_REGCLASS_SEGMENT:
			assert_int_equal(insn->op == INSN_LOAD_FAR ? insn->detail : insn->reg, number);
			break;
		case ZYDIS_REGCLASS_MASK:
			assert_int_equal(op->encoding == ZYDIS_OPERAND_ENCODING_MASK ? insn->opmask : insn->reg,
					 number);
			break;
		case ZYDIS_REGCLASS_MMX:
		case ZYDIS_REGCLASS_XMM:
		case ZYDIS_REGCLASS_YMM:
		case ZYDIS_REGCLASS_ZMM:
			assert_int_equal(op->encoding == ZYDIS_OPERAND_ENCODING_NDSNDD ||
							 op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM
						 ? insn->reg2
						 : insn->reg,
					 number);
			break;
		default:
			break;
		}
	}
}

static void compare_immediate(const struct insn *insn, const ZydisDecodedInstruction *zydis,
			      const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *op = find_operand(zydis, operands, ZYDIS_OPERAND_TYPE_IMMEDIATE);
	/* Zydis extends immediate bytes by their sign. */
	bool is_byte = insn_unit(insn) <= UNIT_ALU && insn->memory_size == 1;
	uint64_t mask = ~0ull >> (64 - 8 * (is_byte ? 1 : insn->operand_size));

	if (insn->op == INSN_ENTER) {
		assert_int_equal(insn->imm & 0xffff, operands[0].imm.value.u);
		assert_int_equal(insn->imm >> 16, operands[1].imm.value.u & 31);
	} else if (insn->op == INSN_CALL && op) {
		assert_int_equal(insn->imm, op->imm.value.u);
	} else if (insn->op == INSN_VECTOR_INSERT && zydis->opcode == 0x21) {
		assert_int_equal(insn->imm << 4 | insn->detail, op->imm.value.u & 0x3f);
	} else if (op) {
		assert_int_equal(insn->imm & mask, op->imm.value.u & mask);
	} else {
		assert_true(insn->imm == 0 || (insn->imm == 1 && insn->op >= INSN_ROL && insn->op <= INSN_SAR));
	}
}

static void compare_vector(const struct insn *insn, const ZydisDecodedInstruction *zydis)
{
	assert_int_equal(insn->encoding, zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX  ? ENCODING_EVEX
					 : zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ? ENCODING_VEX
											     : ENCODING_LEGACY);
	assert_int_equal(!!(insn->flags & INSN_ZEROING), zydis->avx.mask.mode == ZYDIS_MASK_MODE_ZEROING);
	if (insn->opmask)
		assert_true(insn->element != 0);
}

static void compare(const struct insn *insn, const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	const ZydisDecodedOperand *memory = explicit_memory(zydis, operands);

	assert_int_equal(insn->length, zydis->length);
	assert_int_equal(!!(insn->flags & INSN_LOCK), !!(zydis->attributes & ZYDIS_ATTRIB_HAS_LOCK));
	if (is_implied(insn)) {
		if (insn_unit(insn) == UNIT_STRING)
			assert_int_equal(insn->memory_size * 8, operands[0].size == 16 && insn->op >= INSN_OUTS
									? operands[1].size
									: operands[0].size);
	} else {
		assert_non_null(memory);
		assert_int_equal(insn->memory_size, expected_size(insn, zydis, memory));
		compare_address(insn, zydis, memory);
		compare_access(insn, memory);
	}
	compare_registers(insn, zydis, operands);
	compare_immediate(insn, zydis, operands);
	compare_vector(insn, zydis);
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

/* Instructions that no CPU with VMX has: their encodings are #UD. */
static bool is_not_intels(const ZydisDecodedInstruction *zydis)
{
	return zydis->meta.isa_ext == ZYDIS_ISA_EXT_SSE4A || zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
	       zydis->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX;
}

#define NAME(mnemonic) [ZYDIS_MNEMONIC_##mnemonic] = true,
const bool decode_zydis_emulated[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {DECODE_EMULATED(NAME)};

static bool is_emulated(const ZydisDecodedInstruction *zydis, const ZydisDecodedOperand *operands)
{
	/* Of two instructions with this name only the string instruction is. */
	if (zydis->mnemonic == ZYDIS_MNEMONIC_CMPSD && zydis->meta.isa_ext != ZYDIS_ISA_EXT_BASE)
		return false;
	return explicit_memory(zydis, operands) && decode_zydis_emulated[zydis->mnemonic];
}

static void show(const uint8_t *bytes, const struct machine *machine, enum decode_status status, ZyanStatus result,
		 const ZydisDecodedInstruction *zydis)
{
	print_message("%u-bit, status %d, Zydis %08x %s:", machine->bits, status, result,
		      ZYAN_SUCCESS(result) ? ZydisMnemonicGetString(zydis->mnemonic) : "");
	for (unsigned i = 0; i < MAX; i++)
		print_message(" %02x", bytes[i]);
	print_message("\n");
}

void decode_zydis_start(void)
{
	for (unsigned mode = 0; mode < DECODE_ZYDIS_MODES; mode++)
		assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoders[mode], machines[mode].mode, machines[mode].stack)));
}

void decode_zydis_check(unsigned mode, const uint8_t bytes[DECODE_STRING_BYTES])
{
	const struct machine *machine = &machines[mode];
	ZydisDecodedInstruction zydis;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct insn insn;
	ZyanStatus result = ZydisDecoderDecodeFull(&decoders[mode], bytes, MAX + 1, &zydis, operands);
	enum decode_status status = insn_decode(bytes, MAX + 1, machine->bits, &insn);
	bool fits;

	if (ZYAN_SUCCESS(result) && (zydis_is_wrong(&zydis) || is_not_intels(&zydis)))
		return;
	switch (status) {
	case DECODE_OK:
		fits = ZYAN_SUCCESS(result);
		break;
	case DECODE_UNSUPPORTED:
		fits = !ZYAN_SUCCESS(result) || !is_emulated(&zydis, operands);
		break;
	case DECODE_TOO_LONG:
	case DECODE_INVALID:
		/* Of several reasons to refuse it each names another. */
		fits = !ZYAN_SUCCESS(result);
		break;
	default:
		fits = false;
	}
	if (!fits)
		show(bytes, machine, status, result, &zydis);
	assert_true(fits);
	if (status == DECODE_OK) {
		decode_zydis.seen[zydis.mnemonic]++;
		compare(&insn, &zydis, operands);
		if (decode_zydis.same++ % 16 == 0)
			decode_parts(bytes, insn.length, machine->bits);
	} else if (status == DECODE_UNSUPPORTED) {
		decode_zydis.other++;
	} else {
		decode_zydis.refused++;
	}
}
