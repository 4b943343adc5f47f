/* SPDX-License-Identifier: MIT */
#include "mmio/x87_convert.h"

enum {
	EXPONENT_MAX = 0x7fff,
	BIAS = 16383,
	SIGN = 0x8000,
	RC_SHIFT = 10, /* FCW's rounding control */
	RC_NEAREST = 0,
	RC_DOWN = 1,
	RC_UP = 2,
	RC_ZERO = 3,
};

#define INTEGER_BIT (1ull << 63)
#define QUIET_BIT   (1ull << 62)

const struct x87_format x87_single = {.fraction_bits = 23, .exponent_bits = 8};
const struct x87_format x87_double = {.fraction_bits = 52, .exponent_bits = 11};

static int format_bias(const struct x87_format *format)
{
	return (1 << (format->exponent_bits - 1)) - 1;
}

static uint64_t low_bits(unsigned count)
{
	return (1ull << count) - 1;
}

/* Shifts the first one bit of a nonzero significand up to bit 63. `exponent` is that of bit 63, unbiased. */
static struct f80 normalised(bool negative, int exponent, uint64_t significand)
{
	int by = __builtin_clzll(significand);

	return (struct f80){
		.significand = significand << by,
		.sign_exponent = (uint16_t)((exponent - by + BIAS) | (negative ? SIGN : 0)),
	};
}

struct f80 x87_from_binary(const struct x87_format *format, uint64_t bits, struct x87_outcome *outcome)
{
	unsigned up = 63u - format->fraction_bits;
	uint64_t fraction = bits & low_bits(format->fraction_bits);
	uint64_t exponent_max = low_bits(format->exponent_bits);
	uint64_t exponent = bits >> format->fraction_bits & exponent_max;
	bool negative = bits >> (format->fraction_bits + format->exponent_bits) & 1;
	struct f80 value = {.sign_exponent = negative ? SIGN : 0};

	*outcome = (struct x87_outcome){0};
	if (exponent == exponent_max) {
		value.significand = fraction << up | INTEGER_BIT;
		if (fraction != 0 && !(value.significand & QUIET_BIT)) {
			outcome->flags = X87_IE;
			value.significand |= QUIET_BIT;
		}
		value.sign_exponent |= EXPONENT_MAX;
	} else if (exponent != 0) {
		value = normalised(negative, (int)exponent - format_bias(format), fraction << up | INTEGER_BIT);
	} else if (fraction != 0) {
		outcome->flags = X87_DE;
		value = normalised(negative, 1 - format_bias(format), fraction << up);
	}
	return value;
}

struct f80 x87_from_integer(int64_t value)
{
	uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	return magnitude ? normalised(value < 0, 63, magnitude) : (struct f80){0};
}

/* An 80-bit value taken apart. */
enum f80_class { F80_ZERO, F80_FINITE, F80_INFINITE, F80_QUIET, F80_SIGNALLING, F80_UNSUPPORTED };

struct parts {
	enum f80_class class;
	bool negative;
	int exponent;         /* of a finite number: unbiased, that of bit 63 */
	uint64_t significand; /* of a finite number: bit 63 set */
};

static struct parts take_apart(struct f80 value)
{
	int exponent = value.sign_exponent & EXPONENT_MAX;
	struct parts parts = {.negative = value.sign_exponent & SIGN, .significand = value.significand};

	if (exponent == 0 && value.significand == 0) {
		parts.class = F80_ZERO;
	} else if (exponent != 0 && !(value.significand & INTEGER_BIT)) {
		parts.class = F80_UNSUPPORTED; /* unnormals, pseudo-infinities, pseudo-NaNs: SDM vol. 1, 8.2.2 */
	} else if (exponent == EXPONENT_MAX && value.significand == INTEGER_BIT) {
		parts.class = F80_INFINITE;
	} else if (exponent == EXPONENT_MAX) {
		parts.class = value.significand & QUIET_BIT ? F80_QUIET : F80_SIGNALLING;
	} else {
		int by = __builtin_clzll(value.significand);

		parts.class = F80_FINITE;
		parts.exponent = exponent - BIAS - by; /* a denormal's is 1 more, but far below every format */
		parts.significand <<= by;
	}
	return parts;
}

/* significand >> drop, 0 to 64 and beyond, rounded. */
struct rounded {
	uint64_t value;
	bool inexact, up;
};

static struct rounded round_off(uint64_t significand, unsigned drop, bool negative, unsigned rc)
{
	uint64_t rest = 0, half = INTEGER_BIT; /* of what is dropped, its first bit in bit 63 */
	struct rounded rounded = {.value = significand};

	if (drop > 64) {
		rounded.value = 0;
		rest = 1; /* less than half, and of no other interest: a significand is not 0 */
	} else if (drop == 64) {
		rounded.value = 0;
		rest = significand;
	} else if (drop > 0) {
		rounded.value = significand >> drop;
		rest = significand << (64 - drop);
	}
	rounded.inexact = rest != 0;
	if (rc == RC_NEAREST)
		rounded.up = rest > half || (rest == half && rounded.value & 1);
	else
		rounded.up = rounded.inexact && rc != RC_ZERO && negative == (rc == RC_DOWN);
	rounded.value += rounded.up;
	return rounded;
}

static unsigned rounding_control(uint16_t fcw)
{
	return fcw >> RC_SHIFT & 3;
}

static uint64_t overflowed(const struct x87_format *format, bool negative, uint16_t fcw, struct x87_outcome *outcome)
{
	unsigned rc = rounding_control(fcw);
	uint64_t infinity = low_bits(format->exponent_bits) << format->fraction_bits;

	outcome->flags = X87_OE;
	if (!(fcw & X87_OE))
		return 0;
	outcome->flags |= X87_PE;
	outcome->up = rc == RC_NEAREST || (rc != RC_ZERO && negative == (rc == RC_DOWN));
	return infinity - !outcome->up;
}

static uint64_t finite_to_binary(const struct x87_format *format, const struct parts *parts, uint16_t fcw,
				 struct x87_outcome *outcome)
{
	unsigned rc = rounding_control(fcw);
	unsigned drop = 63u - format->fraction_bits;
	int bias = format_bias(format);
	int least = 1 - bias;
	struct rounded rounded = round_off(parts->significand, drop, parts->negative, rc);
	/* Rounding may have carried into the next exponent; that decides on overflow, and on being tiny. */
	int exponent = parts->exponent + (int)(rounded.value >> (format->fraction_bits + 1));

	if (exponent > bias)
		return overflowed(format, parts->negative, fcw, outcome);
	if (exponent < least) {
		if (!(fcw & X87_UE)) {
			outcome->flags = X87_UE;
			return 0;
		}
		rounded =
			round_off(parts->significand, drop + (unsigned)(least - parts->exponent), parts->negative, rc);
		outcome->flags = rounded.inexact ? X87_UE | X87_PE : 0;
		outcome->up = rounded.up;
		return rounded.value; /* a carry gives the least normal number */
	}
	outcome->flags = rounded.inexact ? X87_PE : 0;
	outcome->up = rounded.up;
	/* The integer bit is added to the exponent, and so is a carry out of it. */
	return ((uint64_t)(parts->exponent + bias - 1) << format->fraction_bits) + rounded.value;
}

uint64_t x87_to_binary(const struct x87_format *format, struct f80 value, uint16_t fcw, struct x87_outcome *outcome)
{
	struct parts parts = take_apart(value);
	uint64_t infinity = low_bits(format->exponent_bits) << format->fraction_bits;
	uint64_t result = 0;

	*outcome = (struct x87_outcome){0};
	switch (parts.class) {
	case F80_ZERO:
		break;
	case F80_FINITE:
		result = finite_to_binary(format, &parts, fcw, outcome);
		break;
	case F80_INFINITE:
		result = infinity;
		break;
	case F80_UNSUPPORTED:
		outcome->flags = X87_IE;
		parts.negative = true;
		result = infinity | 1ull << (format->fraction_bits - 1);
		break;
	case F80_SIGNALLING:
	case F80_QUIET:
		outcome->flags = parts.class == F80_SIGNALLING ? X87_IE : 0;
		result = (parts.significand | QUIET_BIT) >> (63 - format->fraction_bits);
		result = infinity | (result & low_bits(format->fraction_bits));
		break;
	}
	return result | (uint64_t)parts.negative << (format->fraction_bits + format->exponent_bits);
}

uint64_t x87_to_integer(unsigned bits, struct f80 value, uint16_t fcw, bool truncate, struct x87_outcome *outcome)
{
	struct parts parts = take_apart(value);
	uint64_t indefinite = 1ull << (bits - 1);
	uint64_t most = indefinite - !parts.negative;
	struct rounded rounded;

	*outcome = (struct x87_outcome){0};
	if (parts.class == F80_ZERO)
		return 0;
	if (parts.class == F80_FINITE && parts.exponent <= 63) {
		unsigned rc = truncate ? RC_ZERO : rounding_control(fcw);

		rounded = round_off(parts.significand, (unsigned)(63 - parts.exponent), parts.negative, rc);
		if (rounded.value <= most) {
			outcome->flags = rounded.inexact ? X87_PE : 0;
			outcome->up = rounded.up;
			return (parts.negative ? 0 - rounded.value : rounded.value) & (indefinite | (indefinite - 1));
		}
	}
	outcome->flags = X87_IE;
	return indefinite;
}
