/* SPDX-License-Identifier: MIT */
/* Descriptors, and the registers that are loaded from them. SDM vol. 3, 3.4.5, 5.8 and 7.2. */
#include "mmio/segment.h"

#include "mmio/memory.h"
#include "mmu/dirty.h"

#define CR0_PE    BIT(0)
#define RFLAGS_VM BIT(17)

bool segment_is_flat_mode(const struct mmio_cpu *cpu)
{
	return !(cpu->paging.cr0 & CR0_PE) || cpu->rflags & RFLAGS_VM;
}

uint8_t *descriptor_byte(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct mmio_environment *env,
			 const struct descriptor *descriptor, unsigned offset, unsigned access,
			 enum mmio_progress *progress)
{
	gva_t linear = descriptor->linear + offset;
	struct guest_walk walk;
	uint8_t *host;

	switch (guest_walk(env->map, &cpu->paging, linear, access | GUEST_IMPLICIT, &walk)) {
	case GUEST_WALK_OK:
		break;
	case GUEST_WALK_FAULT:
		*progress = mmio_raise_error(op, SEGMENT_VECTOR_PF, walk.error_code);
		op->fault.linear = linear;
		return NULL;
	case GUEST_WALK_NON_CANONICAL:
		*progress = segment_fault(op, SEGMENT_VECTOR_GP, descriptor->selector);
		return NULL;
	case GUEST_WALK_TABLE_NOT_RAM:
		op->gpa = walk.gpa;
		*progress = MMIO_TABLE_NOT_RAM;
		return NULL;
	default:
		*progress = MMIO_RACED;
		return NULL;
	}
	op->gpa = walk.gpa;
	host = map_host(env->map, walk.gpa);
	*progress = host ? MMIO_DONE : MMIO_TABLE_NOT_RAM;
	return host;
}

/* How many bytes of a descriptor from `offset` on lie in the page where that is. */
static unsigned bytes_to_page_end(const struct descriptor *descriptor, unsigned offset)
{
	return PAGE_SIZE - (unsigned)((descriptor->linear + offset) & (PAGE_SIZE - 1));
}

/* Half of a descriptor, once: another CPU may change it meanwhile. A table that is not aligned may part it by a page.
 */
static enum mmio_progress descriptor_half(struct mmio_operation *op, const struct mmio_cpu *cpu,
					  const struct mmio_environment *env, const struct descriptor *descriptor,
					  unsigned offset, uint64_t *half)
{
	unsigned first = bytes_to_page_end(descriptor, offset);
	const uint8_t *host, *behind;
	enum mmio_progress progress;

	host = descriptor_byte(op, cpu, env, descriptor, offset, GUEST_READ, &progress);
	if (!host)
		return progress;
	if (likely(first >= 8)) {
		*half = memory_load(host, 8);
		return MMIO_DONE;
	}
	behind = descriptor_byte(op, cpu, env, descriptor, offset + first, GUEST_READ, &progress);
	*half = 0;
	for (unsigned i = 0; behind && i < 8; i++)
		*half |= memory_load(i < first ? host + i : behind + (i - first), 1) << (8 * i);
	return progress;
}

enum mmio_progress segment_descriptor(struct mmio_operation *op, const struct mmio_cpu *cpu,
				      const struct mmio_environment *env, uint16_t selector, unsigned size,
				      struct descriptor *descriptor)
{
	const struct tl_segment *ldt = &cpu->segment[TL_LDTR];
	uint64_t base = cpu->gdtr.base, limit = cpu->gdtr.limit;
	enum mmio_progress progress;

	if (selector & SELECTOR_TABLE) {
		base = ldt->base;
		limit = ldt->limit;
	}
	*descriptor = (struct descriptor){.linear = base + (selector & ~7u), .selector = selector};
	if ((selector & SELECTOR_TABLE && ldt->access & RIGHTS_UNUSABLE) || (selector & ~7u) + size - 1 > limit)
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	progress = descriptor_half(op, cpu, env, descriptor, 0, &descriptor->low);
	if (progress == MMIO_DONE && size == 16)
		progress = descriptor_half(op, cpu, env, descriptor, 8, &descriptor->high);
	return progress;
}

enum mmio_progress segment_find(struct mmio_operation *op, const struct mmio_cpu *cpu,
				const struct mmio_environment *env, uint16_t selector, unsigned vector,
				struct descriptor *descriptor)
{
	enum mmio_progress progress = segment_descriptor(op, cpu, env, selector, 8, descriptor);

	if (progress == MMIO_FAULT && op->fault.vector == SEGMENT_VECTOR_GP)
		op->fault.vector = (uint8_t)vector;
	return progress;
}

enum mmio_progress segment_fault(struct mmio_operation *op, unsigned vector, uint16_t selector)
{
	/* The error code is the selector without its RPL. SDM vol. 3, 6.13. */
	return mmio_raise_error(op, vector, selector & 0xfffcu);
}

uint32_t descriptor_rights(const struct descriptor *descriptor)
{
	return (uint32_t)(descriptor->low >> 40 & 0xf0ff);
}

void descriptor_unpack(const struct descriptor *descriptor, uint16_t selector, struct tl_segment *segment)
{
	uint64_t low = descriptor->low;
	uint32_t limit = (uint32_t)((low & 0xffff) | (low >> 32 & 0xf0000));
	uint32_t rights = descriptor_rights(descriptor);

	if (rights & RIGHTS_GRANULAR)
		limit = limit << 12 | 0xfff;
	*segment = (struct tl_segment){.selector = selector,
				       .limit = limit,
				       .access = rights,
				       .base = (low >> 16 & 0xffffff) | (low >> 32 & 0xff000000) |
					       (descriptor->high & UINT32_MAX) << 32};
}

enum mmio_progress descriptor_mark(struct mmio_operation *op, const struct mmio_cpu *cpu,
				   const struct mmio_environment *env, struct descriptor *descriptor, uint8_t bits)
{
	const struct map_range *range;
	/* The rights are byte 5; the page in which they are is entered at its first byte. */
	unsigned first = bytes_to_page_end(descriptor, 0), offset = first <= 5 ? first : 0;
	enum mmio_progress progress;
	uint8_t *host;

	if ((descriptor->low >> 40 & bits) == bits)
		return MMIO_DONE;
	host = descriptor_byte(op, cpu, env, descriptor, offset, GUEST_WRITE, &progress);
	if (!host)
		return progress;
	/* ROM drops the write. Of RAM nothing is lost to another CPU's change. */
	range = map_find(env->map, op->gpa);
	if (range->kind == MAP_RAM) {
		dirty_write(range, op->gpa + (5 - offset), 1);
		(void)__atomic_fetch_or(host + (5 - offset), bits, __ATOMIC_RELAXED);
	}
	descriptor->low |= (uint64_t)bits << 40;
	return MMIO_DONE;
}

/* Whether the descriptor is code that a far JMP or CALL reaches without a change of privilege. SDM vol. 3, 5.8.1. */
static bool is_reachable_code(const struct mmio_cpu *cpu, uint16_t selector, uint32_t rights)
{
	unsigned rpl = selector & 3, dpl = RIGHTS_DPL(rights), cpl = cpu->paging.cpl;

	if (rights & RIGHTS_LONG && rights & RIGHTS_BIG && cpu->paging.efer & SEGMENT_EFER_LMA)
		return false;
	return rights & RIGHTS_CONFORMING ? dpl <= cpl : rpl <= cpl && dpl == cpl;
}

/* Whether the rights allow a segment register to be loaded; CS at its selector's RPL. SDM vol. 2, MOV; vol. 3, 5.8.1.
 */
static bool loads_into(const struct mmio_cpu *cpu, enum tl_segment_name name, uint16_t selector, uint32_t rights)
{
	unsigned rpl = selector & 3, dpl = RIGHTS_DPL(rights), cpl = cpu->paging.cpl;
	bool code = rights & RIGHTS_CODE;

	if (!(rights & RIGHTS_NO_SYSTEM))
		return false;
	if (name == TL_CS)
		return code && is_reachable_code(cpu, selector, rights);
	if (name == TL_SS)
		return rpl == cpl && dpl == cpl && !code && rights & RIGHTS_WRITABLE;
	if (code && !(rights & RIGHTS_WRITABLE))
		return false;
	return (code && rights & RIGHTS_CONFORMING) || (rpl <= dpl && cpl <= dpl);
}

static enum mmio_progress load_null(struct mmio_operation *op, struct mmio_cpu *cpu, enum tl_segment_name name,
				    uint16_t selector)
{
	/* SS may be null only in 64-bit mode below CPL 3. */
	if (name == TL_SS && (cpu->code_bits != 64 || cpu->paging.cpl == 3 || (selector & 3) != cpu->paging.cpl))
		return segment_fault(op, SEGMENT_VECTOR_GP, 0);
	cpu->segment[name].selector = selector;
	cpu->segment[name].access = RIGHTS_UNUSABLE | (name == TL_SS ? (uint32_t)cpu->paging.cpl << 5 : 0);
	if (cpu->code_bits != 64 || name == TL_FS || name == TL_GS)
		cpu->segment[name].base = 0;
	return MMIO_DONE;
}

enum mmio_progress segment_load_described(struct mmio_operation *op, struct mmio_cpu *cpu,
					  const struct mmio_environment *env, enum tl_segment_name name,
					  uint16_t selector, unsigned vector)
{
	struct descriptor descriptor;
	enum mmio_progress progress = segment_find(op, cpu, env, selector, vector, &descriptor);
	uint32_t rights;

	if (progress != MMIO_DONE)
		return progress;
	rights = descriptor_rights(&descriptor);
	if (!loads_into(cpu, name, selector, rights))
		return segment_fault(op, vector, selector);
	if (!(rights & RIGHTS_PRESENT))
		return segment_fault(op, name == TL_SS ? SEGMENT_VECTOR_SS : SEGMENT_VECTOR_NP, selector);
	progress = descriptor_mark(op, cpu, env, &descriptor, RIGHTS_ACCESSED);
	if (progress == MMIO_DONE)
		descriptor_unpack(&descriptor, selector, &cpu->segment[name]);
	return progress;
}

enum mmio_progress segment_load(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				enum tl_segment_name name, uint16_t selector)
{
	cpu->changed |= CPU_SEGMENTS;
	if (segment_is_flat_mode(cpu)) {
		cpu->segment[name].selector = selector;
		cpu->segment[name].base = (uint64_t)selector << 4;
		return MMIO_DONE;
	}
	if (!(selector & ~3u))
		return load_null(op, cpu, name, selector);
	return segment_load_described(op, cpu, env, name, selector, SEGMENT_VECTOR_GP);
}

enum mmio_progress segment_find_code(struct mmio_operation *op, const struct mmio_cpu *cpu,
				     const struct mmio_environment *env, uint16_t selector, struct segment_code *code)
{
	struct tl_segment *segment = &code->segment;
	enum mmio_progress progress;

	*segment = cpu->segment[TL_CS];
	if (segment_is_flat_mode(cpu)) {
		segment->selector = selector;
		segment->base = (uint64_t)selector << 4;
		return MMIO_DONE;
	}
	if (!(selector & ~3u))
		return segment_fault(op, SEGMENT_VECTOR_GP, 0);
	progress = segment_descriptor(op, cpu, env, selector, 8, &code->descriptor);
	if (progress != MMIO_DONE)
		return progress;
	descriptor_unpack(&code->descriptor, (uint16_t)((selector & ~3u) | cpu->paging.cpl), segment);
	/* Call gates, task gates and task-state segments: transfers that a driver does not make through a device. */
	if (!(segment->access & RIGHTS_NO_SYSTEM))
		return MMIO_REFUSED;
	if (!(segment->access & RIGHTS_CODE) || !is_reachable_code(cpu, selector, segment->access))
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	if (!(segment->access & RIGHTS_PRESENT))
		return segment_fault(op, SEGMENT_VECTOR_NP, selector);
	return MMIO_DONE;
}

enum mmio_progress segment_holds(struct mmio_operation *op, const struct mmio_cpu *cpu, const struct segment_code *code,
				 uint64_t target)
{
	bool is_64 =
		!segment_is_flat_mode(cpu) && code->segment.access & RIGHTS_LONG && cpu->paging.efer & SEGMENT_EFER_LMA;

	if (is_64 ? cpu_is_canonical(cpu, target) : target <= code->segment.limit)
		return MMIO_DONE;
	return mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
}

enum mmio_progress segment_load_code(struct mmio_operation *op, struct mmio_cpu *cpu,
				     const struct mmio_environment *env, struct segment_code *code)
{
	enum mmio_progress progress = MMIO_DONE;

	cpu->changed |= CPU_SEGMENTS;
	if (!segment_is_flat_mode(cpu)) {
		progress = descriptor_mark(op, cpu, env, &code->descriptor, RIGHTS_ACCESSED);
		code->segment.access |= RIGHTS_ACCESSED;
	}
	cpu->segment[TL_CS] = code->segment;
	return progress;
}
