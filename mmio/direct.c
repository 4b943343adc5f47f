/* SPDX-License-Identifier: MIT */
/* 64 bytes at once: MOVDIR64B, ENQCMD, ENQCMDS. */
#include "mmio/emulate.h"
#include "mmio/unit.h"

enum { VECTOR_GP = 13, BYTES = 64 };

#define RFLAGS_STATUS    0x8d5ull /* OF SF ZF AF PF CF */
#define COMMAND_RESERVED BITS(30, 20)

enum mmio_progress direct_plan(struct mmio_operation *op, const struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;
	uint64_t offset = cpu->gpr[insn->reg] & insn_mask[insn->address_size];
	enum mmio_progress progress;

	/* ENQCMD takes the PASID from IA32_PASID, which is not valid in a guest that was given none. */
	if (insn->op == INSN_ENQCMD || (insn->op == INSN_ENQCMDS && cpu->paging.cpl != 0))
		return mmio_raise_error(op, VECTOR_GP, 0);
	op->nr_spans = 2;
	progress = mmio_span_operand(op, 0, cpu);
	if (progress == MMIO_DONE)
		progress = mmio_span_set(op, 1, cpu, TL_ES, offset, BYTES, INSN_WRITE);
	if (progress == MMIO_DONE && op->span[1].linear & (BYTES - 1))
		return mmio_raise_error(op, VECTOR_GP, 0);
	return progress;
}

enum mmio_progress direct_execute(struct mmio_operation *op, struct mmio_cpu *cpu, struct mmio_buffers *buffers)
{
	uint32_t command;

	__builtin_memcpy(buffers->write[1], op->read[0], BYTES);
	if (op->insn.op == INSN_MOVDIR64B)
		return MMIO_DONE;
	__builtin_memcpy(&command, op->read[0], sizeof(command));
	if (command & COMMAND_RESERVED)
		return mmio_raise_error(op, VECTOR_GP, 0);
	/* The device takes the command: ZF says so. */
	cpu->rflags &= ~RFLAGS_STATUS;
	return MMIO_DONE;
}
