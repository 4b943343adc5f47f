/* SPDX-License-Identifier: MIT */
/*
 * x87 moves of memory operands: FLD, FST(P) of m32, m64, m80; FILD, FIST(P), FISTTP of m16, m32, m64; FBLD and FBSTP
 * are refused by the decoder; FLDCW, FNSTCW, FNSTSW. Exact in value, tag, TOP, C1 and exception flags
 * (SDM vol. 1, chapter 8). An exception that is not masked sets ES and B, and is raised by the next waiting
 * instruction, as the CPU does. A denormal m32 or m64 is pushed even if #D is not masked: SDM vol. 1, 8.5.2 says that
 * TOP stays, but CPUs (measured: AMD Zen 4) push it and then report.
 */
#ifndef MMIO_X87_H
#define MMIO_X87_H

#include "mmio/insn.h"
#include "mmio/xstate.h"

/*
 * What FSTENV shows of the last instruction: not changed by control instructions (FLDCW, FNSTCW, FNSTSW). The area is
 * in the form of FXSAVE64 and XSAVE64, which have no room for the selectors.
 */
struct x87_pointers {
	uint64_t ip, dp; /* the instruction's and its operand's offset */
	uint16_t opcode; /* 11 bits: SDM vol. 1, 8.1.9 */
};

/*
 * Whether a waiting instruction (all x87 and MMX ones but FNSTCW and FNSTSW) raises #MF (CR0.NE) instead of beginning.
 * The CPU asks this before the memory access; x87_load() and x87_store() expect that it was asked.
 */
bool x87_waits(const struct insn *insn);
bool x87_is_pending(const struct xstate *xstate);

void x87_load(const struct insn *insn, struct xstate *xstate, const struct x87_pointers *pointers,
	      const uint8_t data[16]);

/* False: an unmasked exception came before the store; memory stays as it is, and the state says why. */
bool x87_store(const struct insn *insn, struct xstate *xstate, const struct x87_pointers *pointers, uint8_t data[16]);

#endif
