/* SPDX-License-Identifier: MIT */
/*
 * Moves between memory and MMX, XMM, YMM, ZMM and opmask registers, and MXCSR. What a load leaves of its register
 * beyond what it names: ENCODING_LEGACY keeps the bits above 127; VEX and EVEX zero all above vector_length.
 * A state component in its initial configuration (its bit in XSTATE_BV is 0) reads as zeros whatever the area holds,
 * and is made current before it is written.
 */
#ifndef MMIO_VECTOR_H
#define MMIO_VECTOR_H

#include "mmio/insn.h"
#include "mmio/xstate.h"

/*
 * Which bytes of the memory operand are accessed: bit i for byte i, from the opmask, from reg2's sign bits, or all of
 * memory_size. What is not accessed causes no fault (SDM vol. 2, 2.7.7.1 and VMASKMOV).
 */
uint64_t vector_mask(const struct insn *insn, const struct xstate *xstate);

/* Puts what the instruction stores into data; bytes outside vector_mask() do not matter. */
void vector_store(const struct insn *insn, const struct xstate *xstate, uint8_t data[64]);

/*
 * The registers after a load; bytes outside vector_mask() are taken as 0. Returns -1, or the vector of the exception
 * (#GP 13: a reserved bit of MXCSR): then nothing was changed.
 */
int vector_load(const struct insn *insn, struct xstate *xstate, const uint8_t data[64]);

#endif
