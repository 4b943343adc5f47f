/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/engine_check.h"
#include "mmio/segment.h"
#include "tests/fuzz/engine_xstate.h"
#include "tests/fuzz/guest.h"
#include "tests/fuzz/hostile.h"
#include <string.h>

enum {
	PTE_FLAGS = 0x60, /* accessed and dirty: what a walk sets */
	TYPE_BYTE = 5,    /* of a descriptor, and what loading it sets there: accessed; a TSS' busy */
	TYPE_FLAGS = 3,
};

#define GPA_LAST (BIT(52) - 1)

static struct mmio_cpu before;

void engine_check_begin(const struct mmio_cpu *cpu)
{
	before = *cpu;
	engine_xstate_keep(&cpu->xstate);
}

static bool same_segment(const struct tl_segment *a, const struct tl_segment *b)
{
	return a->selector == b->selector && a->limit == b->limit && a->access == b->access && a->base == b->base;
}

static bool same_table(const struct tl_table *a, const struct tl_table *b)
{
	return a->base == b->base && a->limit == b->limit;
}

/* Everything but the general registers, RIP and RFLAGS. */
static bool same_system(const struct mmio_cpu *cpu)
{
	for (unsigned i = 0; i < TL_NR_SEGMENTS; i++)
		if (!same_segment(&cpu->segment[i], &before.segment[i]))
			return false;
	return same_table(&cpu->gdtr, &before.gdtr) && same_table(&cpu->idtr, &before.idtr) &&
	       memcmp(&cpu->paging, &before.paging, sizeof(before.paging)) == 0;
}

static bool same_cpu(const struct mmio_cpu *cpu)
{
	return memcmp(cpu->gpr, before.gpr, sizeof(before.gpr)) == 0 && cpu->rip == before.rip &&
	       cpu->rflags == before.rflags && same_system(cpu) && engine_xstate_is_kept(&cpu->xstate);
}

/* A string instruction goes on from element to element: rSI, rDI, rCX, rAX and the flags are the only ones to move. */
static void check_string_cpu(const struct mmio_operation *op, const struct mmio_cpu *cpu, enum mmio_progress progress)
{
	const unsigned moving = 1u << TL_RSI | 1u << TL_RDI | 1u << TL_RCX | 1u << TL_RAX;

	for (unsigned i = 0; i < INSN_NO_REGISTER; i++)
		fuzz_require(moving >> i & 1 || cpu->gpr[i] == before.gpr[i]);
	fuzz_require(same_system(cpu) && engine_xstate_is_kept(&cpu->xstate));
	if (progress != MMIO_DONE)
		fuzz_require(cpu->rip == before.rip);
	else
		fuzz_require(cpu->rip == (cpu->code_bits == 64 ? before.rip + op->insn.length
							       : (uint32_t)(before.rip + op->insn.length)));
}

/* Whether the instruction has written the byte at `gpa`. */
static bool is_written(const struct mmio_operation *op, gpa_t gpa)
{
	for (unsigned i = 0; i < op->nr_spans; i++) {
		const struct mmio_span *span = &op->span[i];

		if (span->access & INSN_WRITE && !span->only_tried &&
		    (gpa - span->gpa[0] < span->first || gpa - span->gpa[1] < (uint64_t)(span->size - span->first)))
			return true;
	}
	return false;
}

/* Accessed and dirty flags of page tables, of 4 or 8 bytes; the types of descriptors. Bits are only ever set. */
static bool is_side_effect(const struct mmio_operation *op, size_t at, uint8_t was, uint8_t is)
{
	bool loads_segments = insn_unit(&op->insn) == UNIT_SEGMENT || op->insn.source == SOURCE_SEGMENT;

	if ((was | is) != is)
		return false;
	if (at % 4 == 0 && ((was ^ is) & ~PTE_FLAGS) == 0)
		return true;
	return loads_segments && ((was ^ is) & ~TYPE_FLAGS) == 0;
}

struct look {
	const struct mmio_operation *op;
	bool wrote;
};

static void check_difference(size_t at, uint8_t was, uint8_t is, void *context)
{
	const struct look *look = context;

	fuzz_require((look->wrote && is_written(look->op, at)) || is_side_effect(look->op, at, was, is));
}

static void check_memory(const struct mmio_operation *op, bool wrote)
{
	struct look look = {op, wrote};

	hostile_each_difference(check_difference, &look);
}

/* Nothing of an instruction is done when it faults, and it faults before it writes. */
static void check_nothing_done(const struct mmio_operation *op, const struct mmio_cpu *cpu, enum mmio_progress progress)
{
	fuzz_require(same_cpu(cpu));
	if (progress == MMIO_EMBEDDER || progress == MMIO_DRAIN || progress == MMIO_DEVICE_ERROR)
		return;
	fuzz_require(guest.writes == guest.ring_calls);
	check_memory(op, false);
}

static bool is_in_limit(const struct tl_segment *segment, uint32_t offset, uint32_t size)
{
	uint64_t last = (uint64_t)offset + size - 1;
	bool expands_down = (segment->access & 0xc) == 4;

	if (!expands_down)
		return last <= segment->limit;
	return offset > segment->limit && last <= (segment->access & 0x4000 ? UINT32_MAX : UINT16_MAX);
}

/* Where it was, in its segment and in guest-physical memory. Of vectors, parts may have been left out. */
static void check_span(const struct mmio_operation *op, const struct mmio_span *span, unsigned code_bits)
{
	const struct tl_segment *segment = &before.segment[span->segment];

	if (!span->size || insn_unit(&op->insn) == UNIT_VECTOR || insn_unit(&op->insn) == UNIT_X87)
		return;
	fuzz_require(span->first <= span->size && span->gpa[0] <= GPA_LAST);
	if (span->first < span->size)
		fuzz_require(span->gpa[1] <= GPA_LAST && span->gpa[1] % PAGE_SIZE == 0);
	if (code_bits != 64)
		fuzz_require(is_in_limit(segment, (uint32_t)(span->linear - segment->base), span->size));
}

static void check_done(const struct mmio_operation *op, const struct mmio_cpu *cpu)
{
	if (insn_unit(&op->insn) != UNIT_VECTOR && insn_unit(&op->insn) != UNIT_X87)
		fuzz_require(engine_xstate_is_kept(&cpu->xstate));
	if (insn_unit(&op->insn) <= UNIT_ALU)
		fuzz_require(same_system(cpu));
	fuzz_require(cpu->code_bits == 64 || cpu->rip <= UINT32_MAX);
	fuzz_require(cpu->rflags & 2 && (cpu->rflags & ~0x3f7fd7ull) == 0);
	for (unsigned i = 0; i < op->nr_spans; i++)
		check_span(op, &op->span[i], before.code_bits);
	check_memory(op, true);
}

static void check_fault(const struct mmio_operation *op)
{
	const struct mmio_fault *fault = &op->fault;

	/* #DE #BR #UD #TS #NP #SS #GP #PF #MF #AC. Which of them have an error code: SDM vol. 3, table 6-1. */
	static const uint32_t possible = 0x37c61, with_error_code = 0x27c00;

	fuzz_require(fault->vector < 32 && possible >> fault->vector & 1);
	fuzz_require(fault->has_error_code == (with_error_code >> fault->vector & 1));
	fuzz_require(fault->vector == SEGMENT_VECTOR_PF || fault->error_code <= UINT16_MAX);
}

void engine_check(const struct mmio_operation *op, const struct mmio_cpu *cpu, enum mmio_progress progress)
{
	fuzz_require(cpu->gpr[INSN_NO_REGISTER] == 0);
	fuzz_require(op->nr_spans <= MMIO_MAX_SPANS);
	if (progress == MMIO_FAULT)
		check_fault(op);
	if (insn_unit(&op->insn) == UNIT_STRING)
		check_string_cpu(op, cpu, progress);
	else if (progress == MMIO_DONE)
		check_done(op, cpu);
	else
		check_nothing_done(op, cpu, progress);
	guest_check_read_only();
}
