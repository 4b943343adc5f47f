/* SPDX-License-Identifier: MIT */
#include "mmio/decode.h"

#include "mmio/decoder.h"

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
		d->seen |= SEEN_66;
		break;
	case 0x67:
		d->address_size = d->code_bits == 32 ? 2 : 4;
		break;
	case 0xf0:
		d->seen |= SEEN_LOCK;
		break;
	case 0xf2:
		d->seen |= SEEN_F2;
		d->mandatory = 3;
		break;
	case 0xf3:
		d->seen |= SEEN_F3;
		d->mandatory = 2;
		break;
	default:
		if (d->code_bits != 64)
			d->segment = prefix >> 3 & 3;
	}
}

/* What 63 is outside 64-bit mode. */
static const struct insn_form arpl = FORM(ARPL, BOTH, W, W, NONE, FROM_REG, PLAIN); /* ARPL Ew, Gw */

/* The row of an opcode that 0F begins. */
static const struct insn_form *take_escaped(struct decoder *d)
{
	d->opcode = take_byte(d);
	if (unlikely(d->opcode == 0x38)) {
		d->opcode = take_byte(d);
		return &insn_three_byte_38[d->opcode];
	}
	if (unlikely(d->opcode == 0x3a)) {
		d->opcode = take_byte(d);
		return &insn_three_byte_3a[d->opcode];
	}
	return &insn_two_byte[d->opcode];
}

/* The opcode, whose first byte is `byte`: leaves its row in d->form. */
static inline void take_opcode(struct decoder *d, uint8_t byte)
{
	d->opcode = byte;
	switch (byte) {
	case 0x63:
		if (d->code_bits != 64)
			d->form = &arpl;
		break;
	case 0x0f:
		d->form = take_escaped(d);
		break;
	case 0x62:
	case 0xc4:
	case 0xc5:
		if (begins_vector_prefix(d))
			decode_vector_prefix(d, byte);
		break;
	default:
		break;
	}
	if (unlikely(d->form->op == INSN_BY_PREFIX))
		d->form = &insn_prefixed[d->form->detail][d->mandatory ? d->mandatory : d->seen & SEEN_66 ? 1 : 0];
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
			take_opcode(d, byte);
			return true;
		}
		/* A REX that does not stand right before the opcode is ignored. SDM vol. 2, 2.2.1. */
		d->rex = 0;
		apply_prefix(d, byte);
	}
	return false;
}

/* Judges by what was taken: only bytes that exist and count may decide anything else. */
static inline enum decode_status finish(const struct decoder *d, enum decode_status status)
{
	if (likely(d->taken <= d->available))
		return status;
	return d->available == INSN_MAX_LENGTH ? DECODE_TOO_LONG : DECODE_MORE;
}

/* Everything but the commonest forms. */
static __attribute__((noinline)) enum decode_status decode_any(const uint8_t *bytes, unsigned available,
							       unsigned code_bits, struct insn *insn)
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
	if (unlikely(d.form->op == INSN_NONE) && !(d.form->flags & FORM_INVALID))
		return finish(&d, DECODE_UNSUPPORTED);
	if (unlikely(d.form->flags & FORM_ONLY_64) && code_bits != 64)
		return finish(&d, DECODE_UNSUPPORTED);
	*insn = (struct insn){
		.reg = INSN_NO_REGISTER,
		.base = INSN_NO_REGISTER,
		.index = INSN_NO_REGISTER,
		.reg2 = INSN_NO_REGISTER,
		.address_size = d.address_size,
	};
	status = decode_operands(&d, insn);
	if (unlikely(d.segment != NO_SEGMENT))
		insn->segment = d.segment;
	else
		insn->segment = (insn->base & ~1) == TL_RSP ? TL_SS : TL_DS;
	insn->length = (uint8_t)d.taken;
	return finish(&d, status);
}

/* The four opcodes of MOV between memory and a register, 88 to 8B, without and with REX.W. */
#define MOV_ROW(what, how, size, operand)                                                                         \
	{                                                                                                         \
		.op = INSN_##what, .access = (how), .memory_size = (size), .register_size = (size),               \
		.operand_size = (operand), .index = INSN_NO_REGISTER, .reg2 = INSN_NO_REGISTER, .address_size = 8 \
	}

static const struct insn mov_rows[8] = {
	MOV_ROW(STORE, INSN_WRITE, 1, 4), MOV_ROW(STORE, INSN_WRITE, 4, 4), MOV_ROW(LOAD, INSN_READ, 1, 4),
	MOV_ROW(LOAD, INSN_READ, 4, 4),   MOV_ROW(STORE, INSN_WRITE, 1, 8), MOV_ROW(STORE, INSN_WRITE, 8, 8),
	MOV_ROW(LOAD, INSN_READ, 1, 8),   MOV_ROW(LOAD, INSN_READ, 8, 8),
};

/*
 * What most accesses to devices are: MOV of a register in 64-bit code, with a base and a displacement, without prefixes
 * but REX. False: it is not; then *insn is whatever it is.
 */
static inline bool decode_common(const uint8_t *bytes, struct insn *insn)
{
	unsigned rex = 0, at = 0, opcode = bytes[0], modrm, base, reg;

	if ((opcode & 0xf0) == REX) {
		rex = opcode;
		opcode = bytes[++at];
	}
	modrm = bytes[at + 1];
	base = modrm & 7;
	if ((opcode & 0xfc) != 0x88 || modrm >= 0xc0 || base == 4 || (modrm & 0xc7) == 5)
		return false;
	reg = (modrm >> 3 & 7) | (rex & REX_R) << 1;
	if (!(opcode & 1) && !rex && reg >= 4)
		return false;
	*insn = mov_rows[(opcode & 3) | (rex & REX_W) >> 1];
	if (modrm < 0x40) {
		insn->length = (uint8_t)(at + 2);
	} else if (modrm < 0x80) {
		insn->disp = (int64_t)(bytes[at + 2] ^ 0x80) - 0x80;
		insn->length = (uint8_t)(at + 3);
	} else {
		int32_t disp;

		__builtin_memcpy(&disp, bytes + at + 2, sizeof(disp));
		insn->disp = disp;
		insn->length = (uint8_t)(at + 6);
	}
	insn->reg = (uint8_t)reg;
	insn->base = (uint8_t)(base | (rex & REX_B) << 3);
	insn->segment = base == TL_RBP && !(rex & REX_B) ? TL_SS : TL_DS;
	return true;
}

enum decode_status insn_decode(const uint8_t *bytes, unsigned available, unsigned code_bits, struct insn *insn)
{
	if (likely(available >= INSN_MAX_LENGTH) && likely(code_bits == 64) && likely(decode_common(bytes, insn)))
		return DECODE_OK;
	return decode_any(bytes, available, code_bits, insn);
}
