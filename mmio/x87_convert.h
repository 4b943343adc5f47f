/* SPDX-License-Identifier: MIT */
/*
 * Conversions between the 80-bit format of the x87 registers and what is in memory, in integers. SDM vol. 1, 4.2, 4.8
 * and 8.5. They know nothing of the stack.
 */
#ifndef MMIO_X87_CONVERT_H
#define MMIO_X87_CONVERT_H

#include "mmio/x87_image.h"

/* A floating-point format: its fraction, without the integer bit, and its exponent. */
struct x87_format {
	uint8_t fraction_bits, exponent_bits;
};

extern const struct x87_format x87_single, x87_double;

/* What came of a conversion. */
struct x87_outcome {
	uint16_t flags; /* X87_IE, X87_DE, X87_OE, X87_UE, X87_PE */
	bool up;        /* rounded away from zero: C1 */
};

/* X87_IE (a signalling NaN, made quiet) or X87_DE. */
struct f80 x87_from_binary(const struct x87_format *format, uint64_t bits, struct x87_outcome *outcome);
struct f80 x87_from_integer(int64_t value);

/*
 * Rounds as fcw says. The result of a masked exception; with one that is not masked in fcw, and not X87_PE, it is
 * without meaning, and X87_PE is not reported. An exact tiny result is X87_UE only if that is not masked.
 */
uint64_t x87_to_binary(const struct x87_format *format, struct f80 value, uint16_t fcw, struct x87_outcome *outcome);

/* To an integer of `bits` (16, 32, 64), toward zero if `truncate`. The integer indefinite with X87_IE. */
uint64_t x87_to_integer(unsigned bits, struct f80 value, uint16_t fcw, bool truncate, struct x87_outcome *outcome);

/* The QNaN floating-point indefinite. SDM vol. 1, table 4-3. */
static inline struct f80 x87_indefinite(void)
{
	return (struct f80){.significand = 3ull << 62, .sign_exponent = 0xffff};
}

#endif
