/* SPDX-License-Identifier: MIT */
/* Integer instructions: what they do to registers, flags and their memory operand. SDM vol. 2. */
#ifndef MMIO_ALU_H
#define MMIO_ALU_H

#include "mmio/insn.h"

enum { ALU_OK = -1 };

enum rflags_status {
	RFLAGS_CF = 1 << 0,
	RFLAGS_PF = 1 << 2,
	RFLAGS_AF = 1 << 4,
	RFLAGS_ZF = 1 << 6,
	RFLAGS_SF = 1 << 7,
	RFLAGS_OF = 1 << 11,
	RFLAGS_STATUS = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF,
};

/* PF: an even number of ones in the low byte. */
static inline uint64_t alu_parity(uint64_t result)
{
	/* Bit i of the constant: whether i, of 4 bits, has an even number of ones. */
	return 0x9669u >> ((result ^ result >> 4) & 15) & 1 ? RFLAGS_PF : 0;
}

/* Whether a condition (the low 4 bits of the opcode of Jcc, SETcc, CMOVcc) holds. SDM vol. 1, appendix B. */
bool alu_condition(unsigned condition, uint64_t rflags);

/* What TEST of whatever it is makes of RFLAGS: `result` has no bit but those of `mask`, which is all of the operand. */
static inline uint64_t alu_test(uint64_t rflags, uint64_t result, uint64_t mask)
{
	return (rflags & ~(uint64_t)RFLAGS_STATUS) | (result & ~(mask >> 1) ? RFLAGS_SF : 0u) |
	       (result == 0 ? RFLAGS_ZF : 0u) | alu_parity(result);
}

/*
 * Executes an instruction of UNIT_MOVE or UNIT_ALU. memory[] holds the operand, zero-extended to 16 bytes (anything if
 * it is not read), and afterwards what is to be written, if insn->access has INSN_WRITE. Returns ALU_OK, or the vector
 * of the exception (#DE 0, #BR 5): then nothing was changed. gpr[INSN_NO_REGISTER] stays 0.
 * Flags that the SDM calls undefined are given the values that Intel's CPUs give them; alu.c names each of these.
 */
int alu_execute(const struct insn *insn, uint64_t gpr[INSN_NR_GPRS], uint64_t *rflags, uint64_t memory[2]);

#endif
