/* SPDX-License-Identifier: MIT */
/*
 * Flags that the SDM calls undefined, and what they become here, as on Intel's CPUs (Skylake to Cascade Lake):
 *   AND OR XOR TEST                AF 0
 *   SHL SHR SAR SHLD SHRD          AF 0; OF, for a count above 1, as after the first step; CF of SHL and SHR by more
 *                                  than the operand's bits 0
 *   ROL ROR RCL RCR                OF, for a count above 1, as after the first step
 *   SHLD SHRD of 16 bits by > 16   the result as if the destination stood on both sides of the source; CF by that
 *   BT BTS BTR BTC                 OF SF AF PF unchanged
 *   BSF BSR                        OF SF AF CF 0; PF of the result, 1 if the operand is 0; the register then unchanged
 *   TZCNT LZCNT                    OF SF AF 0; PF of the result
 *   MUL IMUL                       SF and PF of the low half; ZF AF 0
 *   DIV IDIV                       unchanged
 *   ANDN BLSI BLSMSK BLSR BZHI     AF PF 0
 *   BEXTR                          AF SF PF 0
 */
#include "mmio/alu.h"
#include "mmio/alu_flags.h"
#include <trapline.h>

enum { BR_VECTOR = 5 };

bool alu_condition(unsigned condition, uint64_t rflags)
{
	bool sign = rflags & RFLAGS_SF, overflow = rflags & RFLAGS_OF;
	bool holds = false;

	switch (condition >> 1 & 7) {
	case 0: /* O */
		holds = overflow;
		break;
	case 1: /* B */
		holds = rflags & RFLAGS_CF;
		break;
	case 2: /* Z */
		holds = rflags & RFLAGS_ZF;
		break;
	case 3: /* BE */
		holds = rflags & (RFLAGS_CF | RFLAGS_ZF);
		break;
	case 4: /* S */
		holds = sign;
		break;
	case 5: /* P */
		holds = rflags & RFLAGS_PF;
		break;
	case 6: /* L */
		holds = sign != overflow;
		break;
	case 7: /* LE */
		holds = rflags & RFLAGS_ZF || sign != overflow;
		break;
	}
	/* The odd ones are the opposites. */
	return holds != (condition & 1);
}

/* A 32-bit destination is zero-extended even if the condition does not hold. */
static void conditional_move(const struct alu *alu)
{
	bool holds = alu_condition(alu->insn->detail, *alu->rflags);

	alu_write_reg(alu, holds ? alu_read_memory(alu) : alu_read_reg(alu));
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
	return __builtin_bswap64(value) >> (64 - 8 * size);
}

static void move_swapped(const struct alu *alu)
{
	if (insn_is_write(alu->insn))
		alu->memory[0] = swap_bytes(alu_read_reg(alu), alu->insn->memory_size);
	else
		alu_write_reg(alu, swap_bytes(alu_read_memory(alu), alu->insn->memory_size));
}

static void exchange(const struct alu *alu)
{
	uint64_t memory = alu_read_memory(alu);

	alu->memory[0] = alu_read_reg(alu);
	alu_write_reg(alu, memory);
}

/* The selector in memory gets at least the RPL of the one in the register. */
static void adjust_rpl(const struct alu *alu)
{
	uint64_t selector = alu_read_memory(alu), rpl = alu_read_reg(alu) & 3;
	bool lower = (selector & 3) < rpl;

	alu->memory[0] = lower ? (selector & ~3ull) | rpl : selector;
	alu_set_flags(alu, RFLAGS_ZF, lower ? RFLAGS_ZF : 0);
}

/* The lower limit, then the upper one, both signed and both within the bounds. */
static int check_bounds(const struct alu *alu)
{
	unsigned size = alu->insn->memory_size / 2;
	int64_t index = alu_extend(alu_read_reg(alu), size);
	int64_t lower = alu_extend(alu->memory[0], size), upper = alu_extend(alu->memory[0] >> (8 * size), size);

	return index < lower || index > upper ? BR_VECTOR : ALU_OK;
}

static int execute(const struct alu *alu)
{
	switch (alu->insn->op) {
	case INSN_MUL:
	case INSN_IMUL:
	case INSN_IMUL_TO_REGISTER:
	case INSN_MULX:
		alu_multiply(alu);
		return ALU_OK;
	case INSN_DIV:
	case INSN_IDIV:
		return alu_divide(alu);
	case INSN_SETCC:
		alu->memory[0] = alu_condition(alu->insn->detail, *alu->rflags);
		return ALU_OK;
	case INSN_CMOVCC:
		conditional_move(alu);
		return ALU_OK;
	case INSN_XCHG:
		exchange(alu);
		return ALU_OK;
	case INSN_MOVBE:
		move_swapped(alu);
		return ALU_OK;
	case INSN_ARPL:
		adjust_rpl(alu);
		return ALU_OK;
	case INSN_BOUND:
		return check_bounds(alu);
	case INSN_XLAT:
		alu_write_gpr(alu, TL_RAX, 1, alu->memory[0]);
		return ALU_OK;
	case INSN_XADD:
	case INSN_CMPXCHG:
	case INSN_CMPXCHG_PAIR:
	case INSN_ADCX:
	case INSN_ADOX:
		alu_arithmetic(alu);
		return ALU_OK;
	case INSN_RORX:
	case INSN_SARX:
	case INSN_SHLX:
	case INSN_SHRX:
		alu_shift(alu);
		return ALU_OK;
	default:
		alu_bits(alu);
		return ALU_OK;
	}
}

int alu_execute(const struct insn *insn, uint64_t gpr[INSN_NR_GPRS], uint64_t *rflags, uint64_t memory[2])
{
	struct alu alu = {.insn = insn, .gpr = gpr, .rflags = rflags, .memory = memory};

	switch (insn->op) {
	case INSN_LOAD:
	case INSN_LOAD_SX:
		insn_load_result(insn, gpr, memory[0]);
		return ALU_OK;
	case INSN_STORE:
	case INSN_STORE_IMM:
		memory[0] = insn_store_value(insn, gpr);
		return ALU_OK;
	default:
		break;
	}
	if (insn->op <= INSN_NEG)
		alu_arithmetic(&alu);
	else if (insn->op <= INSN_SHRD)
		alu_shift(&alu);
	else
		return execute(&alu);
	return ALU_OK;
}
