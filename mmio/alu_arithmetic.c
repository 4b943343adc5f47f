/* SPDX-License-Identifier: MIT */
/* Addition and subtraction in all their forms, and logic. */
#include "mmio/alu_flags.h"
#include <trapline.h>

/* a + b + carry. Every flag of an addition is in the carries and the sign bits. */
static uint64_t add(const struct alu *alu, uint64_t a, uint64_t b, uint64_t carry, unsigned size)
{
	uint64_t sum = (a + b + carry) & insn_mask[size];
	uint64_t carries = a ^ b ^ sum; /* into each bit */
	uint64_t out = (a & b) | ((a | b) & ~sum);
	uint64_t flags = alu_sign_zero_parity(sum, size) | (carries & RFLAGS_AF);

	if (out & alu_sign(size))
		flags |= RFLAGS_CF;
	if ((a ^ sum) & (b ^ sum) & alu_sign(size))
		flags |= RFLAGS_OF;
	alu_set_flags(alu, RFLAGS_STATUS, flags);
	return sum;
}

static uint64_t subtract(const struct alu *alu, uint64_t a, uint64_t b, uint64_t borrow, unsigned size)
{
	uint64_t difference = (a - b - borrow) & insn_mask[size];
	uint64_t out = (~a & b) | ((~a | b) & difference);
	uint64_t flags = alu_sign_zero_parity(difference, size) | ((a ^ b ^ difference) & RFLAGS_AF);

	if (out & alu_sign(size))
		flags |= RFLAGS_CF;
	if ((a ^ b) & (a ^ difference) & alu_sign(size))
		flags |= RFLAGS_OF;
	alu_set_flags(alu, RFLAGS_STATUS, flags);
	return difference;
}

/* AF is undefined after logic: cleared. */
static uint64_t logic(const struct alu *alu, uint64_t result, unsigned size)
{
	*alu->rflags = alu_test(*alu->rflags, result, insn_mask[size]);
	return result;
}

static uint64_t binary(const struct alu *alu, unsigned op, uint64_t a, uint64_t b, unsigned size)
{
	uint64_t carry = *alu->rflags & RFLAGS_CF;

	switch (op) {
	case INSN_ADD:
		return add(alu, a, b, 0, size);
	case INSN_ADC:
		return add(alu, a, b, carry, size);
	case INSN_SBB:
		return subtract(alu, a, b, carry, size);
	case INSN_SUB:
	case INSN_CMP:
		return subtract(alu, a, b, 0, size);
	case INSN_OR:
		return logic(alu, a | b, size);
	case INSN_XOR:
		return logic(alu, a ^ b, size);
	default: /* AND, TEST */
		return logic(alu, a & b, size);
	}
}

static void two_operands(const struct alu *alu)
{
	const struct insn *insn = alu->insn;
	uint64_t memory = alu_read_memory(alu), other = alu_read_source(alu), result;
	unsigned size = insn->memory_size;

	if (insn->flags & INSN_TO_REGISTER) {
		result = binary(alu, insn->op, other, memory, size);
		if (insn->op != INSN_CMP)
			alu_write_reg(alu, result);
		return;
	}
	result = binary(alu, insn->op, memory, other, size);
	if (insn_is_write(insn))
		alu->memory[0] = result;
}

/* INC and DEC leave CF. */
static void step(const struct alu *alu)
{
	uint64_t carry = *alu->rflags & RFLAGS_CF;
	uint64_t memory = alu_read_memory(alu);
	unsigned size = alu->insn->memory_size;

	alu->memory[0] = alu->insn->op == INSN_INC ? add(alu, memory, 1, 0, size) : subtract(alu, memory, 1, 0, size);
	alu_set_flags(alu, RFLAGS_CF, carry);
}

static void exchange_and_add(const struct alu *alu)
{
	uint64_t memory = alu_read_memory(alu);
	uint64_t sum = add(alu, memory, alu_read_reg(alu), 0, alu->insn->memory_size);

	alu_write_reg(alu, memory);
	alu->memory[0] = sum;
}

/* Memory is written either way: with what it had if it differs. */
static void compare_and_exchange(const struct alu *alu)
{
	uint64_t memory = alu_read_memory(alu);
	unsigned size = alu->insn->memory_size;
	uint64_t expected = alu_read_gpr(alu, TL_RAX, size);

	subtract(alu, expected, memory, 0, size);
	if (expected == memory)
		alu->memory[0] = alu_read_reg(alu);
	else
		alu_write_gpr(alu, TL_RAX, size, memory);
}

/* Of EDX:EAX with ECX:EBX, or RDX:RAX with RCX:RBX. No flag but ZF changes. */
static void compare_and_exchange_pair(const struct alu *alu)
{
	unsigned size = alu->insn->memory_size / 2;
	bool wide = size == 8;
	uint64_t low = alu->memory[0] & insn_mask[size];
	uint64_t high = wide ? alu->memory[1] : alu->memory[0] >> 32;

	if (low != alu_read_gpr(alu, TL_RAX, size) || high != alu_read_gpr(alu, TL_RDX, size)) {
		alu_set_flags(alu, RFLAGS_ZF, 0);
		alu_write_gpr(alu, TL_RAX, size, low);
		alu_write_gpr(alu, TL_RDX, size, high);
		return;
	}
	alu_set_flags(alu, RFLAGS_ZF, RFLAGS_ZF);
	low = alu_read_gpr(alu, TL_RBX, size);
	high = alu_read_gpr(alu, TL_RCX, size);
	alu->memory[0] = wide ? low : low | high << 32;
	if (wide)
		alu->memory[1] = high;
}

/* A second carry chain: only `flag` is used and changed. */
static void add_with_flag(const struct alu *alu, uint64_t flag)
{
	uint64_t before = *alu->rflags;
	uint64_t sum =
		add(alu, alu_read_reg(alu), alu_read_memory(alu), before & flag ? 1 : 0, alu->insn->register_size);
	uint64_t carry = *alu->rflags & RFLAGS_CF;

	*alu->rflags = before;
	alu_set_flags(alu, flag, carry ? flag : 0);
	alu_write_reg(alu, sum);
}

void alu_arithmetic(const struct alu *alu)
{
	switch (alu->insn->op) {
	case INSN_INC:
	case INSN_DEC:
		step(alu);
		break;
	case INSN_NOT:
		alu->memory[0] = ~alu->memory[0] & insn_mask[alu->insn->memory_size];
		break;
	case INSN_NEG:
		alu->memory[0] = subtract(alu, 0, alu_read_memory(alu), 0, alu->insn->memory_size);
		break;
	case INSN_XADD:
		exchange_and_add(alu);
		break;
	case INSN_CMPXCHG:
		compare_and_exchange(alu);
		break;
	case INSN_CMPXCHG_PAIR:
		compare_and_exchange_pair(alu);
		break;
	case INSN_ADCX:
		add_with_flag(alu, RFLAGS_CF);
		break;
	case INSN_ADOX:
		add_with_flag(alu, RFLAGS_OF);
		break;
	default:
		two_operands(alu);
		break;
	}
}
