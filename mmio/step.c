/* SPDX-License-Identifier: MIT */
#include "mmio/step.h"

#include "mmio/alu.h"
#include "mmio/emulate.h"

static void settle(uint64_t *rflags, struct step_result *result)
{
	unsigned size = result->kind >> 8;
	const struct insn insn = {.op = (uint8_t)result->kind,
				  .memory_size = (uint8_t)size,
				  .access = INSN_READ | INSN_WRITE,
				  .source = SOURCE_IMMEDIATE,
				  .reg = INSN_NO_REGISTER,
				  .imm = result->second & insn_mask[size]};
	uint64_t memory[2] = {result->first & insn_mask[size], 0}, none[INSN_NR_GPRS] = {0};

	if (!result->kind)
		return;
	alu_execute(&insn, none, rflags, memory);
	result->kind = 0;
}

void step_settle(struct step_flags *flags)
{
	settle(&flags->rflags, &flags->carry);
	settle(&flags->rflags, &flags->last);
}

bool step_condition(struct step_flags *flags, unsigned condition)
{
	step_settle(flags);
	return alu_condition(condition, flags->rflags);
}

bool step_fuse(struct step *step, const struct step *jump)
{
	if (jump->op != STEP_JCC || !step->kind || step->jump != STEP_GOES_ON)
		return false;
	step->jump = jump->jump;
	step->condition = jump->condition;
	step->target = jump->target;
	step->length = (uint8_t)(step->length + jump->length);
	return true;
}
