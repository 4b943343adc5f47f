/* SPDX-License-Identifier: MIT */
/* MOVS, STOS, LODS, CMPS, SCAS, INS, OUTS, with and without REP. SDM vol. 2, REP. */
#include "mmio/alu.h"
#include "mmio/emulate.h"
#include "mmio/string_batch.h"
#include "mmio/translate.h"
#include "mmio/unit.h"
#include "mmu/vm.h"

#define RFLAGS_ZF BIT(6)
#define RFLAGS_DF BIT(10)

static bool repeats(const struct insn *insn)
{
	return insn->flags & (INSN_REP | INSN_REPNE);
}

static uint64_t count_left(const struct insn *insn, const struct mmio_cpu *cpu)
{
	return cpu->gpr[TL_RCX] & insn_mask[insn->address_size];
}

/* Adds to rSI, rDI or rCX, as wide as an address. */
static void advance(const struct insn *insn, struct mmio_cpu *cpu, unsigned reg, uint64_t by)
{
	cpu_write_gpr(cpu, reg, insn->address_size, cpu->gpr[reg] + by);
}

static bool has_source(const struct insn *insn)
{
	return insn->op == INSN_MOVS || insn->op == INSN_LODS || insn->op == INSN_CMPS || insn->op == INSN_OUTS;
}

static bool has_destination(const struct insn *insn)
{
	return insn->op != INSN_LODS && insn->op != INSN_OUTS;
}

static bool writes_destination(const struct insn *insn)
{
	return insn->op == INSN_MOVS || insn->op == INSN_STOS || insn->op == INSN_INS;
}

/* The element at rSI is span 0, that at rDI the last one. */
static enum mmio_progress plan(struct mmio_operation *op, const struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;
	uint64_t mask = insn_mask[insn->address_size];
	enum mmio_progress progress = MMIO_DONE;

	op->nr_spans = 0;
	if (has_source(insn))
		progress = mmio_span_set(op, op->nr_spans++, cpu, insn->segment, cpu->gpr[TL_RSI] & mask,
					 insn->memory_size, INSN_READ);
	if (progress == MMIO_DONE && has_destination(insn))
		progress = mmio_span_set(op, op->nr_spans++, cpu, TL_ES, cpu->gpr[TL_RDI] & mask, insn->memory_size,
					 writes_destination(insn) ? INSN_WRITE : INSN_READ);
	return progress;
}

/* rSI, rDI and rCX after `count` elements. */
static void step(const struct insn *insn, struct mmio_cpu *cpu, uint64_t count)
{
	uint64_t bytes = count * insn->memory_size;

	if (cpu->rflags & RFLAGS_DF)
		bytes = 0 - bytes;
	if (has_source(insn))
		advance(insn, cpu, TL_RSI, bytes);
	if (has_destination(insn))
		advance(insn, cpu, TL_RDI, bytes);
	if (repeats(insn))
		advance(insn, cpu, TL_RCX, 0 - count);
}

static uint64_t element(const struct insn *insn, const uint8_t *bytes)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, bytes, insn->memory_size);
	return value;
}

/* CMPS: rSI's element less rDI's; SCAS: rAX less rDI's. */
static void compare(const struct mmio_operation *op, struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;
	const struct insn cmp = {.op = INSN_CMP,
				 .access = INSN_READ,
				 .memory_size = insn->memory_size,
				 .register_size = insn->memory_size,
				 .operand_size = insn->memory_size,
				 .source = SOURCE_IMMEDIATE,
				 .reg = INSN_NO_REGISTER,
				 .reg2 = INSN_NO_REGISTER,
				 .imm = element(insn, op->read[op->nr_spans - 1])};
	uint64_t memory[2] = {0};

	memory[0] = insn->op == INSN_CMPS ? element(insn, op->read[0]) : cpu_read_gpr(cpu, TL_RAX, insn->memory_size);
	(void)alu_execute(&cmp, cpu->gpr, &cpu->rflags, memory);
}

/* Between reading and writing an element: what is written, or what of the CPU changes. */
static void execute(const struct mmio_operation *op, struct mmio_cpu *cpu, uint8_t write[][MMIO_SPAN_BYTES])
{
	const struct insn *insn = &op->insn;
	uint8_t *destination = write[op->nr_spans - 1];

	switch (insn->op) {
	case INSN_MOVS:
	case INSN_INS:
		__builtin_memcpy(destination, op->read[0], 8);
		break;
	case INSN_STOS:
		__builtin_memcpy(destination, &cpu->gpr[TL_RAX], 8);
		break;
	case INSN_LODS:
		cpu_write_gpr(cpu, TL_RAX, insn->memory_size, element(insn, op->read[0]));
		break;
	case INSN_CMPS:
	case INSN_SCAS:
		compare(op, cpu);
		break;
	default:
		break;
	}
}

/* Whether the other half of INS or OUTS is still to be done: then *env->port says what. */
static bool wants_port(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	const struct insn *insn = &op->insn;

	if (insn->op != INSN_INS && insn->op != INSN_OUTS)
		return false;
	*env->port = (struct tl_exit_io){.port = (uint16_t)cpu->gpr[TL_RDX],
					 .size = insn->memory_size,
					 .write = insn->op == INSN_OUTS,
					 .data = insn->op == INSN_OUTS ? (uint32_t)element(insn, op->read[0]) : 0};
	op->pending = insn->memory_size;
	op->phase = PHASE_PORT;
	return true;
}

/* One element, from where it is. MMIO_DONE: it is complete, and the CPU is the one after it. */
static enum mmio_progress run_element(struct mmio_operation *op, struct mmio_cpu *cpu,
				      const struct mmio_environment *env)
{
	uint8_t write[MMIO_MAX_TRANSFERS][MMIO_SPAN_BYTES];
	enum mmio_progress progress;

	if (op->phase == PHASE_PLAN) {
		progress = plan(op, cpu);
		if (progress == MMIO_DONE)
			progress = mmio_translate(op, cpu, env);
		if (progress != MMIO_DONE)
			return progress;
		/* The exit was on this element; the next ones are where they are. */
		op->exit_gpa = MMIO_ANY_GPA;
		op->phase = PHASE_READ;
	}
	if (op->phase == PHASE_READ) {
		progress = mmio_transfer(op, env, false, op->read);
		if (progress != MMIO_DONE)
			return progress;
		if (wants_port(op, cpu, env))
			return MMIO_PORT;
		op->phase = PHASE_WRITE;
	}
	if (op->phase == PHASE_PORT) {
		op->at_span = 0;
		op->at_byte = 0;
		op->phase = PHASE_WRITE;
	}
	if (writes_destination(&op->insn))
		execute(op, cpu, write);
	progress = mmio_transfer(op, env, true, write);
	if (progress != MMIO_DONE)
		return progress;
	if (!writes_destination(&op->insn))
		execute(op, cpu, write);
	step(&op->insn, cpu, 1);
	op->phase = PHASE_PLAN;
	return MMIO_DONE;
}

/* Whether the repetition goes on after an element. */
static bool goes_on(const struct insn *insn, const struct mmio_cpu *cpu)
{
	if (!repeats(insn) || count_left(insn, cpu) == 0)
		return false;
	if (insn->op != INSN_CMPS && insn->op != INSN_SCAS)
		return true;
	return !!(cpu->rflags & RFLAGS_ZF) == !!(insn->flags & INSN_REP);
}

/* acquire: as before an entry. */
static bool wants_attention(const struct mmio_environment *env)
{
	return atomic_load_explicit(&env->reader->vm->round, memory_order_acquire) != env->reader->entry_round;
}

enum mmio_progress string_run(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	const struct insn *insn = &op->insn;

	if (op->phase == PHASE_PLAN && repeats(insn) && count_left(insn, cpu) == 0) {
		cpu->rip = mmio_next_rip(cpu, insn);
		return MMIO_DONE;
	}
	for (;;) {
		enum mmio_progress progress = run_element(op, cpu, env);
		uint64_t more;

		if (progress != MMIO_DONE)
			return progress;
		if (!goes_on(insn, cpu)) {
			cpu->rip = mmio_next_rip(cpu, insn);
			return MMIO_DONE;
		}
		if (--op->limit == 0 || wants_attention(env))
			return MMIO_AGAIN;
		/* The last element's pages tell where the next ones are, as long as these stay on them. */
		progress = string_batch(op, cpu, env, count_left(insn, cpu), &more);
		step(insn, cpu, more);
		op->limit -= (uint32_t)more;
		if (progress != MMIO_DONE)
			return progress;
		if (more && !goes_on(insn, cpu)) {
			cpu->rip = mmio_next_rip(cpu, insn);
			return MMIO_DONE;
		}
		if (wants_attention(env))
			return MMIO_AGAIN;
	}
}
