/* SPDX-License-Identifier: MIT */
/* What follows the opcode: the memory operand's address, registers, immediates. */
#include "mmio/decoder.h"

/* A little-endian number of 2 or 4 bytes, sign-extended. */
static inline int64_t take_number(struct decoder *d, unsigned size)
{
	const uint8_t *at = d->bytes + d->taken;
	int16_t word;
	int32_t dword;

	d->taken += size;
	if (unlikely(d->taken > d->available))
		return 0;
	if (likely(size == 4)) {
		__builtin_memcpy(&dword, at, sizeof(dword));
		return dword;
	}
	__builtin_memcpy(&word, at, sizeof(word));
	return word;
}

static inline int64_t take_signed(struct decoder *d, unsigned size)
{
	return size == 1 ? (int8_t)take_byte(d) : take_number(d, size);
}

/* SDM vol. 2, table 2-1. */
static void take_address_16(struct decoder *d, uint8_t modrm, struct insn *insn)
{
	static const uint8_t base[8] = {TL_RBX, TL_RBX, TL_RBP, TL_RBP, TL_RSI, TL_RDI, TL_RBP, TL_RBX};
	static const uint8_t index[8] = {
		TL_RSI, TL_RDI, TL_RSI, TL_RDI, INSN_NO_REGISTER, INSN_NO_REGISTER, INSN_NO_REGISTER, INSN_NO_REGISTER,
	};
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == 0 && rm == 6) {
		insn->disp = take_number(d, 2);
		return;
	}
	insn->base = base[rm];
	insn->index = index[rm];
	if (mod != 0)
		insn->disp = take_signed(d, mod);
}

/* SDM vol. 2, tables 2-2 and 2-3, and 2.2.1.6 for RIP-relative addresses. */
static inline void take_address(struct decoder *d, uint8_t modrm, struct insn *insn)
{
	unsigned mod = modrm >> 6, base = modrm & 7;
	bool rip_relative = d->code_bits == 64;

	if (base == 4) {
		uint8_t sib = take_byte(d);
		uint8_t index = (uint8_t)((sib >> 3 & 7u) | (d->rex & REX_X) << 2);

		/* 4 is "none", yet with REX.X it is R12. */
		if (index != 4) {
			insn->index = index;
			insn->scale = sib >> 6;
		}
		base = sib & 7;
		rip_relative = false;
	}
	if (mod == 0) {
		/* 5 is "disp32 alone" whatever REX.B says. */
		if (base == 5) {
			insn->disp = take_number(d, 4);
			insn->rip_relative = rip_relative;
			return;
		}
	} else {
		insn->disp = take_signed(d, mod == 1 ? 1 : 4);
	}
	insn->base = (uint8_t)(base | (d->rex & REX_B) << 3);
}

static void take_moffs(struct decoder *d, struct insn *insn)
{
	uint64_t address = 0;

	for (unsigned i = 0; i < d->address_size; i++)
		address |= (uint64_t)take_byte(d) << (8 * i);
	insn->disp = (int64_t)address;
}

/* ModRM.reg as a general register of register_size. */
static inline void set_register(const struct decoder *d, unsigned reg, struct insn *insn)
{
	/* Without any REX, byte registers 4 to 7 are AH, CH, DH, BH. SDM vol. 2, table 2-2. */
	if (unlikely(insn->register_size == 1) && !d->rex && reg >= 4) {
		insn->high_byte = 1;
		reg -= 4;
	}
	insn->reg = (uint8_t)reg;
}

/* Whether the prefixes, the mode or the row itself make it #UD. */
static inline bool is_invalid(const struct decoder *d, const struct insn_form *form)
{
	if (likely(!(d->seen | (form->flags & (FORM_INVALID | FORM_NOT_64 | FORM_ONLY_66)))))
		return false;
	if (form->flags & FORM_INVALID || (form->flags & FORM_NOT_64 && d->code_bits == 64))
		return true;
	/* An instruction that takes LOCK takes it only where it writes memory. */
	if (d->seen & SEEN_LOCK && !(form->flags & FORM_LOCK))
		return true;
	if (form->flags & FORM_NO_PREFIX && d->seen & SEEN_SIMD)
		return true;
	return form->flags & FORM_ONLY_66 && (d->seen & SEEN_SIMD) != SEEN_66;
}

/* The operand size that the row makes of the prefixes'. */
static inline void choose_operand_size(struct decoder *d, const struct insn_form *form)
{
	if (d->rex & REX_W)
		d->operand_size = OPERAND_64;
	else if (form->flags & FORM_NO_66)
		d->operand_size = OPERAND_32;
	if (d->code_bits != 64)
		return;
	if (form->flags & FORM_FORCE_64 || (form->flags & FORM_DEFAULT_64 && d->operand_size == OPERAND_32))
		d->operand_size = OPERAND_64;
}

static void take_enter(struct decoder *d, struct insn *insn)
{
	insn->imm = (uint16_t)take_number(d, 2);
	insn->imm |= (uint64_t)(take_byte(d) & 31) << 16;
}

static inline void take_immediate(struct decoder *d, const struct insn_form *form, struct insn *insn)
{
	unsigned size = form_sizes[form->immediate][d->operand_size];
	int64_t value;

	if (unlikely(form->immediate == SIZE_ENTER)) {
		take_enter(d, insn);
		return;
	}
	value = take_signed(d, size);
	if (form->flags & FORM_RELATIVE)
		insn->imm = (uint64_t)value;
	else if (form->immediate == SIZE_Z || form->flags & FORM_SIGNED)
		insn->imm = (uint64_t)value & ~0ull >> (64 - 8 * insn->operand_size);
	else
		insn->imm = (uint64_t)value & ~0ull >> (64 - 8 * size);
}

/* What is particular to a few rows. */
static COLD bool finish_particular(const struct decoder *d, const struct insn_form *form, unsigned reg,
				   struct insn *insn)
{
	switch (form->op) {
	case INSN_CMPXCHG_PAIR:
		insn->memory_size = d->rex & REX_W ? 16 : 8;
		insn->flags |= d->rex & REX_W ? INSN_ALIGNED : 0;
		break;
	case INSN_SGDT:
	case INSN_SIDT:
	case INSN_LGDT:
	case INSN_LIDT:
		insn->memory_size = d->code_bits == 64 ? 10 : 6;
		break;
	case INSN_STORE_SEGMENT:
	case INSN_LOAD_SEGMENT:
		insn->reg = form->detail ? form->detail : reg & 7;
		insn->detail = 0;
		return form->detail || !(insn->reg > TL_GS || (form->op == INSN_LOAD_SEGMENT && insn->reg == TL_CS));
	case INSN_PUSH:
	case INSN_POP:
		if (form->source == SOURCE_SEGMENT)
			insn->reg = form->detail;
		insn->detail = 0;
		break;
	case INSN_VECTOR_INSERT:
		/* INSERTPS: the place, and what is zeroed. */
		if (d->opcode == 0x21) {
			insn->detail = insn->imm & 15;
			insn->imm = insn->imm >> 4 & 3;
		}
		break;
	default:
		break;
	}
	return true;
}

static inline bool is_particular(const struct insn_form *form)
{
	return form->op >= INSN_CMPXCHG_PAIR &&
	       (form->op == INSN_CMPXCHG_PAIR || form->op == INSN_STORE_SEGMENT || form->op == INSN_LOAD_SEGMENT ||
		form->op == INSN_PUSH || form->op == INSN_POP || form->op == INSN_VECTOR_INSERT ||
		(form->op >= INSN_SGDT && form->op <= INSN_LIDT));
}

/* What insn.flags and the vector fields say. */
static COLD void set_flags(const struct decoder *d, const struct insn_form *form, unsigned reg, struct insn *insn)
{
	if (form->flags & FORM_TO_REGISTER)
		insn->flags |= INSN_TO_REGISTER;
	if (form->flags & FORM_ADDRESS_REG) {
		insn->reg = (uint8_t)reg;
		insn->register_size = insn->address_size;
	}
	if (form->flags & FORM_ALIGNED)
		insn->flags |= INSN_ALIGNED;
	if (d->seen & SEEN_LOCK)
		insn->flags |= INSN_LOCK;
	if (form->flags & FORM_STRING && d->mandatory)
		insn->flags |= d->mandatory == 2 ? INSN_REP : INSN_REPNE;
	if (form->op >= INSN_VECTOR_LOAD && form->op <= INSN_STMXCSR && !d->vector.encoding) {
		bool mmx = form->op == INSN_MMX_LOAD || form->op == INSN_MMX_STORE ||
			   ((form->op == INSN_VECTOR_MASKMOV || d->opcode == 0xc4) && !(d->seen & SEEN_66));

		insn->vector_length = mmx ? 8 : 16;
		if (form->op == INSN_VECTOR_MASKMOV && mmx)
			insn->reg2 &= 7;
	}
	if (form->op >= INSN_VECTOR_LOAD && form->op <= INSN_OPMASK_STORE)
		insn->reg = (uint8_t)(insn->vector_length == 8 || form->op >= INSN_OPMASK_LOAD ? reg & 7 : reg);
	if (d->vector.encoding)
		decode_vector_operands(d, insn);
}

/* The register that is in the opcode or implied. */
static void set_implied(const struct decoder *d, const struct insn_form *form, struct insn *insn)
{
	insn->reg = INSN_NO_REGISTER;
	if (form->flags & FORM_OPCODE_REG)
		insn->reg = (uint8_t)((d->opcode & 7) | (d->rex & REX_B) << 3);
	else if (form->op == INSN_STOS || form->op == INSN_LODS || form->op == INSN_SCAS) {
		insn->reg = TL_RAX;
		insn->register_size = insn->memory_size;
	} else if (form->op == INSN_XLAT) {
		insn->base = TL_RBX;
	}
}

/* CALL, PUSH and POP of the group of ModRM.reg, with a register: the stack may still lie in a device. */
static const struct insn_form call_reg = FORM(CALL, 0, NONE, V, NONE, FROM_REG, .flags = FORM_FORCE_64);
static const struct insn_form push_reg = FORM(PUSH, 0, NONE, V, NONE, FROM_REG, .flags = FORM_DEFAULT_64);
static const struct insn_form pop_reg = FORM(POP, 0, NONE, V, NONE, FROM_REG, .flags = FORM_DEFAULT_64);

/* What an instruction with a register in the place of its memory operand is; NULL: it accesses no memory. */
static COLD const struct insn_form *register_form(const struct insn_form *form)
{
	switch (form->op) {
	case INSN_CALL:
		return &call_reg;
	case INSN_PUSH:
		return &push_reg;
	case INSN_POP:
		return &pop_reg;
	default:
		return NULL;
	}
}

enum decode_status decode_operands(struct decoder *d, struct insn *insn)
{
	const struct insn_form *form = d->form;
	unsigned reg = INSN_NO_REGISTER;
	uint8_t modrm = 0;

	if (likely(form->flags & FORM_MODRM)) {
		modrm = take_byte(d);
		reg = (modrm >> 3 & 7u) | (d->rex & REX_R) << 1;
		if (unlikely(form->op == INSN_BY_REG)) {
			if (form->flags & FORM_NOT_64 && d->code_bits == 64)
				return DECODE_INVALID;
			d->form = form = &insn_groups[form->detail][modrm >> 3 & 7];
		}
		if (unlikely(form->flags & FORM_IMPLIED_RDI)) {
			if (modrm < 0xc0)
				return DECODE_INVALID;
			insn->base = TL_RDI;
			insn->reg2 = (uint8_t)((modrm & 7u) | (d->rex & REX_B) << 3);
		} else if (unlikely(modrm >= 0xc0)) {
			if (form->flags & FORM_MEMORY_ONLY || d->seen & SEEN_LOCK)
				return DECODE_INVALID;
			d->form = form = register_form(form);
			if (!form)
				return DECODE_UNSUPPORTED;
			reg = (modrm & 7u) | (d->rex & REX_B) << 3;
		} else if (unlikely(d->address_size == 2)) {
			take_address_16(d, modrm, insn);
		} else {
			take_address(d, modrm, insn);
		}
	} else if (form->flags & FORM_MOFFS) {
		take_moffs(d, insn);
		reg = TL_RAX;
	}
	if (unlikely(form->op == INSN_NONE) && !(form->flags & FORM_INVALID))
		return DECODE_UNSUPPORTED;
	choose_operand_size(d, form);
	insn->op = form->op;
	insn->access = form->access;
	insn->source = form->source;
	insn->detail = form->detail;
	insn->operand_size = (uint8_t)(2u << d->operand_size);
	insn->memory_size = form_sizes[form->memory][d->operand_size];
	insn->register_size = form_sizes[form->reg][d->operand_size];
	if (likely(form->reg != SIZE_NONE) && likely(reg != INSN_NO_REGISTER))
		set_register(d, reg, insn);
	else if (form->flags & FORM_NO_MEMORY)
		set_implied(d, form, insn);
	if (form->immediate != SIZE_NONE)
		take_immediate(d, form, insn);
	else if (form->source == SOURCE_IMMEDIATE)
		insn->imm = 1; /* a shift by 1 */
	if (unlikely(d->seen) || form->op > INSN_STORE_IMM)
		set_flags(d, form, reg, insn);
	if (form->op == INSN_X87_LOAD || form->op == INSN_X87_STORE)
		insn->modrm = modrm;
	/* A compressed displacement. SDM vol. 2, 2.7.5: for moves N is the operand's size. */
	if (unlikely(insn->encoding == ENCODING_EVEX) && modrm >> 6 == 1)
		insn->disp *= insn->memory_size;
	if (unlikely(is_particular(form)) && !finish_particular(d, form, reg, insn))
		return DECODE_INVALID;
	return unlikely(is_invalid(d, form)) ? DECODE_INVALID : DECODE_OK;
}
