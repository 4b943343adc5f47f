/* SPDX-License-Identifier: MIT */
/*
 * Rows of items on the stack: what PUSHA, POPA and ENTER access. The pointer wraps between two of them, so that a row
 * may begin at one end of a 16-bit stack segment and go on at the other. SDM vol. 1, 6.2.
 */
#ifndef MMIO_STACK_ROW_H
#define MMIO_STACK_ROW_H

#include "mmio/emulate.h"
#include "mmio/segment.h"

/* Items, from the lowest offset on: as they stand unless the pointer wraps. */
struct stack_row {
	uint64_t offset;
	unsigned count;
};

/* The width of the stack pointer: 2, 4 or 8 bytes. */
static inline unsigned stack_size(const struct mmio_cpu *cpu)
{
	if (cpu->code_bits == 64)
		return 8;
	return cpu->segment[TL_SS].access & RIGHTS_BIG ? 4 : 2;
}

static inline void stack_set(struct mmio_cpu *cpu, unsigned reg, uint64_t value)
{
	unsigned size = stack_size(cpu);

	/* Outside 64-bit mode the upper half does not exist; a 16-bit stack leaves the upper half of ESP. */
	cpu_write_gpr(cpu, reg, size, value);
}

/*
 * The item at `offset`, of the operand size, as span i, whose pages are walked: every fault that its access has.
 * MMIO_DONE or what a walk ends in. The pointer may have wrapped: so does `offset`.
 */
enum mmio_progress stack_try(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu,
			     const struct mmio_environment *env, uint64_t offset, unsigned access);

/* Makes a row spans i and i + 1, the second one empty unless the pointer wraps. Precondition: each item was tried. */
void stack_row_set(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu, const struct stack_row *row,
		   unsigned access);

/* Which of the spans i and i + 1 has byte `at` of the row that they are, and where in it. */
static inline unsigned stack_row_span(const struct mmio_operation *op, unsigned i, unsigned *at)
{
	if (*at < op->span[i].size)
		return i;
	*at -= op->span[i].size;
	return i + 1;
}

/* What was read of item `item` of the row that begins with span i; and what is to be written there. */
uint64_t stack_row_get(const struct mmio_operation *op, unsigned i, unsigned item);
void stack_row_put(const struct mmio_operation *op, struct mmio_buffers *buffers, unsigned i, unsigned item,
		   uint64_t value);

/* ENTER. */
enum mmio_progress enter_plan(struct mmio_operation *op, const struct mmio_cpu *cpu,
			      const struct mmio_environment *env);
void enter_execute(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers);

#endif
