/* SPDX-License-Identifier: MIT */
/*
 * Shifts and rotates. OF, which the SDM defines for a count of 1 only, is that of the first step for every count, and
 * AF, undefined after shifts, is cleared: so do Intel's CPUs.
 */
#include "mmio/alu_flags.h"

/* A result with its CF and, as the sign bit of `overflow`, its OF. */
struct shifted {
	uint64_t value;
	uint64_t carry;
	uint64_t overflow;
};

static struct shifted shift_left(uint64_t value, unsigned count, unsigned bits)
{
	return (struct shifted){
		.value = value << count,
		.carry = count <= bits ? value >> (bits - count) & 1 : 0,
		.overflow = value ^ value << 1,
	};
}

static struct shifted shift_right(uint64_t value, unsigned count)
{
	return (struct shifted){.value = value >> count, .carry = value >> (count - 1) & 1, .overflow = value};
}

static struct shifted shift_right_signed(int64_t value, unsigned count)
{
	return (struct shifted){.value = (uint64_t)(value >> count), .carry = (uint64_t)value >> (count - 1) & 1};
}

/* The bits that leave on one side come in on the other. A whole turn leaves the value and still sets CF. */
static struct shifted rotate(bool left, uint64_t value, unsigned count, unsigned bits)
{
	unsigned up = (left ? count : bits - count % bits) % bits;
	uint64_t turned = up ? value << up | value >> (bits - up) : value;

	if (left)
		return (struct shifted){.value = turned, .carry = turned & 1, .overflow = value ^ value << 1};
	return (struct shifted){
		.value = turned,
		.carry = turned >> (bits - 1) & 1,
		.overflow = value ^ value << (bits - 1),
	};
}

/* CF is one bit more of the value. `count` is 1 to bits. */
static struct shifted rotate_through_carry(bool left, uint64_t value, uint64_t carry, unsigned count, unsigned bits)
{
	struct shifted s;

	if (left) {
		s.value = value << (count - 1) << 1 | carry << (count - 1);
		if (count > 1)
			s.value |= value >> (bits + 1 - count);
		s.carry = value >> (bits - count) & 1;
		s.overflow = value ^ value << 1;
	} else {
		s.value = value >> (count - 1) >> 1 | carry << (bits - count);
		if (count > 1)
			s.value |= value << (bits + 1 - count);
		s.carry = value >> (count - 1) & 1;
		s.overflow = value ^ carry << (bits - 1);
	}
	return s;
}

/*
 * SHLD and SHRD. With 16 bits and a count above 16 the result is undefined: the CPU goes on with the destination's own
 * bits, as if it stood on both sides of the source.
 */
static struct shifted shift_double(bool left, uint64_t value, uint64_t fill, unsigned count, unsigned bits)
{
	uint64_t first = left ? value ^ value << 1 : value ^ fill << (bits - 1);
	struct shifted s;

	if (count > bits) {
		uint64_t swap = value;

		value = fill;
		fill = swap;
		count -= bits;
	}
	if (left) {
		s.value = value << count | fill >> (bits - count);
		s.carry = value >> (bits - count) & 1;
	} else {
		s.value = value >> count | fill << (bits - count);
		s.carry = value >> (count - 1) & 1;
	}
	s.overflow = first;
	return s;
}

static struct shifted shift(const struct alu *alu, uint64_t value, unsigned count, unsigned bits)
{
	const struct insn *insn = alu->insn;

	switch (insn->op) {
	case INSN_ROL:
	case INSN_ROR:
		return rotate(insn->op == INSN_ROL, value, count, bits);
	case INSN_RCL:
	case INSN_RCR:
		return rotate_through_carry(insn->op == INSN_RCL, value, *alu->rflags & RFLAGS_CF, count, bits);
	case INSN_SHLD:
	case INSN_SHRD:
		return shift_double(insn->op == INSN_SHLD, value, alu_read_reg(alu), count, bits);
	case INSN_SHL:
		return shift_left(value, count, bits);
	case INSN_SHR:
		return shift_right(value, count);
	default:
		return shift_right_signed(alu_extend(value, insn->memory_size), count);
	}
}

static bool is_rotate(unsigned op)
{
	return op <= INSN_RCR;
}

/* Bits of the count beyond the operand's are ignored, but 8- and 16-bit operands take 5 bits of it. */
static unsigned shift_count(const struct alu *alu, unsigned bits)
{
	const struct insn *insn = alu->insn;
	uint64_t source = insn->source == SOURCE_IMMEDIATE ? insn->imm : alu->gpr[TL_RCX];
	unsigned count = (unsigned)source & (bits == 64 ? 63 : 31);

	if (insn->op == INSN_RCL || insn->op == INSN_RCR)
		count %= bits + 1;
	return count;
}

static void shift_memory(const struct alu *alu)
{
	unsigned size = alu->insn->memory_size;
	uint64_t value = alu_read_memory(alu), flags;
	unsigned count = shift_count(alu, size * 8);
	struct shifted s;

	alu->memory[0] = value;
	if (count == 0)
		return;
	s = shift(alu, value, count, size * 8);
	s.value &= insn_mask[size];
	alu->memory[0] = s.value;
	flags = s.carry | (s.overflow & alu_sign(size) ? RFLAGS_OF : 0);
	if (is_rotate(alu->insn->op))
		alu_set_flags(alu, RFLAGS_CF | RFLAGS_OF, flags);
	else
		alu_set_flags(alu, RFLAGS_STATUS, flags | alu_sign_zero_parity(s.value, size));
}

/* BMI2: to a register, without flags. */
static void shift_to_register(const struct alu *alu)
{
	unsigned size = alu->insn->register_size, bits = size * 8;
	uint64_t value = alu_read_memory(alu);
	uint64_t source = alu->insn->op == INSN_RORX ? alu->insn->imm : alu->gpr[alu->insn->reg2];
	unsigned count = (unsigned)source & (bits - 1);

	switch (alu->insn->op) {
	case INSN_RORX:
		value = rotate(false, value, count, bits).value;
		break;
	case INSN_SHLX:
		value <<= count;
		break;
	case INSN_SHRX:
		value >>= count;
		break;
	default:
		value = (uint64_t)(alu_extend(value, size) >> count);
		break;
	}
	alu_write_reg(alu, value);
}

void alu_shift(const struct alu *alu)
{
	if (alu->insn->op <= INSN_SHRD)
		shift_memory(alu);
	else
		shift_to_register(alu);
}
