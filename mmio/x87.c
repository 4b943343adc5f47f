/* SPDX-License-Identifier: MIT */
#include "mmio/x87.h"
#include "mmio/x87_convert.h"

/* insn->detail in octal: the low digits of the opcode and of ModRM.reg. SDM vol. 2, B.17. */
enum x87_form {
	FLD_M32 = 010,
	FST_M32 = 012,
	FSTP_M32 = 013,
	FLDCW = 015,
	FNSTCW = 017,
	FILD_M32 = 030,
	FISTTP_M32 = 031,
	FIST_M32 = 032,
	FISTP_M32 = 033,
	FLD_M80 = 035,
	FSTP_M80 = 037,
	FLD_M64 = 050,
	FISTTP_M64 = 051,
	FST_M64 = 052,
	FSTP_M64 = 053,
	FNSTSW = 057,
	FILD_M16 = 070,
	FISTTP_M16 = 071,
	FIST_M16 = 072,
	FISTP_M16 = 073,
	FILD_M64 = 075,
	FISTP_M64 = 077,
};

enum {
	FCW_WRITABLE = 0x1f3f,
	FCW_ALWAYS = 0x40,
	AT_OPCODE = 6,
	AT_IP = 8,
	AT_DP = 16,
	OPCODE_BITS = 0x7ff,
};

bool x87_waits(const struct insn *insn)
{
	if (insn->op == INSN_X87_STORE)
		return insn->detail != FNSTCW && insn->detail != FNSTSW;
	return insn->op == INSN_X87_LOAD || insn->op == INSN_MMX_LOAD || insn->op == INSN_MMX_STORE ||
	       (insn_unit(insn) == UNIT_VECTOR && insn->vector_length == 8);
}

bool x87_is_pending(const struct xstate *xstate)
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	return image.fsw & ~image.fcw & X87_EXCEPTIONS;
}

static void summarise(struct x87_image *image)
{
	image->fsw &= (uint16_t) ~(X87_ES | X87_B);
	if (image->fsw & ~image->fcw & X87_EXCEPTIONS)
		image->fsw |= X87_ES | X87_B;
}

static void raise(struct x87_image *image, unsigned flags, bool c1)
{
	image->fsw &= (uint16_t)~X87_C1;
	image->fsw |= (uint16_t)(flags | (c1 ? X87_C1 : 0));
	summarise(image);
}

static void finish(struct xstate *xstate, const struct x87_image *image, const struct x87_pointers *pointers)
{
	uint16_t opcode = pointers->opcode & OPCODE_BITS;
	uint8_t *area;

	x87_image_write(xstate, image);
	area = xstate_modify(xstate, XSTATE_X87);
	__builtin_memcpy(area + AT_OPCODE, &opcode, sizeof(opcode));
	__builtin_memcpy(area + AT_IP, &pointers->ip, sizeof(pointers->ip));
	if (!xstate->dp_on_exceptions || image->fsw & X87_ES)
		__builtin_memcpy(area + AT_DP, &pointers->dp, sizeof(pointers->dp));
}

static uint64_t take(const uint8_t *data, unsigned bytes)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, data, bytes);
	return value;
}

static void load_control(struct xstate *xstate, const uint8_t data[16])
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	image.fcw = (uint16_t)((take(data, 2) & FCW_WRITABLE) | FCW_ALWAYS);
	summarise(&image);
	x87_image_write(xstate, &image);
}

static struct f80 loaded(enum x87_form form, const uint8_t data[16], struct x87_outcome *outcome)
{
	*outcome = (struct x87_outcome){0};
	switch (form) {
	case FLD_M32:
		return x87_from_binary(&x87_single, take(data, 4), outcome);
	case FLD_M64:
		return x87_from_binary(&x87_double, take(data, 8), outcome);
	case FILD_M16:
		return x87_from_integer((int16_t)take(data, 2));
	case FILD_M32:
		return x87_from_integer((int32_t)take(data, 4));
	case FILD_M64:
		return x87_from_integer((int64_t)take(data, 8));
	default:
		return (struct f80){.significand = take(data, 8), .sign_exponent = (uint16_t)take(data + 8, 2)};
	}
}

void x87_load(const struct insn *insn, struct xstate *xstate, const struct x87_pointers *pointers,
	      const uint8_t data[16])
{
	struct x87_image image;
	struct x87_outcome outcome;
	struct f80 value;
	bool overflow;
	unsigned top;

	if (insn->detail == FLDCW) {
		load_control(xstate, data);
		return;
	}
	x87_image_read(xstate, &image);
	top = (x87_top(&image) - 1) & 7;
	overflow = image.valid >> top & 1;
	value = loaded((enum x87_form)insn->detail, data, &outcome);
	if (overflow) {
		value = x87_indefinite();
		outcome.flags = X87_IE | X87_SF;
	}
	raise(&image, outcome.flags, overflow);
	if (!(outcome.flags & ~image.fcw & X87_IE)) { /* a denormal is loaded, and then reported */
		x87_set_top(&image, top);
		image.valid |= (uint8_t)(1 << top);
		image.st[0] = value;
	}
	finish(xstate, &image, pointers);
}

static uint64_t stored(enum x87_form form, struct f80 value, uint16_t fcw, struct x87_outcome *outcome)
{
	bool truncate = (form & 7) == (FISTTP_M32 & 7);

	switch (form) {
	case FST_M32:
	case FSTP_M32:
		return x87_to_binary(&x87_single, value, fcw, outcome);
	case FST_M64:
	case FSTP_M64:
		return x87_to_binary(&x87_double, value, fcw, outcome);
	case FISTTP_M16:
	case FIST_M16:
	case FISTP_M16:
		return x87_to_integer(16, value, fcw, truncate, outcome);
	case FISTTP_M32:
	case FIST_M32:
	case FISTP_M32:
		return x87_to_integer(32, value, fcw, truncate, outcome);
	case FISTTP_M64:
	case FISTP_M64:
		return x87_to_integer(64, value, fcw, truncate, outcome);
	default: /* FSTP m80: as it is */
		return value.significand;
	}
}

static void store_control(const struct insn *insn, const struct xstate *xstate, uint8_t data[16])
{
	struct x87_image image;

	x87_image_read(xstate, &image);
	__builtin_memcpy(data, insn->detail == FNSTCW ? &image.fcw : &image.fsw, sizeof(image.fcw));
}

bool x87_store(const struct insn *insn, struct xstate *xstate, const struct x87_pointers *pointers, uint8_t data[16])
{
	enum x87_form form = (enum x87_form)insn->detail;
	bool pops = form != FST_M32 && form != FST_M64 && form != FIST_M16 && form != FIST_M32;
	struct x87_outcome outcome = {0};
	struct x87_image image;
	struct f80 value;
	uint64_t result;
	unsigned top;
	bool done;

	if (form == FNSTCW || form == FNSTSW) {
		store_control(insn, xstate, data);
		return true;
	}
	x87_image_read(xstate, &image);
	top = x87_top(&image);
	value = image.valid >> top & 1 ? image.st[0] : x87_indefinite();
	result = stored(form, value, image.fcw, &outcome);
	if (!(image.valid >> top & 1))
		outcome.flags |= X87_IE | X87_SF;
	raise(&image, outcome.flags, outcome.up);
	done = !(outcome.flags & ~image.fcw & (X87_IE | X87_OE | X87_UE));
	if (done) {
		__builtin_memcpy(data, &result, sizeof(result));
		__builtin_memcpy(data + sizeof(result), &value.sign_exponent, sizeof(value.sign_exponent));
	}
	if (done && pops) {
		image.valid &= (uint8_t) ~(1 << top);
		x87_set_top(&image, top + 1);
	}
	finish(xstate, &image, pointers);
	return done;
}
