/* SPDX-License-Identifier: MIT */
/*
 * Multiplication and division. Flags the SDM calls undefined: after a multiplication SF and PF are those of the low
 * half, ZF and AF are cleared; a division leaves all flags.
 */
#include "mmio/alu.h"
#include "mmio/alu_flags.h"
#include <trapline.h>

enum { DE_VECTOR = 0 };

/* A number of twice the operand's size, in two halves of 64 bits whatever the size. */
struct wide {
	uint64_t high, low;
};

/* The halves of a product or of a dividend, as 1 to 8 bytes each: AH:AL, or rDX:rAX. */
static void write_halves(const struct alu *alu, uint64_t high, uint64_t low)
{
	unsigned size = alu->insn->memory_size;

	if (size == 1) {
		alu_write_gpr(alu, TL_RAX, 2, (high & 0xff) << 8 | (low & 0xff));
		return;
	}
	alu_write_gpr(alu, TL_RAX, size, low);
	alu_write_gpr(alu, TL_RDX, size, high);
}

static struct wide multiply_unsigned(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (struct wide){(uint64_t)(product >> 64), (uint64_t)product};
}

static struct wide multiply_signed(int64_t a, int64_t b)
{
	__int128 product = (__int128)a * b;

	return (struct wide){(uint64_t)(product >> 64), (uint64_t)product};
}

/* The upper half of a product of operands of `size` bytes. */
static uint64_t upper_half(struct wide product, unsigned size)
{
	return size == 8 ? product.high : product.low >> (8 * size) & insn_mask[size];
}

static void set_product_flags(const struct alu *alu, uint64_t low, bool overflow, unsigned size)
{
	low &= insn_mask[size];
	alu_set_flags(alu, RFLAGS_STATUS,
		      (low & alu_sign(size) ? RFLAGS_SF : 0u) | alu_parity(low) |
			      (overflow ? RFLAGS_CF | RFLAGS_OF : 0u));
}

/* Whether a signed product needs more than the lower half. */
static bool overflows(struct wide product, unsigned size)
{
	int64_t low = alu_extend(product.low, size);

	return (uint64_t)low != product.low || product.high != (low < 0 ? ~0ull : 0ull);
}

void alu_multiply(const struct alu *alu)
{
	const struct insn *insn = alu->insn;
	unsigned size = insn->memory_size;
	uint64_t memory = alu_read_memory(alu), other;
	struct wide product;

	switch (insn->op) {
	case INSN_MUL:
		product = multiply_unsigned(memory, alu_read_gpr(alu, TL_RAX, size));
		set_product_flags(alu, product.low, upper_half(product, size) != 0, size);
		write_halves(alu, upper_half(product, size), product.low);
		break;
	case INSN_MULX: /* the upper half last: it wins if both are to go to the same register */
		product = multiply_unsigned(memory, alu_read_gpr(alu, TL_RDX, size));
		alu_write_gpr(alu, insn->reg2, size, product.low);
		alu_write_reg(alu, upper_half(product, size));
		break;
	default:
		other = insn->op == INSN_IMUL ? alu_read_gpr(alu, TL_RAX, size) : alu_read_source(alu);
		product = multiply_signed(alu_extend(memory, size), alu_extend(other, size));
		set_product_flags(alu, product.low, overflows(product, size), size);
		if (insn->op == INSN_IMUL)
			write_halves(alu, upper_half(product, size), product.low);
		else
			alu_write_reg(alu, product.low);
		break;
	}
}

/* Long division, a bit a step: a compiler's would call a library that is not there. high < divisor. */
static uint64_t divide_wide(struct wide dividend, uint64_t divisor, uint64_t *remainder)
{
	uint64_t rest = dividend.high, quotient = 0;

	if (rest == 0) {
		*remainder = dividend.low % divisor;
		return dividend.low / divisor;
	}
	for (unsigned i = 64; i-- > 0;) {
		bool carry = rest >> 63;

		rest = rest << 1 | (dividend.low >> i & 1);
		if (carry || rest >= divisor) {
			rest -= divisor;
			quotient |= 1ull << i;
		}
	}
	*remainder = rest;
	return quotient;
}

static struct wide negate(struct wide w)
{
	return (struct wide){~w.high + (w.low == 0), -w.low};
}

/* The dividend, sign-extended to 128 bits for IDIV. */
static struct wide read_dividend(const struct alu *alu, bool is_signed)
{
	unsigned size = alu->insn->memory_size;
	uint64_t low = alu_read_gpr(alu, TL_RAX, size);
	uint64_t high = size == 1 ? alu->gpr[TL_RAX] >> 8 & 0xff : alu_read_gpr(alu, TL_RDX, size);

	if (size == 8)
		return (struct wide){high, low};
	low |= high << (8 * size);
	if (!is_signed)
		return (struct wide){0, low};
	low = (uint64_t)alu_extend(low, 2 * size);
	return (struct wide){low >> 63 ? ~0ull : 0, low};
}

int alu_divide(const struct alu *alu)
{
	unsigned size = alu->insn->memory_size;
	bool is_signed = alu->insn->op == INSN_IDIV;
	struct wide dividend = read_dividend(alu, is_signed);
	uint64_t divisor = alu_read_memory(alu), most = insn_mask[size], quotient, remainder;
	bool negative_dividend = is_signed && dividend.high >> 63;
	bool negative_divisor = is_signed && divisor & alu_sign(size);
	bool negative = negative_dividend != negative_divisor;

	if (negative_dividend)
		dividend = negate(dividend);
	if (negative_divisor)
		divisor = -divisor & insn_mask[size];
	if (is_signed)
		most = negative ? alu_sign(size) : alu_sign(size) - 1;
	if (dividend.high >= divisor)
		return DE_VECTOR;
	quotient = divide_wide(dividend, divisor, &remainder);
	if (quotient > most)
		return DE_VECTOR;
	/* The remainder has the dividend's sign. */
	write_halves(alu, negative_dividend ? -remainder : remainder, negative ? -quotient : quotient);
	return ALU_OK;
}
