/* SPDX-License-Identifier: MIT */
/* Single bits, bit counts and bit fields, and CRC32. */
#include "mmio/alu_flags.h"
#include <trapline.h>

/* The engine has moved the address to the operand that holds the bit. No flag but CF changes: the SDM leaves ZF, and
 * OF, SF, AF and PF are undefined. */
static void test_bit(const struct alu *alu)
{
	unsigned bits = alu->insn->memory_size * 8u;
	uint64_t value = alu_read_memory(alu);
	uint64_t bit = 1ull << (alu_read_source(alu) & (bits - 1));

	alu_set_flags(alu, RFLAGS_CF, value & bit ? RFLAGS_CF : 0);
	switch (alu->insn->op) {
	case INSN_BTS:
		alu->memory[0] = value | bit;
		break;
	case INSN_BTR:
		alu->memory[0] = value & ~bit;
		break;
	case INSN_BTC:
		alu->memory[0] = value ^ bit;
		break;
	default:
		break;
	}
}

static unsigned trailing_zeros(uint64_t value, unsigned bits)
{
	return value ? (unsigned)__builtin_ctzll(value) : bits;
}

static unsigned leading_zeros(uint64_t value, unsigned bits)
{
	return value ? (unsigned)__builtin_clzll(value) - (64 - bits) : bits;
}

static unsigned count_ones(uint64_t value)
{
	unsigned count = 0;

	for (; value; value &= value - 1)
		count++;
	return count;
}

/* BSF, BSR: of 0 the register stays as it is, the upper half included. OF, SF, AF and CF (undefined) are cleared, PF
 * is that of the register's new value, and 1 if there is none. */
static void scan(const struct alu *alu)
{
	unsigned bits = alu->insn->memory_size * 8u;
	uint64_t value = alu_read_memory(alu), at;

	if (!value) {
		alu_set_flags(alu, RFLAGS_STATUS, RFLAGS_ZF | RFLAGS_PF);
		return;
	}
	at = alu->insn->op == INSN_BSF ? trailing_zeros(value, bits) : bits - 1 - leading_zeros(value, bits);
	alu_set_flags(alu, RFLAGS_STATUS, alu_parity(at));
	alu_write_reg(alu, at);
}

/* OF, SF and AF (undefined) are cleared, PF (undefined) is that of the result. */
static void count_zeros(const struct alu *alu)
{
	unsigned bits = alu->insn->memory_size * 8u;
	uint64_t value = alu_read_memory(alu);
	uint64_t count = alu->insn->op == INSN_TZCNT ? trailing_zeros(value, bits) : leading_zeros(value, bits);
	uint64_t flags = alu_parity(count) | (count == 0 ? RFLAGS_ZF : 0u) | (value == 0 ? RFLAGS_CF : 0u);

	alu_set_flags(alu, RFLAGS_STATUS, flags);
	alu_write_reg(alu, count);
}

static void population_count(const struct alu *alu)
{
	uint64_t count = count_ones(alu_read_memory(alu));

	alu_set_flags(alu, RFLAGS_STATUS, count == 0 ? RFLAGS_ZF : 0);
	alu_write_reg(alu, count);
}

/* Of the polynomial 11EDC6F41H, bits reflected. */
static void crc32(const struct alu *alu)
{
	uint64_t data = alu_read_memory(alu);
	uint32_t crc = (uint32_t)alu->gpr[alu->insn->reg];

	for (unsigned i = 0; i < alu->insn->memory_size; i++) {
		crc ^= (uint8_t)(data >> (8 * i));
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	alu_write_gpr(alu, alu->insn->reg, 4, crc);
}

/* The low `length` bits of value. */
static uint64_t low_bits(uint64_t value, unsigned length)
{
	return length >= 64 ? value : value & ((1ull << length) - 1);
}

/* PDEP: the low bits of `value` to the places of the ones in `mask`. */
static uint64_t deposit(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (; mask; mask &= mask - 1, value >>= 1)
		result |= value & 1 ? mask & -mask : 0;
	return result;
}

/* PEXT: the inverse. */
static uint64_t extract(uint64_t value, uint64_t mask)
{
	uint64_t result = 0;

	for (unsigned to = 0; mask; mask &= mask - 1, to++)
		result |= value & mask & -mask ? 1ull << to : 0;
	return result;
}

/* A result of BMI1 or BMI2. Of the undefined flags AF and PF are cleared, and BEXTR's SF, which it passes in. */
static void set_result(const struct alu *alu, uint64_t result, uint64_t flags)
{
	alu_set_flags(alu, RFLAGS_STATUS, flags);
	alu_write_reg(alu, result);
}

/* BEXTR: bits 7:0 of the control are the start, 15:8 the length. */
static void extract_field(const struct alu *alu)
{
	uint64_t value = alu_read_memory(alu), control = alu->gpr[alu->insn->reg2];
	unsigned start = control & 0xff, length = control >> 8 & 0xff;
	uint64_t result = start < 64 ? low_bits(value >> start, length) : 0;

	set_result(alu, result, result == 0 ? RFLAGS_ZF : 0);
}

static void zero_high_bits(const struct alu *alu)
{
	unsigned size = alu->insn->register_size;
	unsigned index = alu->gpr[alu->insn->reg2] & 0xff;
	uint64_t result = low_bits(alu_read_memory(alu), index);

	set_result(alu, result, alu_sign_zero(result, size) | (index >= size * 8 ? RFLAGS_CF : 0u));
}

/* BLSI, BLSMSK, BLSR: on the lowest one. The destination is the register of VEX.vvvv. */
static void lowest_one(const struct alu *alu)
{
	unsigned size = alu->insn->register_size;
	uint64_t value = alu_read_memory(alu), result;
	bool carry = value == 0;

	switch (alu->insn->op) {
	case INSN_BLSI:
		result = value & -value;
		carry = !carry;
		break;
	case INSN_BLSMSK:
		result = (value ^ (value - 1)) & insn_mask[size];
		break;
	default:
		result = value & (value - 1);
		break;
	}
	alu_set_flags(alu, RFLAGS_STATUS, alu_sign_zero(result, size) | (carry ? RFLAGS_CF : 0u));
	alu_write_gpr(alu, alu->insn->reg2, size, result);
}

static void and_not(const struct alu *alu)
{
	unsigned size = alu->insn->register_size;
	uint64_t result = ~alu->gpr[alu->insn->reg2] & alu_read_memory(alu);

	set_result(alu, result, alu_sign_zero(result, size));
}

void alu_bits(const struct alu *alu)
{
	switch (alu->insn->op) {
	case INSN_BSF:
	case INSN_BSR:
		scan(alu);
		break;
	case INSN_TZCNT:
	case INSN_LZCNT:
		count_zeros(alu);
		break;
	case INSN_POPCNT:
		population_count(alu);
		break;
	case INSN_CRC32:
		crc32(alu);
		break;
	case INSN_ANDN:
		and_not(alu);
		break;
	case INSN_BEXTR:
		extract_field(alu);
		break;
	case INSN_BLSI:
	case INSN_BLSMSK:
	case INSN_BLSR:
		lowest_one(alu);
		break;
	case INSN_BZHI:
		zero_high_bits(alu);
		break;
	case INSN_PDEP:
		alu_write_reg(alu, deposit(alu->gpr[alu->insn->reg2], alu_read_memory(alu)));
		break;
	case INSN_PEXT:
		alu_write_reg(alu, extract(alu->gpr[alu->insn->reg2], alu_read_memory(alu)));
		break;
	default:
		test_bit(alu);
		break;
	}
}
