/* SPDX-License-Identifier: MIT */
#include "mmio/translate.h"

#include "mmio/unit.h"
#include "mmio/vector.h"

enum { VECTOR_PF = 14, VECTOR_AC = 17 };

#define CR0_AM BIT(18)

/* The first byte from `at` to end - 1 that may fault; end if there is none. */
static unsigned first_byte(uint64_t mask, unsigned at, unsigned end)
{
	while (at < end && at < 64 && !(mask >> at & 1))
		at++;
	return at;
}

static enum mmio_progress walk_failed(struct mmio_operation *op, enum guest_walk_status status,
				      const struct guest_walk *walk, gva_t linear)
{
	switch (status) {
	case GUEST_WALK_FAULT:
		mmio_raise_error(op, VECTOR_PF, walk->error_code);
		op->fault.linear = linear;
		return MMIO_FAULT;
	case GUEST_WALK_TABLE_NOT_RAM:
		op->gpa = walk->gpa;
		return MMIO_TABLE_NOT_RAM;
	default: /* non-canonical it is not: mmio_span_set() looked */
		return MMIO_RACED;
	}
}

/* One page of a span: its bytes `begin` to `end` - 1. */
static enum mmio_progress translate_page(struct mmio_operation *op, const struct mmio_cpu *cpu,
					 const struct mmio_environment *env, struct mmio_span *span, uint64_t mask,
					 unsigned begin, unsigned end)
{
	unsigned access = span->access & INSN_WRITE ? GUEST_WRITE : GUEST_READ;
	unsigned first = first_byte(mask, begin, end);
	gva_t linear = span->linear + first;
	enum guest_walk_status status;
	struct guest_walk walk;

	if (first == end)
		return MMIO_DONE;
	if (cpu->code_bits != 64)
		linear = (uint32_t)linear;
	status = guest_walk(env->map, &cpu->paging, linear, access, &walk);
	if (status != GUEST_WALK_OK)
		return walk_failed(op, status, &walk, linear);
	span->gpa[begin != 0] = walk.gpa - (first - begin);
	return MMIO_DONE;
}

enum mmio_progress mmio_translate_span(struct mmio_operation *op, const struct mmio_cpu *cpu,
				       const struct mmio_environment *env, unsigned i)
{
	struct mmio_span *span = &op->span[i];
	unsigned left = (unsigned)(PAGE_SIZE - (span->linear & (PAGE_SIZE - 1)));
	uint64_t mask = insn_unit(&op->insn) == UNIT_VECTOR ? vector_fault_mask(&op->insn, &cpu->xstate) : span->mask;
	enum mmio_progress progress;
	unsigned middle;

	span->first = (uint16_t)(left < span->size ? left : span->size);
	middle = span->first;
	progress = translate_page(op, cpu, env, span, mask, 0, middle);
	if (progress == MMIO_DONE && middle < span->size)
		progress = translate_page(op, cpu, env, span, mask, middle, span->size);
	if (progress != MMIO_DONE)
		return progress;
	/* After the page faults, and for each item by its size. SDM vol. 3, tables 6-2 and 6-7. */
	if (cpu->paging.cpl == 3 && cpu->paging.cr0 & CR0_AM && cpu->paging.rflags_ac && span->size &&
	    span->linear & (span->element - 1u))
		return mmio_raise_error(op, VECTOR_AC, 0);
	return MMIO_DONE;
}

static bool contains(const struct mmio_span *span, gpa_t gpa)
{
	return gpa - span->gpa[0] < span->first || gpa - span->gpa[1] < (uint64_t)(span->size - span->first);
}

/*
 * Bytes of a vector that are masked out are not accessed, but a CPU that accesses the whole and blends may exit for
 * them: whether one of their pages is where it did.
 */
static bool masked_out_contains(const struct mmio_operation *op, const struct mmio_cpu *cpu,
				const struct mmio_environment *env)
{
	const struct mmio_span *span = &op->span[0];
	const gva_t page[2] = {span->linear, span->linear + span->first};
	const unsigned size[2] = {span->first, (unsigned)(span->size - span->first)};
	struct guest_walk walk;

	for (unsigned i = 0; insn_unit(&op->insn) == UNIT_VECTOR && i < 2; i++)
		if (size[i] && guest_walk(env->map, &cpu->paging, page[i], GUEST_READ, &walk) == GUEST_WALK_OK &&
		    op->exit_gpa - walk.gpa < size[i])
			return true;
	return false;
}

enum mmio_progress mmio_translate(struct mmio_operation *op, const struct mmio_cpu *cpu,
				  const struct mmio_environment *env)
{
	bool found = op->exit_gpa == MMIO_ANY_GPA;

	for (unsigned i = 0; i < op->nr_spans; i++) {
		enum mmio_progress progress = mmio_translate_span(op, cpu, env, i);

		if (progress != MMIO_DONE)
			return progress;
		found |= contains(&op->span[i], op->exit_gpa);
	}
	return found || masked_out_contains(op, cpu, env) ? MMIO_DONE : MMIO_ELSEWHERE;
}
