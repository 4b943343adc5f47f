/* SPDX-License-Identifier: MIT */
/* The stack, and near transfers through memory. SDM vol. 2; vol. 1, 6.2. */
#include "mmio/segment.h"
#include "mmio/stack_row.h"

enum { VECTOR_GP = 13 };

#define CR0_PE            BIT(0)
#define RFLAGS_VM         BIT(17)
#define RFLAGS_IOPL(f)    ((unsigned)((f) >> 12 & 3))
#define RFLAGS_TO_STACK   0x3cffffull /* all but VM and RF: PUSHF */
#define RFLAGS_FROM_STACK 0x247fd5ull /* ID AC NT IOPL OF DF IF TF SF ZF AF PF CF: what POPF may change */
#define RFLAGS_IOPL_BITS  BITS(13, 12)
#define RFLAGS_IF         BIT(9)
#define RFLAGS_TF         BIT(8)
#define RFLAGS_VIF        BIT(19)
#define RFLAGS_VIP        BIT(20)
#define CR4_VME           BIT(0)

/* `size` bytes of the stack at `offset` as span i, in items of the operand size. */
static enum mmio_progress stack_span(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu, uint64_t offset,
				     unsigned size, unsigned access)
{
	enum mmio_progress progress =
		mmio_span_set(op, i, cpu, TL_SS, offset & insn_mask[stack_size(cpu)], size, access);

	op->span[i].element = size < op->insn.operand_size ? (uint8_t)size : op->insn.operand_size;
	return progress;
}

static uint64_t stack_pointer(const struct mmio_cpu *cpu)
{
	return cpu->gpr[TL_RSP] & insn_mask[stack_size(cpu)];
}

enum { NR_POPPED = 8 };

/* PUSHA from the highest item to the lowest, POPA from the lowest to the highest, with that of SP, which it drops. */
static enum mmio_progress plan_all(struct mmio_operation *op, const struct mmio_cpu *cpu,
				   const struct mmio_environment *env, bool push)
{
	unsigned size = op->insn.operand_size, access = push ? INSN_WRITE : INSN_READ;
	const struct stack_row row = {cpu->gpr[TL_RSP] - (push ? NR_POPPED * size : 0), NR_POPPED};
	enum mmio_progress progress = MMIO_DONE;

	for (unsigned i = 0; i < NR_POPPED && progress == MMIO_DONE; i++)
		progress = stack_try(op, 0, cpu, env, row.offset + (push ? NR_POPPED - 1 - i : i) * size, access);
	if (progress != MMIO_DONE)
		return progress;
	stack_row_set(op, 0, cpu, &row, access);
	op->nr_spans = 2;
	return MMIO_DONE;
}

/*
 * A segment register is popped as a selector, whatever the operand size, and pushed as one if that is 32 bits, as
 * recent CPUs do (SDM vol. 2, PUSH): what is beyond is not accessed.
 */
static unsigned accessed(const struct insn *insn, unsigned size)
{
	bool selector = insn->source == SOURCE_SEGMENT && (insn->op == INSN_POP || size == 4);

	return selector ? 2 : size;
}

/* The bytes on the stack that an instruction pops; 0: it pushes, or does neither. */
static unsigned popped(const struct insn *insn)
{
	switch (insn->op) {
	case INSN_POP:
	case INSN_POPF:
	case INSN_RET:
	case INSN_LEAVE:
		return insn->operand_size;
	case INSN_POPA:
		return NR_POPPED * insn->operand_size;
	default:
		return 0;
	}
}

static unsigned pushed(const struct insn *insn)
{
	if (insn->op == INSN_PUSHA)
		return NR_POPPED * insn->operand_size;
	return insn->op == INSN_JMP ? 0 : insn->operand_size;
}

/* Virtual-8086 mode lets PUSHF and POPF through only with IOPL 3, */
static bool flags_are_sensitive(const struct mmio_cpu *cpu)
{
	return cpu->rflags & RFLAGS_VM && RFLAGS_IOPL(cpu->rflags) < 3;
}

/* or of 16 bits with CR4.VME: then VIF stands in the place of IF. SDM vol. 3, 21.3. */
static bool flags_are_forbidden(const struct insn *insn, const struct mmio_cpu *cpu)
{
	return (insn->op == INSN_PUSHF || insn->op == INSN_POPF) && flags_are_sensitive(cpu) &&
	       !(cpu->paging.cr4 & CR4_VME && insn->operand_size == 2);
}

static uint64_t pushed_flags(const struct mmio_cpu *cpu)
{
	if (!flags_are_sensitive(cpu))
		return cpu->rflags & RFLAGS_TO_STACK;
	return (cpu->rflags & RFLAGS_TO_STACK & ~(uint64_t)RFLAGS_IF) | RFLAGS_IOPL_BITS |
	       (cpu->rflags & RFLAGS_VIF ? RFLAGS_IF : 0);
}

enum mmio_progress stack_plan(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	const struct insn *insn = &op->insn;
	uint64_t from = insn->op == INSN_LEAVE ? cpu->gpr[TL_RBP] : cpu->gpr[TL_RSP];
	enum mmio_progress progress = MMIO_DONE;
	struct mmio_cpu after;

	if (flags_are_forbidden(insn, cpu))
		return mmio_raise_error(op, VECTOR_GP, 0);
	if (insn->op == INSN_ENTER)
		return enter_plan(op, cpu, env);
	if (insn->op == INSN_PUSHA || insn->op == INSN_POPA)
		return plan_all(op, cpu, env, insn->op == INSN_PUSHA);
	if (popped(insn)) {
		progress = stack_span(op, op->nr_spans++, cpu, from, accessed(insn, popped(insn)), INSN_READ);
		if (progress != MMIO_DONE || insn->source != SOURCE_MEMORY)
			return progress;
		/* POP computes an address by rSP after it has popped. */
		after = *cpu;
		stack_set(&after, TL_RSP, from + insn->operand_size);
		return mmio_span_operand(op, op->nr_spans++, &after);
	}
	if (insn->source == SOURCE_MEMORY)
		progress = mmio_span_operand(op, op->nr_spans++, cpu);
	if (progress == MMIO_DONE && pushed(insn))
		progress = stack_span(op, op->nr_spans++, cpu, stack_pointer(cpu) - pushed(insn),
				      accessed(insn, pushed(insn)), INSN_WRITE);
	return progress;
}

/* Goes on at `target`. SDM vol. 2, CALL, JMP, RET: #GP(0) if it is not canonical or beyond the limit. */
static enum mmio_progress branch(struct mmio_operation *op, struct mmio_cpu *cpu, uint64_t target)
{
	target &= insn_mask[op->insn.operand_size];
	if (cpu->code_bits == 64) {
		if (!cpu_is_canonical(cpu, target))
			return mmio_raise_error(op, VECTOR_GP, 0);
	} else if (target > cpu->segment[TL_CS].limit) {
		return mmio_raise_error(op, VECTOR_GP, 0);
	}
	cpu->rip = target;
	return MMIO_DONE;
}

/* Where CALL and JMP go. */
static uint64_t branch_target(const struct mmio_operation *op, const struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;

	switch (insn->source) {
	case SOURCE_MEMORY:
		return stack_row_get(op, 0, 0);
	case SOURCE_REGISTER:
		return cpu->gpr[insn->reg];
	default:
		return cpu->rip + insn->length + insn->imm;
	}
}

static uint64_t pushed_value(const struct mmio_operation *op, const struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;

	if (insn->op == INSN_CALL)
		return mmio_next_rip(cpu, insn);
	if (insn->op == INSN_PUSHF)
		return pushed_flags(cpu);
	switch (insn->source) {
	case SOURCE_MEMORY:
		return stack_row_get(op, 0, 0);
	case SOURCE_REGISTER:
		return cpu->gpr[insn->reg];
	case SOURCE_SEGMENT:
		return cpu->segment[insn->reg].selector;
	default:
		return insn->imm;
	}
}

static enum mmio_progress push(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	const struct insn *insn = &op->insn;
	unsigned span = op->nr_spans - 1u;
	uint64_t target = 0;

	if (insn->op == INSN_PUSHA)
		for (unsigned reg = 0; reg < NR_POPPED; reg++)
			stack_row_put(op, buffers, 0, NR_POPPED - 1 - reg, cpu->gpr[reg]);
	else if (insn->op != INSN_JMP)
		stack_row_put(op, buffers, span, 0, pushed_value(op, cpu));
	if (insn->op == INSN_CALL || insn->op == INSN_JMP)
		target = branch_target(op, cpu);
	stack_set(cpu, TL_RSP, cpu->gpr[TL_RSP] - pushed(insn));
	return insn->op == INSN_CALL || insn->op == INSN_JMP ? branch(op, cpu, target) : MMIO_DONE;
}

/* With CR4.VME. What would interrupt at once is the monitor's. */
static enum mmio_progress pop_virtual_flags(struct mmio_operation *op, struct mmio_cpu *cpu, uint64_t value)
{
	uint64_t may_change = RFLAGS_FROM_STACK & insn_mask[2] & ~(RFLAGS_IOPL_BITS | RFLAGS_IF);

	if (value & RFLAGS_TF || (value & RFLAGS_IF && cpu->rflags & RFLAGS_VIP))
		return mmio_raise_error(op, VECTOR_GP, 0);
	cpu->rflags = (cpu->rflags & ~(may_change | RFLAGS_VIF)) | (value & may_change) |
		      (value & RFLAGS_IF ? RFLAGS_VIF : 0);
	return MMIO_DONE;
}

/* POPF: IOPL changes only at CPL 0, IF only up to IOPL. */
static enum mmio_progress pop_flags(struct mmio_operation *op, struct mmio_cpu *cpu, uint64_t value, unsigned size)
{
	bool protected = cpu->paging.cr0 & CR0_PE && !(cpu->rflags & RFLAGS_VM);
	uint64_t may_change = RFLAGS_FROM_STACK & insn_mask[size];

	if (flags_are_sensitive(cpu))
		return pop_virtual_flags(op, cpu, value);
	if (cpu->rflags & RFLAGS_VM || (protected && cpu->paging.cpl != 0))
		may_change &= ~RFLAGS_IOPL_BITS;
	if (protected && cpu->paging.cpl > RFLAGS_IOPL(cpu->rflags))
		may_change &= ~RFLAGS_IF;
	cpu->rflags = (cpu->rflags & ~may_change) | (value & may_change);
	return MMIO_DONE;
}

static void pop_all(const struct mmio_operation *op, struct mmio_cpu *cpu)
{
	for (unsigned reg = 0; reg < NR_POPPED; reg++)
		if (reg != TL_RSP)
			cpu_write_gpr(cpu, reg, op->insn.operand_size, stack_row_get(op, 0, NR_POPPED - 1 - reg));
}

static enum mmio_progress pop_one(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				  struct mmio_buffers *buffers)
{
	const struct insn *insn = &op->insn;

	switch (insn->source) {
	case SOURCE_MEMORY:
		stack_row_put(op, buffers, 1, 0, stack_row_get(op, 0, 0));
		return MMIO_DONE;
	case SOURCE_REGISTER:
		cpu_write_gpr(cpu, insn->reg, insn->operand_size, stack_row_get(op, 0, 0));
		return MMIO_DONE;
	default:
		cpu->shadow = insn->reg == TL_SS;
		return segment_load(op, cpu, env, (enum tl_segment_name)insn->reg, (uint16_t)stack_row_get(op, 0, 0));
	}
}

static enum mmio_progress pop(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
			      struct mmio_buffers *buffers)
{
	const struct insn *insn = &op->insn;
	uint64_t from = insn->op == INSN_LEAVE ? cpu->gpr[TL_RBP] : cpu->gpr[TL_RSP];

	/* First: POP rSP ends with what it popped. */
	stack_set(cpu, TL_RSP, from + popped(insn) + (insn->op == INSN_RET ? insn->imm : 0));
	switch (insn->op) {
	case INSN_POPA:
		pop_all(op, cpu);
		return MMIO_DONE;
	case INSN_POPF:
		return pop_flags(op, cpu, stack_row_get(op, 0, 0), insn->operand_size);
	case INSN_RET:
		return branch(op, cpu, stack_row_get(op, 0, 0));
	case INSN_LEAVE:
		cpu_write_gpr(cpu, TL_RBP, insn->operand_size, stack_row_get(op, 0, 0));
		return MMIO_DONE;
	default:
		return pop_one(op, cpu, env, buffers);
	}
}

enum mmio_progress stack_execute(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				 struct mmio_buffers *buffers)
{
	if (op->insn.op == INSN_ENTER) {
		enter_execute(op, cpu, buffers);
		return MMIO_DONE;
	}
	return popped(&op->insn) ? pop(op, cpu, env, buffers) : push(op, cpu, buffers);
}
