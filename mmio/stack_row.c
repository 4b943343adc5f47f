/* SPDX-License-Identifier: MIT */
#include "mmio/stack_row.h"

#include "mmio/translate.h"

enum mmio_progress stack_try(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu,
			     const struct mmio_environment *env, uint64_t offset, unsigned access)
{
	enum mmio_progress progress =
		mmio_span_set(op, i, cpu, TL_SS, offset & insn_mask[stack_size(cpu)], op->insn.operand_size, access);

	return progress == MMIO_DONE ? mmio_translate_span(op, cpu, env, i) : progress;
}

void stack_row_set(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu, const struct stack_row *row,
		   unsigned access)
{
	unsigned item = op->insn.operand_size, before = row->count;
	uint64_t mask = insn_mask[stack_size(cpu)], from = row->offset & mask;

	/* An item that begins before the end may reach beyond it, where the segment's limit lets it. */
	if (row->count && (mask - from) / item + 1 < row->count)
		before = (unsigned)((mask - from) / item + 1);
	mmio_span_set(op, i, cpu, TL_SS, from, before * item, access);
	mmio_span_set(op, i + 1, cpu, TL_SS, (from + before * item) & mask, (row->count - before) * item, access);
	op->span[i].element = op->span[i + 1].element = (uint8_t)item;
}

uint64_t stack_row_get(const struct mmio_operation *op, unsigned i, unsigned item)
{
	unsigned at = item * op->insn.operand_size, in = stack_row_span(op, i, &at);
	uint64_t value = 0;

	__builtin_memcpy(&value, op->read[in] + at, op->insn.operand_size);
	return value;
}

void stack_row_put(const struct mmio_operation *op, struct mmio_buffers *buffers, unsigned i, unsigned item,
		   uint64_t value)
{
	unsigned at = item * op->insn.operand_size, in = stack_row_span(op, i, &at);

	__builtin_memcpy(buffers->write[in] + at, &value, op->insn.operand_size);
}
