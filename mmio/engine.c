/* SPDX-License-Identifier: MIT */
#include "mmio/engine.h"

#include "mmio/alu.h"
#include "mmio/dispatch.h"
#include "mmio/emulate.h"
#include "mmio/translate.h"
#include "mmio/unit.h"
#include "mmio/vector.h"
#include "mmio/x87.h"

enum { VECTOR_MF = 16 };

void mmio_begin(struct mmio_operation *op, const struct insn *insn, gpa_t exit_gpa, uint32_t limit)
{
	op->insn = *insn;
	op->exit_gpa = exit_gpa;
	op->limit = limit;
	op->nr_spans = 0;
	op->phase = PHASE_PLAN;
	op->at_span = 0;
	op->at_byte = 0;
	op->pending = 0;
}

/* How many bytes from op->at_byte on may go in one access: of one page, one element, all of them accessed. */
static unsigned next_bytes(const struct mmio_operation *op, const struct mmio_span *span)
{
	unsigned at = op->at_byte, end = at < span->first ? span->first : span->size, count = 1;
	unsigned most = span->element - at % span->element;

	if (most > end - at)
		most = end - at;
	/* No element lies across the end of the mask. */
	if (at >= 64)
		return most;
	while (count < most && span->mask >> (at + count) & 1)
		count++;
	return count;
}

static uint64_t load_bytes(const uint8_t *from, unsigned count)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, from, count);
	return value;
}

/* One access at op->at_byte of a span, to where `bytes` says or from there. */
static enum mmio_progress transfer_piece(struct mmio_operation *op, const struct mmio_environment *env, bool write,
					 uint8_t *bytes)
{
	const struct mmio_span *span = &op->span[op->at_span];
	unsigned at = op->at_byte;
	gpa_t gpa = at < span->first ? span->gpa[0] + at : span->gpa[1] + (at - span->first);
	const struct map_range *range = map_find(env->map, gpa);
	unsigned count = mmio_piece(env->map, range, gpa, next_bytes(op, span));
	uint64_t data = write ? load_bytes(bytes + at, count) : 0;
	enum mmio_progress progress = mmio_dispatch(env, range, gpa, count, write, &data);

	if (progress == MMIO_EMBEDDER)
		op->pending = (uint8_t)count;
	if (progress != MMIO_DONE)
		return progress;
	if (!write)
		__builtin_memcpy(bytes + at, &data, count);
	op->at_byte = (uint16_t)(at + count);
	return MMIO_DONE;
}

enum mmio_progress mmio_transfer(struct mmio_operation *op, const struct mmio_environment *env, bool write,
				 uint8_t bytes[][MMIO_SPAN_BYTES])
{
	for (; op->at_span < op->nr_spans; op->at_span++, op->at_byte = 0) {
		const struct mmio_span *span = &op->span[op->at_span];

		if (span->only_tried || !(span->access & (write ? INSN_WRITE : INSN_READ)))
			continue;
		while (op->at_byte < span->size) {
			enum mmio_progress progress;

			if (op->at_byte < 64 && !(span->mask >> op->at_byte & 1)) {
				op->at_byte++;
				continue;
			}
			progress = transfer_piece(op, env, write, bytes[op->at_span]);
			if (progress != MMIO_DONE)
				return progress;
		}
	}
	op->at_span = 0;
	op->at_byte = 0;
	return MMIO_DONE;
}

static enum mmio_progress plan(struct mmio_operation *op, const struct mmio_cpu *cpu,
			       const struct mmio_environment *env)
{
	if (x87_waits(&op->insn) && x87_is_pending(&cpu->xstate))
		return mmio_raise(op, VECTOR_MF);
	switch (insn_unit(&op->insn)) {
	case UNIT_STACK:
		return stack_plan(op, cpu, env);
	case UNIT_SEGMENT:
		return segment_plan(op, cpu, env);
	case UNIT_DIRECT:
		return direct_plan(op, cpu);
	default:
		op->nr_spans = 1;
		return mmio_span_operand(op, 0, cpu);
	}
}

static enum mmio_progress execute_alu(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	uint64_t memory[2];
	int vector;

	__builtin_memcpy(memory, op->read[0], sizeof(memory));
	if (op->insn.memory_size < 8) {
		memory[0] &= insn_mask[op->insn.memory_size];
		memory[1] = 0;
	}
	vector = alu_execute(&op->insn, cpu->gpr, &cpu->rflags, memory);
	if (vector != ALU_OK)
		return mmio_raise(op, (unsigned)vector);
	__builtin_memcpy(buffers->write[0], memory, sizeof(memory));
	return MMIO_DONE;
}

static enum mmio_progress execute_vector(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	int vector;

	if (insn_is_write(&op->insn)) {
		vector_store(&op->insn, &cpu->xstate, buffers->write[0]);
		return MMIO_DONE;
	}
	vector = vector_load(&op->insn, &cpu->xstate, op->read[0]);
	return vector < 0 ? MMIO_DONE : mmio_raise_error(op, (unsigned)vector, 0);
}

static enum mmio_progress execute_x87(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	const struct insn *insn = &op->insn;
	const struct x87_pointers pointers = {.ip = cpu->rip,
					      .dp = insn_effective_address(insn, cpu->gpr, cpu->rip),
					      .opcode = (uint16_t)((insn->detail >> 3) << 8 | insn->modrm)};

	if (insn->op == INSN_X87_LOAD)
		x87_load(insn, &cpu->xstate, &pointers, op->read[0]);
	else if (!x87_store(insn, &cpu->xstate, &pointers, buffers->write[0]))
		op->span[0].size = 0; /* an exception that is not masked: completed without a store */
	return MMIO_DONE;
}

static enum mmio_progress execute(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				  struct mmio_buffers *buffers)
{
	switch (insn_unit(&op->insn)) {
	case UNIT_STACK:
		return stack_execute(op, cpu, env, buffers);
	case UNIT_SEGMENT:
		return segment_execute(op, cpu, env, buffers);
	case UNIT_DIRECT:
		return direct_execute(op, cpu, buffers);
	case UNIT_VECTOR:
		return execute_vector(op, cpu, buffers);
	case UNIT_X87:
		return execute_x87(op, cpu, buffers);
	default:
		return execute_alu(op, cpu, buffers);
	}
}

/* Stores that change the x87 state work on a copy: they may be executed twice, and abandoned. */
static bool forks_x87(const struct insn *insn)
{
	return insn_is_write(insn) && (insn->op == INSN_X87_STORE || insn->op == INSN_MMX_STORE ||
				       (insn->op == INSN_VECTOR_MASKMOV && insn->vector_length == 8));
}

static enum mmio_progress execute_and_write(struct mmio_operation *op, struct mmio_cpu *cpu,
					    const struct mmio_environment *env)
{
	uint8_t scratch[XSTATE_FIRST_BYTES] __attribute__((aligned(64)));
	struct mmio_cpu next = *cpu;
	struct mmio_buffers buffers;
	enum mmio_progress progress;

	buffers.read = op->read;
	if (forks_x87(&op->insn))
		xstate_fork_x87(&next.xstate, &cpu->xstate, scratch);
	next.changed = 0;
	next.shadow = false;
	progress = execute(op, &next, env, &buffers);
	if (progress == MMIO_DONE)
		progress = mmio_transfer(op, env, true, buffers.write);
	if (progress != MMIO_DONE)
		return progress;
	if (forks_x87(&op->insn)) {
		xstate_join_x87(&cpu->xstate, &next.xstate);
		next.xstate = cpu->xstate;
	}
	if (insn_unit(&op->insn) == UNIT_VECTOR || insn_unit(&op->insn) == UNIT_X87)
		next.changed |= CPU_XSTATE;
	*cpu = next;
	return MMIO_DONE;
}

uint64_t mmio_next_rip(const struct mmio_cpu *cpu, const struct insn *insn)
{
	uint64_t rip = cpu->rip + insn->length;

	return cpu->code_bits == 64 ? rip : (uint32_t)rip;
}

enum mmio_progress mmio_run(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env)
{
	enum mmio_progress progress;

	if (insn_unit(&op->insn) == UNIT_STRING)
		return string_run(op, cpu, env);
	if (op->phase == PHASE_PLAN) {
		progress = plan(op, cpu, env);
		if (progress == MMIO_DONE)
			progress = mmio_translate(op, cpu, env);
		if (progress != MMIO_DONE)
			return progress;
		op->phase = PHASE_READ;
	}
	if (op->phase == PHASE_READ) {
		progress = mmio_transfer(op, env, false, op->read);
		if (progress != MMIO_DONE)
			return progress;
		op->phase = PHASE_WRITE;
	}
	progress = execute_and_write(op, cpu, env);
	if (progress == MMIO_DONE && !insn_branches(&op->insn))
		cpu->rip = mmio_next_rip(cpu, &op->insn);
	return progress;
}

void mmio_complete(struct mmio_operation *op, uint64_t data)
{
	if (!op->pending)
		return;
	if (op->phase == PHASE_READ)
		__builtin_memcpy(op->read[op->at_span] + op->at_byte, &data, op->pending);
	else if (op->phase == PHASE_PORT)
		__builtin_memcpy(op->read[0], &data, sizeof(data));
	op->at_byte = (uint16_t)(op->at_byte + op->pending);
	op->pending = 0;
}
