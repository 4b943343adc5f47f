/* SPDX-License-Identifier: MIT */
/* What the parts of the integer unit share: status flags, operands by size. SDM vol. 1, 3.4.3 and 3.4.1.1. */
#ifndef MMIO_ALU_FLAGS_H
#define MMIO_ALU_FLAGS_H

#include "mmio/alu.h"
#include "mmio/emulate.h"
#include <trapline.h>

/* One instruction under way: alu_execute()'s arguments. */
struct alu {
	const struct insn *insn;
	uint64_t *gpr;
	uint64_t *rflags;
	uint64_t *memory;
};

/* The most significant bit of an operand of 1 to 8 bytes. */
static inline uint64_t alu_sign(unsigned size)
{
	return insn_mask[size] & ~(insn_mask[size] >> 1);
}

static inline int64_t alu_extend(uint64_t value, unsigned size)
{
	uint64_t sign = alu_sign(size);

	return (int64_t)(((value & insn_mask[size]) ^ sign) - sign);
}

/* SF and ZF of a result that has no bit above its size. */
static inline uint64_t alu_sign_zero(uint64_t result, unsigned size)
{
	return (result & alu_sign(size) ? RFLAGS_SF : 0u) | (result == 0 ? RFLAGS_ZF : 0u);
}

static inline uint64_t alu_sign_zero_parity(uint64_t result, unsigned size)
{
	return alu_sign_zero(result, size) | alu_parity(result);
}

/* `which` of the flags become `flags`. */
static inline void alu_set_flags(const struct alu *alu, uint64_t which, uint64_t flags)
{
	*alu->rflags = (*alu->rflags & ~which) | flags;
}

static inline uint64_t alu_read_gpr(const struct alu *alu, unsigned reg, unsigned size)
{
	return alu->gpr[reg] & insn_mask[size];
}

/* A result of 4 bytes clears the upper half; smaller ones leave the rest alone. */
static inline void alu_write_gpr(const struct alu *alu, unsigned reg, unsigned size, uint64_t value)
{
	uint64_t keep = size < 4 ? ~insn_mask[size] : 0;

	alu->gpr[reg] = (alu->gpr[reg] & keep) | (value & insn_mask[size]);
}

/* The register operand that ModRM names. */
static inline uint64_t alu_read_reg(const struct alu *alu)
{
	const struct insn *insn = alu->insn;

	return alu->gpr[insn->reg] >> (insn->high_byte ? 8 : 0) & insn_mask[insn->register_size];
}

static inline void alu_write_reg(const struct alu *alu, uint64_t value)
{
	const struct insn *insn = alu->insn;

	if (insn->high_byte)
		alu->gpr[insn->reg] = (alu->gpr[insn->reg] & ~0xff00ull) | (value & 0xff) << 8;
	else
		alu_write_gpr(alu, insn->reg, insn->register_size, value);
}

static inline uint64_t alu_read_memory(const struct alu *alu)
{
	return alu->memory[0] & insn_mask[alu->insn->memory_size];
}

/* The operand that is not memory: the immediate or the register. */
static inline uint64_t alu_read_source(const struct alu *alu)
{
	switch (alu->insn->source) {
	case SOURCE_IMMEDIATE:
		return alu->insn->imm;
	default:
		return alu_read_reg(alu);
	}
}

/* The parts. Each does the ops that its name says; alu_divide() returns ALU_OK or a vector. */
void alu_arithmetic(const struct alu *alu); /* INSN_ADD to INSN_NEG, XADD, CMPXCHG, CMPXCHG_PAIR, ADCX, ADOX */
void alu_shift(const struct alu *alu);      /* INSN_ROL to INSN_SHRD, RORX, SARX, SHLX, SHRX */
void alu_bits(const struct alu *alu);       /* INSN_BT to INSN_POPCNT, CRC32, the rest of BMI1 and BMI2 */
void alu_multiply(const struct alu *alu);   /* MUL, IMUL, IMUL_TO_REGISTER, MULX */
int alu_divide(const struct alu *alu);      /* DIV, IDIV */

#endif
