/* SPDX-License-Identifier: MIT */
#include "mmio/emulate.h"
#include "mmio/step.h"
#include <trapline.h>

enum { REX = 0x40, REX_MASK = 0xf0, REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1 };
enum { OPERAND_SIZE = 0x66, CS_OVERRIDE = 0x2e, REP = 0xf3, TWO_BYTE = 0x0f, TWO_BYTES = 0x100 };
enum { CONDITION_Z = 4, CONDITION_NZ = 5 };
enum { NOP = 0x90, LONG_NOP = 0x1f };
enum { MODRM_REGISTER = 3, RM_SIB = 4, RM_DISP32 = 5 };

struct cursor {
	const uint8_t *bytes;
	unsigned at, available;
	unsigned rex;
	unsigned mod, reg, rm; /* of ModRM, without REX */
	bool failed;
};

static uint64_t take(struct cursor *c, unsigned count)
{
	uint64_t value = 0;

	if (c->available - c->at < count) {
		c->failed = true;
		return 0;
	}
	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)c->bytes[c->at++] << (8 * i);
	return value;
}

static uint64_t take_signed(struct cursor *c, unsigned count)
{
	uint64_t value = take(c, count), sign = 1ull << (8 * count - 1);

	return (value ^ sign) - sign;
}

static void take_modrm(struct cursor *c)
{
	unsigned modrm = (unsigned)take(c, 1);

	c->mod = modrm >> 6;
	c->reg = modrm >> 3 & 7;
	c->rm = modrm & 7;
}

/* A register operand; RSP is not in the register file, nor are AH to BH. */
static uint8_t gpr(struct cursor *c, const struct step *s, unsigned low, unsigned rex_bit)
{
	unsigned reg = low | (c->rex & rex_bit ? 8 : 0);

	if (reg == TL_RSP || (s->size == 1 && !c->rex && reg >= 4))
		c->failed = true;
	return (uint8_t)reg;
}

static void set_size(struct step *s, unsigned size)
{
	s->size = (uint8_t)size;
	s->mask = insn_mask[size];
	s->keep = size == 1 ? ~s->mask : 0;
}

/* Bit 0 of most opcodes: bytes, or what REX.W says. */
static void size_of_opcode(const struct cursor *c, struct step *s, unsigned opcode)
{
	set_size(s, !(opcode & 1) ? 1 : c->rex & REX_W ? 8 : 4);
}

static void immediate(struct cursor *c, struct step *s)
{
	s->imm = take_signed(c, s->size == 1 ? 1 : 4);
}

/* ModRM names the first operand, which is a register. */
static void first_is_rm(struct cursor *c, struct step *s)
{
	if (c->mod != MODRM_REGISTER)
		c->failed = true;
	s->reg = gpr(c, s, c->rm, REX_B);
}

/* Both are registers; `to_rm`: the first is what ModRM.rm names. */
static void two_registers(struct cursor *c, struct step *s, bool to_rm)
{
	uint8_t reg;

	take_modrm(c);
	first_is_rm(c, s);
	reg = gpr(c, s, c->reg, REX_R);
	s->source = to_rm ? reg : s->reg;
	s->reg = to_rm ? s->reg : reg;
}

static const uint8_t group_1[] = {STEP_ADD, STEP_OR, STEP_NOP, STEP_NOP, STEP_AND, STEP_SUB, STEP_XOR, STEP_CMP};

/* 00 to 3D. */
static void arithmetic(struct cursor *c, struct step *s, unsigned opcode)
{
	s->op = group_1[opcode >> 3 & 7];
	if (s->op == STEP_NOP || (opcode & 7) > 5)
		c->failed = true;
	size_of_opcode(c, s, opcode);
	if ((opcode & 7) >= 4) {
		s->reg = TL_RAX;
		immediate(c, s);
	} else {
		two_registers(c, s, !(opcode & 2));
	}
}

/* 80, 81, 83. */
static void arithmetic_immediate(struct cursor *c, struct step *s, unsigned opcode)
{
	size_of_opcode(c, s, opcode);
	take_modrm(c);
	s->op = group_1[c->reg];
	if (s->op == STEP_NOP)
		c->failed = true;
	first_is_rm(c, s);
	if (opcode == 0x83)
		s->imm = take_signed(c, 1);
	else
		immediate(c, s);
}

/* C6 and C7, F6 and F7, FE and FF: one operand in a register, and an immediate for those that have /0 only. */
static void group(struct cursor *c, struct step *s, unsigned opcode, enum step_op op, enum step_op op_1)
{
	size_of_opcode(c, s, opcode);
	take_modrm(c);
	s->op = (uint8_t)(c->reg == 0 ? op : op_1);
	if (c->reg > 1 || s->op == STEP_NOP)
		c->failed = true;
	first_is_rm(c, s);
	if (op_1 == STEP_NOP)
		immediate(c, s);
	else
		s->imm = s->op == STEP_DEC ? ~0ull : 1;
}

/* What stands behind ModRM for a memory operand. RIP-relative addresses are left out. */
static void address(struct cursor *c, struct step *s)
{
	unsigned base = c->rm;
	bool has_base = !(c->mod == 0 && base == RM_DISP32);

	if (!has_base || c->mod == MODRM_REGISTER)
		c->failed = true;
	if (base == RM_SIB) {
		unsigned sib = (unsigned)take(c, 1);

		base = sib & 7;
		has_base = !(c->mod == 0 && base == RM_DISP32);
		if ((sib >> 3 & 7) != RM_SIB || c->rex & REX_X) {
			s->index = gpr(c, s, sib >> 3 & 7, REX_X);
			s->scale = (uint8_t)(sib >> 6);
		}
	}
	if (has_base)
		s->source = gpr(c, s, base, REX_B);
	if (c->mod == 1)
		s->imm = take_signed(c, 1);
	else if (c->mod == 2 || !has_base)
		s->imm = take_signed(c, 4);
}

static void load_address(struct cursor *c, struct step *s)
{
	s->op = STEP_MOV;
	set_size(s, c->rex & REX_W ? 8 : 4);
	take_modrm(c);
	s->reg = gpr(c, s, c->reg, REX_R);
	address(c, s);
}

static void move_immediate(struct cursor *c, struct step *s, unsigned opcode)
{
	s->op = STEP_MOV;
	set_size(s, opcode < 0xb8 ? 1 : c->rex & REX_W ? 8 : 4);
	s->reg = gpr(c, s, opcode & 7, REX_B);
	s->imm = take(c, s->size);
}

/* 0F B6 and 0F B7, from a register. */
static void move_zero_extended(struct cursor *c, struct step *s, unsigned opcode)
{
	s->op = STEP_MOVZX;
	set_size(s, opcode & 1 ? 4 : 1);
	take_modrm(c);
	first_is_rm(c, s);
	s->source = s->reg;
	s->imm = insn_mask[opcode & 1 ? 2 : 1];
	set_size(s, c->rex & REX_W ? 8 : 4);
	s->reg = gpr(c, s, c->reg, REX_R);
}

/* 0F 1F: its operand is not accessed, whatever it is. */
static void long_nop(struct cursor *c)
{
	struct step ignored = {.size = 4};

	c->rex = 0;
	take_modrm(c);
	if (c->mod == MODRM_REGISTER || (c->mod == 0 && c->rm == RM_DISP32))
		c->failed = true;
	else
		address(c, &ignored);
}

static void jump(struct cursor *c, struct step *s, enum step_op op, unsigned opcode, unsigned bytes)
{
	s->op = (uint8_t)op;
	s->condition = opcode & 15;
	if (op == STEP_JCC)
		s->jump = s->condition == CONDITION_Z    ? STEP_IF_ZERO
			  : s->condition == CONDITION_NZ ? STEP_IF_NOT_ZERO
							 : STEP_IF_OTHER;
	s->target = take_signed(c, bytes);
}

static void test_immediate(struct cursor *c, struct step *s, unsigned opcode)
{
	s->op = STEP_TEST;
	s->reg = TL_RAX;
	size_of_opcode(c, s, opcode);
	immediate(c, s);
}

static void decode_move_or_test(struct cursor *c, struct step *s, unsigned opcode, enum step_op op)
{
	s->op = (uint8_t)op;
	size_of_opcode(c, s, opcode);
	two_registers(c, s, !(opcode & 2) || op == STEP_TEST);
}

static void decode_other(struct cursor *c, struct step *s, unsigned opcode)
{
	switch (opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		arithmetic_immediate(c, s, opcode);
		break;
	case 0x84:
	case 0x85:
		decode_move_or_test(c, s, opcode, STEP_TEST);
		break;
	case 0x88:
	case 0x89:
	case 0x8a:
	case 0x8b:
		decode_move_or_test(c, s, opcode, STEP_MOV);
		break;
	case 0x8d:
		load_address(c, s);
		break;
	case NOP:
		c->failed |= c->rex != 0;
		break;
	case 0xa8:
	case 0xa9:
		test_immediate(c, s, opcode);
		break;
	case 0xc6:
	case 0xc7:
		group(c, s, opcode, STEP_MOV, STEP_NOP);
		break;
	case 0xe9:
		jump(c, s, STEP_JMP, opcode, 4);
		break;
	case 0xeb:
		jump(c, s, STEP_JMP, opcode, 1);
		break;
	case 0xf6:
	case 0xf7:
		group(c, s, opcode, STEP_TEST, STEP_NOP);
		break;
	case 0xfe:
	case 0xff:
		group(c, s, opcode, STEP_INC, STEP_DEC);
		break;
	case TWO_BYTES | LONG_NOP:
		long_nop(c);
		break;
	case TWO_BYTES | 0xb6:
	case TWO_BYTES | 0xb7:
		move_zero_extended(c, s, opcode);
		break;
	default:
		c->failed = true;
	}
}

static void decode(struct cursor *c, struct step *s, unsigned opcode)
{
	if (opcode < 0x40)
		arithmetic(c, s, opcode);
	else if (opcode >> 4 == 0x7)
		jump(c, s, STEP_JCC, opcode, 1);
	else if (opcode >> 4 == 0xb)
		move_immediate(c, s, opcode);
	else if (opcode >> 4 == (TWO_BYTES | 0x80) >> 4)
		jump(c, s, STEP_JCC, opcode, 4);
	else
		decode_other(c, s, opcode);
}

static const uint8_t insn_op_of[STEP_JCC + 1] = {
	[STEP_ADD] = INSN_ADD,   [STEP_SUB] = INSN_SUB, [STEP_AND] = INSN_AND,
	[STEP_OR] = INSN_OR,     [STEP_XOR] = INSN_XOR, [STEP_CMP] = INSN_CMP,
	[STEP_TEST] = INSN_TEST, [STEP_INC] = INSN_INC, [STEP_DEC] = INSN_DEC,
};

/* What an assembler fills space with: 66 or 2E before a NOP of either kind. */
static void prefixed_nop(struct cursor *c, unsigned byte)
{
	while (byte == OPERAND_SIZE || byte == CS_OVERRIDE)
		byte = (unsigned)take(c, 1);
	if (byte == TWO_BYTE && take(c, 1) == LONG_NOP)
		long_nop(c);
	else if (byte != NOP)
		c->failed = true;
}

bool step_decode(const uint8_t *bytes, unsigned available, struct step *step)
{
	struct cursor c = {.bytes = bytes, .available = available};
	unsigned byte = (unsigned)take(&c, 1);

	*step = (struct step){.op = STEP_NOP, .source = INSN_NO_REGISTER, .index = INSN_NO_REGISTER};
	if (byte == REP) {
		c.failed |= take(&c, 1) != NOP;
	} else if (byte == OPERAND_SIZE || byte == CS_OVERRIDE) {
		prefixed_nop(&c, byte);
	} else {
		if ((byte & REX_MASK) == REX) {
			c.rex = byte;
			byte = (unsigned)take(&c, 1);
		}
		if (byte == TWO_BYTE)
			byte = TWO_BYTES | (unsigned)take(&c, 1);
		decode(&c, step, byte);
	}
	step->length = (uint8_t)c.at;
	if (insn_op_of[step->op])
		step->kind = (uint16_t)(insn_op_of[step->op] | step->size << 8);
	return !c.failed;
}
