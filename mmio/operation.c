/* SPDX-License-Identifier: MIT */
#include "mmio/operation.h"

#include "mmio/dispatch.h"
#include "mmio/emulate.h"

void mmio_operation_start(struct mmio_move *op, const struct insn *insn, const uint64_t gpr[INSN_NR_GPRS], gpa_t gpa0,
			  unsigned first, gpa_t gpa1)
{
	*op = (struct mmio_move){
		.insn = *insn,
		.gpa = {gpa0, gpa1},
		.data = insn_is_write(insn) ? insn_store_value(insn, gpr) : 0,
		.first = (uint8_t)first,
	};
}

/* Takes `count` bytes that were read as the next ones of the operand. */
static void take_read(struct mmio_move *op, uint64_t data, unsigned count)
{
	op->data |= (data & insn_mask[count]) << (8 * op->next);
}

enum mmio_progress mmio_operation_run(struct mmio_move *op, const struct mmio_environment *env)
{
	unsigned size = op->insn.memory_size;
	bool write = insn_is_write(&op->insn);

	while (op->next < size) {
		bool second = op->next >= op->first;
		unsigned end = second ? size : op->first;
		gpa_t gpa = second ? op->gpa[1] + (op->next - op->first) : op->gpa[0] + op->next;
		const struct map_range *range = map_find(env->map, gpa);
		unsigned count = mmio_piece(env->map, range, gpa, end - op->next);
		uint64_t data = write ? op->data >> (8 * op->next) : 0;
		enum mmio_progress progress = mmio_dispatch(env, range, gpa, count, write, &data);

		if (progress == MMIO_EMBEDDER)
			op->pending = (uint8_t)count;
		if (progress != MMIO_DONE)
			return progress;
		if (!write)
			take_read(op, data, count);
		op->next = (uint8_t)(op->next + count);
	}
	return MMIO_DONE;
}

void mmio_operation_complete(struct mmio_move *op, uint64_t data)
{
	if (!op->pending)
		return;
	if (!insn_is_write(&op->insn))
		take_read(op, data, op->pending);
	op->next = (uint8_t)(op->next + op->pending);
	op->pending = 0;
}

void mmio_operation_finish(const struct mmio_move *op, uint64_t gpr[INSN_NR_GPRS])
{
	if (!insn_is_write(&op->insn))
		insn_load_result(&op->insn, gpr, op->data);
}
