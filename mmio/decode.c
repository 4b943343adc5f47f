/* SPDX-License-Identifier: MIT */
#include "mmio/decode.h"

#include <stdbool.h>
#include <trapline.h>

#include "mmio/decode_table.h"
#include "mmu/types.h"

enum rex { REX = 0x40, REX_W = 8, REX_R = 4, REX_X = 2, REX_B = 1 };

/* An index into form_sizes[]. */
enum operand_size { OPERAND_16, OPERAND_32, OPERAND_64 };

enum { NO_SEGMENT = 0xff };

/* Prefixes that may make the instruction invalid. */
enum seen_prefix { SEEN_LOCK = 1, SEEN_SIMD = 2 };

/*
 * A byte beyond the end counts as taken and reads as 0, so that nothing stops on the way: what was taken in all is
 * judged once, in finish(), before anything that those zeros decided.
 */
struct decoder {
	const uint8_t *bytes;
	unsigned available;
	unsigned taken;
	unsigned code_bits;
	enum operand_size operand_size;
	uint8_t address_size;
	uint8_t segment; /* the override, or NO_SEGMENT */
	unsigned rex;
	unsigned seen; /* enum seen_prefix */
	const struct insn_form *form;
};

static inline uint8_t take_byte(struct decoder *d)
{
	unsigned at = d->taken++;

	return likely(at < d->available) ? d->bytes[at] : 0;
}

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

/* Prefixes of one kind: the last counts, but those of ES, CS, SS and DS do nothing in 64-bit mode (SDM vol.
 * 1, 3.4.2.1). */
static inline void apply_prefix(struct decoder *d, uint8_t prefix)
{
	switch (prefix) {
	case 0x64:
		d->segment = TL_FS;
		break;
	case 0x65:
		d->segment = TL_GS;
		break;
	case 0x66:
		d->operand_size = d->code_bits == 16 ? OPERAND_32 : OPERAND_16;
		d->seen |= SEEN_SIMD;
		break;
	case 0x67:
		d->address_size = d->code_bits == 32 ? 2 : 4;
		break;
	case 0xf0:
		d->seen |= SEEN_LOCK;
		break;
	case 0xf2:
	case 0xf3:
		d->seen |= SEEN_SIMD;
		break;
	default:
		if (d->code_bits != 64)
			d->segment = prefix >> 3 & 3;
	}
}

/* Leaves the row of the opcode in d->form; false if there are 15 bytes and all are prefixes. */
static inline bool take_prefixes_and_opcode(struct decoder *d)
{
	while (d->taken < INSN_MAX_LENGTH) {
		uint8_t byte = take_byte(d);

		if ((byte & 0xf0) == REX && d->code_bits == 64) {
			d->rex = byte;
			continue;
		}
		d->form = &insn_one_byte[byte];
		if (!(d->form->flags & FORM_PREFIX)) {
			if (byte == 0x0f)
				d->form = &insn_two_byte[take_byte(d)];
			return true;
		}
		/* A REX that does not stand right before the opcode is ignored. SDM vol. 2, 2.2.1. */
		d->rex = 0;
		apply_prefix(d, byte);
	}
	return false;
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

static inline void set_register(const struct decoder *d, uint8_t modrm, struct insn *insn)
{
	unsigned reg = (modrm >> 3 & 7u) | (d->rex & REX_R) << 1;

	/* Without any REX, byte registers 4 to 7 are AH, CH, DH, BH. SDM vol. 2, table 2-2. */
	if (unlikely(insn->register_size == 1) && !d->rex && reg >= 4) {
		insn->high_byte = 1;
		reg -= 4;
	}
	insn->reg = (uint8_t)reg;
}

/* Judges by what was taken: only bytes that exist and count may decide anything else. */
static inline enum decode_status finish(const struct decoder *d, enum decode_status status)
{
	if (likely(d->taken <= d->available))
		return status;
	return d->taken > INSN_MAX_LENGTH ? DECODE_TOO_LONG : DECODE_MORE;
}

/* Whether the prefixes, or the row itself, make it #UD. */
static inline bool is_invalid(const struct decoder *d, const struct insn_form *form)
{
	if (unlikely(d->seen) && (d->seen & SEEN_LOCK || form->flags & FORM_NO_PREFIX))
		return true;
	return form->flags & FORM_INVALID;
}

/* A row is taken in the encoding's order: ModRM, SIB, displacement, immediate. */
static inline enum decode_status take_operands(struct decoder *d, struct insn *insn)
{
	const struct insn_form *form = d->form;
	uint8_t modrm = 0;

	if (likely(form->flags & FORM_MODRM)) {
		modrm = take_byte(d);
		if (unlikely(form->op == INSN_GROUP))
			form = &insn_groups[form->group][modrm >> 3 & 7];
		if (unlikely(modrm >= 0xc0))
			return form->flags & FORM_MEMORY_ONLY || d->seen & SEEN_LOCK ? DECODE_INVALID
										     : DECODE_UNSUPPORTED;
		if (unlikely(d->address_size == 2))
			take_address_16(d, modrm, insn);
		else
			take_address(d, modrm, insn);
	} else {
		take_moffs(d, insn);
	}
	insn->op = form->op;
	insn->access = form->access;
	insn->memory_size = form_sizes[form->memory][d->operand_size];
	insn->register_size = form_sizes[form->reg][d->operand_size];
	if (unlikely(form->flags & FORM_MOFFS))
		insn->reg = TL_RAX;
	else if (form->reg != SIZE_NONE)
		set_register(d, modrm, insn);
	if (form->immediate != SIZE_NONE)
		insn->imm = (uint64_t)take_signed(d, form_sizes[form->immediate][d->operand_size]) &
			    ~0ull >> (64 - 8 * insn->memory_size);
	return unlikely(is_invalid(d, form)) ? DECODE_INVALID : DECODE_OK;
}

enum decode_status insn_decode(const uint8_t *bytes, unsigned available, unsigned code_bits, struct insn *insn)
{
	struct decoder d = {
		.bytes = bytes,
		.available = available < INSN_MAX_LENGTH ? available : INSN_MAX_LENGTH,
		.code_bits = code_bits,
		.operand_size = code_bits == 16 ? OPERAND_16 : OPERAND_32,
		.address_size = (uint8_t)(code_bits / 8),
		.segment = NO_SEGMENT,
	};
	enum decode_status status;

	if (unlikely(!take_prefixes_and_opcode(&d)))
		return DECODE_TOO_LONG;
	if (unlikely(d.form->op == INSN_NONE))
		return finish(&d, DECODE_UNSUPPORTED);
	if (unlikely(d.form->flags & FORM_ONLY_64) && code_bits != 64)
		return finish(&d, DECODE_UNSUPPORTED);
	if (d.rex & REX_W)
		d.operand_size = OPERAND_64;

	*insn = (struct insn){
		.reg = INSN_NO_REGISTER,
		.base = INSN_NO_REGISTER,
		.index = INSN_NO_REGISTER,
		.address_size = d.address_size,
		.operand_size = (uint8_t)(2u << d.operand_size),
		.reg2 = INSN_NO_REGISTER,
	};
	status = take_operands(&d, insn);
	if (unlikely(d.segment != NO_SEGMENT))
		insn->segment = d.segment;
	else
		insn->segment = (insn->base & ~1) == TL_RSP ? TL_SS : TL_DS;
	insn->length = (uint8_t)d.taken;
	return finish(&d, status);
}
