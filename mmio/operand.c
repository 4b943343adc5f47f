/* SPDX-License-Identifier: MIT */
/* Where an instruction's operands are: registers, effective and linear addresses. */
#include "mmio/emulate.h"
#include "mmio/unit.h"
#include "mmio/vector.h"

enum { VECTOR_SS = 12, VECTOR_GP = 13 };

#define CR0_PE    BIT(0)
#define CR4_LA57  BIT(12)
#define RFLAGS_VM BIT(17)

/* Access rights of a segment. SDM vol. 3, 25.4.1 and 3.4.5.1. */
#define SEGMENT_WRITABLE    BIT(1) /* data; of code: readable */
#define SEGMENT_EXPAND_DOWN BIT(2) /* data */
#define SEGMENT_CODE        BIT(3)
#define SEGMENT_BIG         BIT(14)
#define SEGMENT_UNUSABLE    BIT(16)

/* No guest-physical address: that of a page that is not accessed. */
#define NOWHERE BIT(63)

unsigned mmio_cpu_parts(const struct insn *insn)
{
	switch (insn_unit(insn)) {
	case UNIT_SEGMENT:
		return CPU_SEGMENTS | CPU_TABLES;
	case UNIT_STACK:
		return insn->source == SOURCE_SEGMENT ? CPU_SEGMENTS | CPU_TABLES : 0;
	case UNIT_VECTOR:
	case UNIT_X87:
		return CPU_XSTATE;
	default:
		return 0;
	}
}

uint64_t cpu_read_gpr(const struct mmio_cpu *cpu, unsigned reg, unsigned size)
{
	return cpu->gpr[reg] & insn_mask[size];
}

void cpu_write_gpr(struct mmio_cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
	uint64_t mask = insn_mask[size];

	value &= mask;
	/* A 32-bit result clears the upper half; smaller ones leave the rest alone. SDM vol. 1, 3.4.1.1. */
	cpu->gpr[reg] = size == 4 ? value : (cpu->gpr[reg] & ~mask) | value;
}

enum mmio_progress mmio_raise(struct mmio_operation *op, unsigned vector)
{
	op->fault = (struct mmio_fault){.vector = (uint8_t)vector};
	return MMIO_FAULT;
}

enum mmio_progress mmio_raise_error(struct mmio_operation *op, unsigned vector, uint32_t error_code)
{
	op->fault = (struct mmio_fault){.vector = (uint8_t)vector, .has_error_code = true, .error_code = error_code};
	return MMIO_FAULT;
}

bool cpu_is_canonical(const struct mmio_cpu *cpu, gva_t linear)
{
	unsigned unused_bits = cpu->paging.cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	return (uint64_t)((int64_t)(linear << unused_bits) >> unused_bits) == linear;
}

/* Whether the segment's type forbids the access. Real and virtual-8086 mode have no types. SDM vol. 3, 5.5. */
static bool type_forbids(const struct mmio_cpu *cpu, uint32_t rights, unsigned access)
{
	if (!(cpu->paging.cr0 & CR0_PE) || cpu->rflags & RFLAGS_VM)
		return false;
	if (rights & SEGMENT_CODE)
		return access & INSN_WRITE || !(rights & SEGMENT_WRITABLE);
	return access & INSN_WRITE && !(rights & SEGMENT_WRITABLE);
}

struct offsets mmio_segment_offsets(const struct mmio_cpu *cpu, unsigned segment)
{
	const struct tl_segment *in = &cpu->segment[segment];

	if (cpu->code_bits == 64)
		return (struct offsets){0, UINT64_MAX};
	if (in->access & SEGMENT_CODE || !(in->access & SEGMENT_EXPAND_DOWN))
		return (struct offsets){0, in->limit};
	return (struct offsets){in->limit + 1ull, in->access & SEGMENT_BIG ? UINT32_MAX : UINT16_MAX};
}

enum mmio_progress mmio_span_set(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu, unsigned segment,
				 uint64_t offset, unsigned size, unsigned access)
{
	const struct tl_segment *in = &cpu->segment[segment];
	struct mmio_span *span = &op->span[i];
	struct offsets within = mmio_segment_offsets(cpu, segment);
	uint64_t last = offset + (size - 1);

	*span = (struct mmio_span){.gpa = {NOWHERE, NOWHERE},
				   .mask = ~0ull,
				   .size = (uint16_t)size,
				   .element = (uint8_t)(size < 8 ? size : 8),
				   .access = (uint8_t)access,
				   .segment = (uint8_t)segment};
	if (size == 0)
		return MMIO_DONE;
	if (cpu->code_bits == 64) {
		uint64_t base = segment == TL_FS || segment == TL_GS ? in->base : 0;

		span->linear = offset + base;
		if (cpu_is_canonical(cpu, span->linear) && cpu_is_canonical(cpu, last + base))
			return MMIO_DONE;
	} else {
		span->linear = (uint32_t)(in->base + offset);
		if (!(in->access & SEGMENT_UNUSABLE) && !type_forbids(cpu, in->access, access) &&
		    offset >= within.first && last <= within.last)
			return MMIO_DONE;
	}
	return mmio_raise_error(op, segment == TL_SS ? VECTOR_SS : VECTOR_GP, 0);
}

/* BT and the like with a register: which word of the bit string. SDM vol. 2, BT. */
static uint64_t bit_string_offset(const struct insn *insn, const struct mmio_cpu *cpu)
{
	unsigned size = insn->memory_size;
	uint64_t sign = BIT(8 * size - 1);
	int64_t bit = (int64_t)((cpu_read_gpr(cpu, insn->reg, size) ^ sign) - sign);

	return (uint64_t)(bit >> (size == 8 ? 6 : size == 4 ? 5 : 4)) * size;
}

/* Pairs of limits, and of an offset and a selector, are aligned like one of the two. SDM vol. 3, table 6-7. */
static bool is_pair(const struct insn *insn)
{
	return insn->op == INSN_BOUND || insn->op == INSN_LOAD_FAR || insn->op == INSN_JMP_FAR ||
	       insn->op == INSN_CALL_FAR;
}

enum mmio_progress mmio_span_operand(struct mmio_operation *op, unsigned i, const struct mmio_cpu *cpu)
{
	const struct insn *insn = &op->insn;
	uint64_t offset = insn_effective_address(insn, cpu->gpr, cpu->rip);
	enum mmio_progress progress;

	if (insn->op == INSN_XLAT)
		offset += cpu->gpr[TL_RAX] & 0xff;
	else if (insn->op >= INSN_BT && insn->op <= INSN_BTC && insn->source == SOURCE_REGISTER)
		offset += bit_string_offset(insn, cpu);
	progress = mmio_span_set(op, i, cpu, insn->segment, offset & insn_mask[insn->address_size], insn->memory_size,
				 insn->access);
	if (is_pair(insn))
		op->span[i].element = insn->operand_size;
	if (insn_unit(insn) == UNIT_VECTOR) {
		op->span[i].mask = vector_mask(insn, &cpu->xstate);
		/* Where nothing is accessed nothing faults. */
		if (vector_fault_mask(insn, &cpu->xstate) == 0)
			progress = MMIO_DONE;
	}
	if (progress == MMIO_DONE && insn->flags & INSN_ALIGNED && op->span[i].linear & (insn->memory_size - 1u))
		return mmio_raise_error(op, VECTOR_GP, 0);
	return progress;
}
