/* SPDX-License-Identifier: MIT */
/* Instructions on segment registers, far pointers and descriptor tables. SDM vol. 2. */
#include "mmio/emulate.h"
#include "mmio/segment.h"
#include "mmio/stack_row.h"
#include "mmio/translate.h"

#define CR0_LMSW  BITS(3, 0)
#define CR0_PE    BIT(0)
#define CR4_UMIP  BIT(11)
#define RFLAGS_ZF BIT(6)

enum { TYPE_TSS_16 = 1, TYPE_LDT = 2, TYPE_TSS = 9, VECTOR_UD = 6 };

static bool stores_tables(const struct insn *insn)
{
	return insn->op == INSN_SGDT || insn->op == INSN_SIDT || insn->op == INSN_SMSW ||
	       (insn->op == INSN_STORE_SEGMENT && insn->reg >= TL_LDTR);
}

static bool loads_system(const struct insn *insn)
{
	return insn->op == INSN_LGDT || insn->op == INSN_LIDT || insn->op == INSN_LMSW ||
	       (insn->op == INSN_LOAD_SEGMENT && insn->reg >= TL_LDTR);
}

/* SLDT and its like do not exist in real and virtual-8086 mode. */
static bool needs_descriptors(const struct insn *insn)
{
	return ((insn->op == INSN_STORE_SEGMENT || insn->op == INSN_LOAD_SEGMENT) && insn->reg >= TL_LDTR) ||
	       insn->op >= INSN_VERR;
}

static bool is_table(const struct insn *insn)
{
	return insn->op == INSN_SGDT || insn->op == INSN_SIDT || insn->op == INSN_LGDT || insn->op == INSN_LIDT;
}

/* A limit of 2 bytes, then a base, each an access of its own and aligned as such. SDM vol. 3, 3.5.1. */
static void split_table(struct mmio_operation *op)
{
	struct mmio_span *limit = &op->span[0], *base = &op->span[1];

	*base = *limit;
	base->linear += 2;
	base->size = base->element = (uint8_t)(op->insn.memory_size - 2);
	limit->size = limit->element = 2;
	op->nr_spans = 2;
}

/*
 * A far CALL pushes CS and the address behind it, spans 1 and 2. What these fault with has to wait for what the segment
 * has to say: then op->fault is that, and the span that faults is not one of op->nr_spans. SDM vol. 2, CALL.
 */
static enum mmio_progress plan_pushes(struct mmio_operation *op, const struct mmio_cpu *cpu,
				      const struct mmio_environment *env)
{
	enum mmio_progress progress = mmio_translate_span(op, cpu, env, 0);

	for (unsigned i = 1; i <= 2 && progress == MMIO_DONE; i++) {
		progress =
			stack_try(op, i, cpu, env, cpu->gpr[TL_RSP] - (uint64_t)i * op->insn.operand_size, INSN_WRITE);
		if (progress == MMIO_FAULT)
			return MMIO_DONE;
		op->nr_spans++;
	}
	return progress;
}

static bool stack_faults(const struct mmio_operation *op)
{
	return op->insn.op == INSN_CALL_FAR && op->nr_spans <= 2;
}

enum mmio_progress segment_plan(struct mmio_operation *op, const struct mmio_cpu *cpu,
				const struct mmio_environment *env)
{
	const struct insn *insn = &op->insn;
	enum mmio_progress progress;

	op->nr_spans = 1;
	if (needs_descriptors(insn) && segment_is_flat_mode(cpu))
		return mmio_raise(op, VECTOR_UD);
	if (cpu->paging.cpl != 0 && (loads_system(insn) || (stores_tables(insn) && cpu->paging.cr4 & CR4_UMIP)))
		return mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
	progress = mmio_span_operand(op, 0, cpu);
	if (is_table(insn))
		split_table(op);
	return progress == MMIO_DONE && insn->op == INSN_CALL_FAR ? plan_pushes(op, cpu, env) : progress;
}

static uint64_t number(const uint8_t *from, unsigned size)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, from, size);
	return value;
}

static void store_table(const struct insn *insn, const struct tl_table *table, struct mmio_buffers *buffers)
{
	__builtin_memcpy(buffers->write[0], &table->limit, 2);
	__builtin_memcpy(buffers->write[1], &table->base, insn->memory_size - 2u);
}

static enum mmio_progress load_table(struct mmio_operation *op, struct mmio_cpu *cpu, struct tl_table *table)
{
	uint64_t base = number(op->read[1], op->insn.memory_size - 2u);

	/* A 16-bit operand size takes 24 bits of the base. SDM vol. 2, LGDT. */
	if (op->insn.memory_size == 6 && op->insn.operand_size == 2)
		base &= 0xffffff;
	if (!cpu_is_canonical(cpu, base))
		return mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
	table->limit = (uint16_t)number(op->read[0], 2);
	table->base = base;
	cpu->changed |= CPU_TABLES;
	return MMIO_DONE;
}

/* LLDT and LTR. */
static enum mmio_progress load_system(struct mmio_operation *op, struct mmio_cpu *cpu,
				      const struct mmio_environment *env, uint16_t selector)
{
	struct tl_segment *segment = &cpu->segment[op->insn.reg];
	bool long_mode = cpu->paging.efer & SEGMENT_EFER_LMA, task = op->insn.reg == TL_TR;
	struct descriptor descriptor;
	enum mmio_progress progress;
	struct tl_segment new;
	uint32_t type;

	cpu->changed |= CPU_SEGMENTS;
	if (!(selector & ~3u) && !task) {
		*segment = (struct tl_segment){.selector = selector, .access = RIGHTS_UNUSABLE};
		return MMIO_DONE;
	}
	if (!(selector & ~3u) || selector & SELECTOR_TABLE)
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	progress = segment_descriptor(op, cpu, env, selector, long_mode ? 16 : 8, &descriptor);
	if (progress != MMIO_DONE)
		return progress;
	type = descriptor_rights(&descriptor) & 31;
	if (task ? type != TYPE_TSS && (type != TYPE_TSS_16 || long_mode) : type != TYPE_LDT)
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	if (!(descriptor_rights(&descriptor) & RIGHTS_PRESENT))
		return segment_fault(op, SEGMENT_VECTOR_NP, selector);
	descriptor_unpack(&descriptor, selector, &new);
	if (!cpu_is_canonical(cpu, new.base) || descriptor.high >> 40 & 31)
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	if (task) {
		progress = descriptor_mark(op, cpu, env, &descriptor, RIGHTS_BUSY);
		new.access |= RIGHTS_BUSY;
	}
	*segment = new;
	return progress;
}

/* Whether LAR, LSL, VERR or VERW succeed on a descriptor. */
static bool verifies(const struct insn *insn, const struct mmio_cpu *cpu, uint16_t selector, uint32_t rights)
{
	/* System descriptors by type: LAR takes gates as well, LSL those with a limit. SDM vol. 2, tables of both. */
	static const uint16_t lar_32 = 0x1a3e, lsl_32 = 0x0a0e, long_mode_types = 0x1a04, long_limit_types = 0x0a04;
	bool long_mode = cpu->paging.efer & SEGMENT_EFER_LMA, code = rights & RIGHTS_CODE;
	unsigned type = rights & 15, dpl = RIGHTS_DPL(rights), rpl = selector & 3;
	bool reachable = dpl >= cpu->paging.cpl && dpl >= rpl;

	if (!(rights & RIGHTS_NO_SYSTEM)) {
		uint16_t types = insn->op == INSN_LAR ? (long_mode ? long_mode_types : lar_32)
						      : (long_mode ? long_limit_types : lsl_32);

		return insn->op >= INSN_LAR && types >> type & 1 && reachable;
	}
	if (code && type & 4) /* conforming */
		reachable = true;
	switch (insn->op) {
	case INSN_VERR:
		return reachable && (!code || type & 2);
	case INSN_VERW:
		return reachable && !code && type & 2;
	default:
		return reachable;
	}
}

static enum mmio_progress verify(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				 uint16_t selector)
{
	const struct insn *insn = &op->insn;
	struct descriptor descriptor;
	struct tl_segment segment;
	enum mmio_progress progress;

	cpu->rflags &= ~RFLAGS_ZF;
	/* A selector that names nothing is an answer, not a fault. */
	if (!(selector & ~3u))
		return MMIO_DONE;
	progress = segment_descriptor(op, cpu, env, selector, 8, &descriptor);
	if (progress == MMIO_FAULT && op->fault.vector != SEGMENT_VECTOR_PF)
		return MMIO_DONE;
	if (progress != MMIO_DONE)
		return progress;
	if (!verifies(insn, cpu, selector, descriptor_rights(&descriptor)))
		return MMIO_DONE;
	cpu->rflags |= RFLAGS_ZF;
	descriptor_unpack(&descriptor, selector, &segment);
	/* Bits 19:16, which the SDM leaves undefined, are those of the limit in practice. */
	if (insn->op == INSN_LAR)
		cpu_write_gpr(cpu, insn->reg, insn->register_size, descriptor.low >> 32 & 0x00ffff00);
	else if (insn->op == INSN_LSL)
		cpu_write_gpr(cpu, insn->reg, insn->register_size, segment.limit);
	return MMIO_DONE;
}

/* The faults of a far JMP or CALL, in their order: the segment's, the stack's limit, the target, the stack's pages. */
static enum mmio_progress check_transfer(struct mmio_operation *op, const struct mmio_cpu *cpu,
					 const struct mmio_environment *env, uint16_t selector, uint64_t target,
					 struct segment_code *code)
{
	struct mmio_fault of_stack = op->fault;
	enum mmio_progress progress = segment_find_code(op, cpu, env, selector, code);

	if (progress == MMIO_DONE && !(stack_faults(op) && of_stack.vector == SEGMENT_VECTOR_SS))
		progress = segment_holds(op, cpu, code, target);
	if (progress != MMIO_DONE || !stack_faults(op))
		return progress;
	op->fault = of_stack;
	return MMIO_FAULT;
}

/* The far pointer: a selector behind an offset. */
static enum mmio_progress transfer(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				   struct mmio_buffers *buffers)
{
	unsigned size = op->insn.operand_size;
	uint64_t target = number(op->read[0], size), next = mmio_next_rip(cpu, &op->insn);
	uint64_t old_cs = cpu->segment[TL_CS].selector;
	struct segment_code code;
	enum mmio_progress progress =
		check_transfer(op, cpu, env, (uint16_t)number(op->read[0] + size, 2), target, &code);

	if (progress == MMIO_DONE)
		progress = segment_load_code(op, cpu, env, &code);
	if (progress != MMIO_DONE)
		return progress;
	if (op->insn.op == INSN_CALL_FAR) {
		__builtin_memcpy(buffers->write[1], &old_cs, size);
		__builtin_memcpy(buffers->write[2], &next, size);
		cpu_write_gpr(cpu, TL_RSP, stack_size(cpu), cpu->gpr[TL_RSP] - 2u * size);
	}
	cpu->rip = target;
	return MMIO_DONE;
}

static enum mmio_progress load_far(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	const struct insn *insn = &op->insn;
	unsigned size = insn->operand_size;
	enum mmio_progress progress =
		segment_load(op, cpu, env, (enum tl_segment_name)insn->detail, (uint16_t)number(op->read[0] + size, 2));

	if (progress == MMIO_DONE)
		cpu_write_gpr(cpu, insn->reg, size, number(op->read[0], size));
	return progress;
}

static enum mmio_progress load_segment(struct mmio_operation *op, struct mmio_cpu *cpu,
				       const struct mmio_environment *env)
{
	uint16_t selector = (uint16_t)number(op->read[0], 2);

	if (op->insn.reg >= TL_LDTR)
		return load_system(op, cpu, env, selector);
	cpu->shadow = op->insn.reg == TL_SS;
	return segment_load(op, cpu, env, (enum tl_segment_name)op->insn.reg, selector);
}

enum mmio_progress segment_execute(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				   struct mmio_buffers *buffers)
{
	const struct insn *insn = &op->insn;
	uint64_t value = number(op->read[0], 2);

	switch (insn->op) {
	case INSN_STORE_SEGMENT:
		__builtin_memcpy(buffers->write[0], &cpu->segment[insn->reg].selector, 2);
		return MMIO_DONE;
	case INSN_LOAD_SEGMENT:
		return load_segment(op, cpu, env);
	case INSN_LOAD_FAR:
		return load_far(op, cpu, env);
	case INSN_JMP_FAR:
	case INSN_CALL_FAR:
		return transfer(op, cpu, env, buffers);
	case INSN_SGDT:
	case INSN_SIDT:
		store_table(insn, insn->op == INSN_SGDT ? &cpu->gdtr : &cpu->idtr, buffers);
		return MMIO_DONE;
	case INSN_LGDT:
	case INSN_LIDT:
		return load_table(op, cpu, insn->op == INSN_LGDT ? &cpu->gdtr : &cpu->idtr);
	case INSN_SMSW:
		__builtin_memcpy(buffers->write[0], &cpu->paging.cr0, 2);
		return MMIO_DONE;
	case INSN_LMSW:
		/* PE is set by it, and not cleared. */
		cpu->paging.cr0 = (cpu->paging.cr0 & ~(CR0_LMSW & ~CR0_PE)) | (value & CR0_LMSW);
		return MMIO_DONE;
	default:
		return verify(op, cpu, env, (uint16_t)value);
	}
}
