/* SPDX-License-Identifier: MIT */
/*
 * Moves between memory and MMX, XMM, YMM, ZMM and opmask registers, and MXCSR. What a load leaves of its register
 * beyond what it names: ENCODING_LEGACY keeps the bits above 127; VEX and EVEX zero all above vector_length.
 * A state component in its initial configuration (its bit in XSTATE_BV is 0) reads as zeros whatever the area holds,
 * and is made current before it is written.
 * INSERTPS is INSN_VECTOR_INSERT with bits 5:4 of its immediate in .imm, and bits 3:0, the dwords that are zeroed then,
 * in .detail; of all others .detail is 0. MMX registers are meant where vector_length is 8 (PINSRW, MASKMOVQ).
 */
#ifndef MMIO_VECTOR_H
#define MMIO_VECTOR_H

#include "mmio/insn.h"
#include "mmio/xstate.h"

/*
 * Which bytes of the memory operand are accessed: bit i for byte i, from the opmask, from reg2's sign bits, or all of
 * memory_size. What is not accessed causes no fault (SDM vol. 2, 2.7.7.1 and VMASKMOV), with one exception:
 */
uint64_t vector_mask(const struct insn *insn, const struct xstate *xstate);

/*
 * Which bytes cause a fault if they can't be accessed. VEXTRACT writes by its opmask, but faults on the whole operand
 * (exception type E6NF).
 */
uint64_t vector_fault_mask(const struct insn *insn, const struct xstate *xstate);

/*
 * Puts what the instruction stores into data; bytes outside vector_mask() do not matter. The state changes only with
 * MMX (INSN_MMX_STORE, MASKMOVQ): TOP becomes 0 and all tags valid, as after every MMX instruction (SDM vol. 1, 9.6.2).
 */
void vector_store(const struct insn *insn, struct xstate *xstate, uint8_t data[64]);

/*
 * The registers after a load; bytes outside vector_mask() are taken as 0. Returns -1, or the vector of the exception
 * (#GP 13: a reserved bit of MXCSR): then nothing was changed.
 */
int vector_load(const struct insn *insn, struct xstate *xstate, const uint8_t data[64]);

#endif
