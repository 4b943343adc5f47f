/* SPDX-License-Identifier: MIT */
/* ENTER. SDM vol. 2; vol. 1, 6.5. */
#include "mmio/stack_row.h"

/* What ENTER pushes: rBP, the frame pointers of the levels above, and its own. */
static unsigned enter_level(const struct insn *insn)
{
	return insn->imm >> 16 & 31;
}

static unsigned enter_pushed(const struct insn *insn)
{
	return enter_level(insn) ? enter_level(insn) + 1 : 1;
}

/* The frame pointers between rBP and its own come from where rBP points, and each is read before it is pushed. */
static unsigned enter_copied(const struct insn *insn)
{
	return enter_level(insn) ? enter_level(insn) - 1 : 0;
}

enum { SPAN_PUSHED = 0, SPAN_COPIED = 2, SPAN_TRIED = 4 };

static enum mmio_progress try_enter(struct mmio_operation *op, const struct mmio_cpu *cpu,
				    const struct mmio_environment *env)
{
	unsigned size = op->insn.operand_size, pushed = enter_pushed(&op->insn), copied = enter_copied(&op->insn);
	uint64_t rsp = cpu->gpr[TL_RSP], rbp = cpu->gpr[TL_RBP];
	enum mmio_progress progress = MMIO_DONE;

	for (unsigned i = 0; i < pushed && progress == MMIO_DONE; i++) {
		if (i >= 1 && i <= copied)
			progress = stack_try(op, SPAN_TRIED, cpu, env, rbp - i * size, INSN_READ);
		if (progress == MMIO_DONE)
			progress = stack_try(op, SPAN_TRIED, cpu, env, rsp - (i + 1) * size, INSN_WRITE);
	}
	return progress;
}

/* Where the stack then ends it tries to write. */
enum mmio_progress enter_plan(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	unsigned size = op->insn.operand_size, pushed = enter_pushed(&op->insn), copied = enter_copied(&op->insn);
	const struct stack_row pushes = {cpu->gpr[TL_RSP] - pushed * size, pushed};
	const struct stack_row copies = {cpu->gpr[TL_RBP] - copied * size, copied};
	enum mmio_progress progress = try_enter(op, cpu, env);

	if (progress == MMIO_DONE)
		progress = stack_try(op, SPAN_TRIED, cpu, env, pushes.offset - (op->insn.imm & 0xffff), INSN_WRITE);
	if (progress != MMIO_DONE)
		return progress;
	op->span[SPAN_TRIED].only_tried = true;
	stack_row_set(op, SPAN_PUSHED, cpu, &pushes, INSN_WRITE);
	stack_row_set(op, SPAN_COPIED, cpu, &copies, INSN_READ);
	op->nr_spans = SPAN_TRIED + 1;
	return MMIO_DONE;
}

/*
 * The frame pointer of level `level`, which is copied as the `level`th push after rBP. Where the frames overlap with
 * the copies, the CPU reads what it has just pushed.
 */
static uint64_t copied_frame(const struct mmio_operation *op, const struct mmio_cpu *cpu,
			     const struct mmio_buffers *buffers, unsigned level)
{
	unsigned size = op->insn.operand_size, pushed = enter_pushed(&op->insn) * size;
	uint64_t from = cpu->gpr[TL_RBP] - level * size, top = cpu->gpr[TL_RSP] - pushed;
	uint64_t value = stack_row_get(op, SPAN_COPIED, enter_copied(&op->insn) - level);

	for (unsigned i = 0; i < size; i++) {
		uint64_t offset = (from + i - top) & insn_mask[stack_size(cpu)];
		unsigned at = (unsigned)offset, in;

		if (offset >= pushed || offset < pushed - level * size)
			continue;
		in = stack_row_span(op, SPAN_PUSHED, &at);
		value &= ~(0xffull << (8 * i));
		value |= (uint64_t)buffers->write[in][at] << (8 * i);
	}
	return value;
}

void enter_execute(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	unsigned size = op->insn.operand_size, items = enter_pushed(&op->insn);
	uint64_t rsp = cpu->gpr[TL_RSP], frame;

	stack_row_put(op, buffers, SPAN_PUSHED, items - 1, cpu->gpr[TL_RBP]);
	for (unsigned i = 1; i <= enter_copied(&op->insn); i++)
		stack_row_put(op, buffers, SPAN_PUSHED, items - 1 - i, copied_frame(op, cpu, buffers, i));
	if (items > 1)
		stack_row_put(op, buffers, SPAN_PUSHED, 0, (rsp - size) & insn_mask[stack_size(cpu)]);
	stack_set(cpu, TL_RSP, rsp - size);
	frame = cpu->gpr[TL_RSP];
	stack_set(cpu, TL_RSP, rsp - items * size - (op->insn.imm & 0xffff));
	cpu_write_gpr(cpu, TL_RBP, size, frame);
}
