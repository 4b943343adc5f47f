/* SPDX-License-Identifier: MIT */
/* Integer instructions: what they do to registers, flags and their memory operand. SDM vol. 2. */
#ifndef MMIO_ALU_H
#define MMIO_ALU_H

#include "mmio/insn.h"

enum { ALU_OK = -1 };

/* Whether a condition (the low 4 bits of the opcode of Jcc, SETcc, CMOVcc) holds. SDM vol. 1, appendix B. */
bool alu_condition(unsigned condition, uint64_t rflags);

/*
 * Executes an instruction of UNIT_MOVE or UNIT_ALU. memory[] holds the operand, zero-extended to 16 bytes (anything if
 * it is not read), and afterwards what is to be written, if insn->access has INSN_WRITE. Returns ALU_OK, or the vector
 * of the exception (#DE 0, #BR 5): then nothing was changed. gpr[INSN_NO_REGISTER] stays 0.
 * Flags that the SDM calls undefined are given the values that Intel's CPUs give them; alu.c names each of these.
 */
int alu_execute(const struct insn *insn, uint64_t gpr[INSN_NR_GPRS], uint64_t *rflags, uint64_t memory[2]);

#endif
