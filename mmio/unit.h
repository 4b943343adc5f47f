/* SPDX-License-Identifier: MIT */
/* What the engine's units share: how an instruction lists its accesses, and how it executes. */
#ifndef MMIO_UNIT_H
#define MMIO_UNIT_H

#include "mmio/engine.h"

/* Where execute() puts what is written to each span, and finds what was read from it. */
struct mmio_buffers {
	const uint8_t (*read)[MMIO_SPAN_BYTES];
	uint8_t write[MMIO_MAX_TRANSFERS][MMIO_SPAN_BYTES];
};

/*
 * plan() fills op->span[] (linear, size, mask, element, access, segment) and op->nr_spans. execute() changes *cpu, a
 * copy that counts only if the instruction completes, RIP included where it is not the next instruction's; and fills
 * buffers->write. Both return MMIO_DONE, MMIO_FAULT (with op->fault), MMIO_REFUSED, or what a walk of a descriptor
 * ended in.
 */
enum mmio_progress stack_plan(struct mmio_operation *op, const struct mmio_cpu *cpu,
			      const struct mmio_environment *env);
enum mmio_progress stack_execute(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				 struct mmio_buffers *buffers);
enum mmio_progress segment_plan(struct mmio_operation *op, const struct mmio_cpu *cpu,
				const struct mmio_environment *env);
enum mmio_progress segment_execute(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				   struct mmio_buffers *buffers);

enum mmio_progress direct_plan(struct mmio_operation *op, const struct mmio_cpu *cpu);
enum mmio_progress direct_execute(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers);

/* Whether its unit leaves the RIP to go on at in the CPU. */
static inline bool insn_branches(const struct insn *insn)
{
	return insn->op == INSN_CALL || insn->op == INSN_JMP || insn->op == INSN_RET || insn->op == INSN_JMP_FAR ||
	       insn->op == INSN_CALL_FAR;
}

/* String instructions go through the phases for each of their elements. */
enum mmio_progress string_run(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env);

/* Where an operation is. PORT: the embedder does the other half of INS or OUTS. */
enum mmio_phase { PHASE_PLAN, PHASE_READ, PHASE_PORT, PHASE_WRITE };

/* Reads, or writes, all spans from where op->at_span and op->at_byte are; resets both at the end. */
enum mmio_progress mmio_transfer(struct mmio_operation *op, const struct mmio_environment *env, bool write,
				 uint8_t bytes[][MMIO_SPAN_BYTES]);

/* RIP behind the instruction. */
uint64_t mmio_next_rip(const struct mmio_cpu *cpu, const struct insn *insn);

/* The offsets, first to last, that a segment holds; none if first > last. 64-bit code has no limits. SDM vol. 3, 5.3.
 */
struct offsets {
	uint64_t first, last;
};
struct offsets mmio_segment_offsets(const struct mmio_cpu *cpu, unsigned segment);

/* Ends an instruction with a fault. Always MMIO_FAULT. */
enum mmio_progress mmio_raise(struct mmio_operation *op, unsigned vector); /* no error code */
enum mmio_progress mmio_raise_error(struct mmio_operation *op, unsigned vector, uint32_t error_code);

/*
 * Describes `size` bytes at `offset` in a segment as span `i`: computes the linear address, with limit, type and
 * canonical form checked (SDM vol. 3, 5.3; outside 64-bit code also that the segment is readable or writable).
 * MMIO_DONE or MMIO_FAULT.
 */
enum mmio_progress mmio_span_set(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu, unsigned segment,
				 uint64_t offset, unsigned size, unsigned access);

/* The same for the operand that ModRM or moffs names, memory_size bytes of it. */
enum mmio_progress mmio_span_operand(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu);

/* Whether CR4.LA57 allows the linear address. SDM vol. 1, 3.3.7.1. */
bool cpu_is_canonical(const struct mmio_cpu *cpu, gva_t linear);

/* The lower part of a general register: by size 1, 2, 4 (a write zero-extends), 8. */
uint64_t cpu_read_gpr(const struct mmio_cpu *cpu, unsigned reg, unsigned size);
void cpu_write_gpr(struct mmio_cpu *cpu, unsigned reg, unsigned size, uint64_t value);

#endif
