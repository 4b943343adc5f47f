/* SPDX-License-Identifier: MIT */
/* Descriptors, and the registers that are loaded from them. SDM vol. 3, 3.4.5, 5.8 and 7.2. */
#include "mmio/segment.h"

#define CR0_PE    BIT(0)
#define RFLAGS_VM BIT(17)

/* Access rights, as in a VMCS. SDM vol. 3, 25.4.1. */
#define RIGHTS_ACCESSED   BIT(0)
#define RIGHTS_WRITABLE   BIT(1) /* of code: readable */
#define RIGHTS_CONFORMING BIT(2)
#define RIGHTS_CODE       BIT(3)
#define RIGHTS_NO_SYSTEM  BIT(4)
#define RIGHTS_PRESENT    BIT(7)
#define RIGHTS_BIG        BIT(14)
#define RIGHTS_LONG       BIT(13)
#define RIGHTS_GRANULAR   BIT(15)
#define RIGHTS_UNUSABLE   BIT(16)
#define RIGHTS_DPL(r)     ((unsigned)((r) >> 5 & 3))

bool segment_is_flat_mode(const struct mmio_cpu *cpu)
{
	return !(cpu->paging.cr0 & CR0_PE) || cpu->rflags & RFLAGS_VM;
}

/* The descriptor's `size` bytes in guest RAM, where they can be changed; NULL, with *progress, if they are not there.
 */
static uint8_t *descriptor_bytes(struct mmio_operation *op, const struct mmio_cpu *cpu,
				 const struct mmio_environment *env, gva_t linear, unsigned size,
				 enum mmio_progress *progress)
{
	enum guest_walk_status status;
	struct guest_walk walk;
	uint8_t *host;

	status = guest_walk(env->map, &cpu->paging, linear, GUEST_READ | GUEST_IMPLICIT, &walk);
	*progress = MMIO_RACED;
	if (status == GUEST_WALK_FAULT) {
		*progress = mmio_raise_error(op, SEGMENT_VECTOR_PF, walk.error_code);
		op->fault.linear = linear;
	}
	op->gpa = walk.gpa;
	if (status == GUEST_WALK_TABLE_NOT_RAM)
		*progress = MMIO_TABLE_NOT_RAM;
	if (status != GUEST_WALK_OK)
		return NULL;
	host = map_host(env->map, walk.gpa);
	/* A descriptor that reaches into another page is not worth its code: guests align their tables. */
	*progress = host ? MMIO_REFUSED : MMIO_TABLE_NOT_RAM;
	return host && (walk.gpa & (PAGE_SIZE - 1)) <= PAGE_SIZE - size ? host : NULL;
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
	if ((selector & SELECTOR_TABLE && ldt->access & RIGHTS_UNUSABLE) || (selector & ~7u) + size - 1 > limit)
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	descriptor->host = descriptor_bytes(op, cpu, env, base + (selector & ~7u), size, &progress);
	if (!descriptor->host)
		return progress;
	descriptor->high = 0;
	__builtin_memcpy(&descriptor->low, descriptor->host, 8);
	if (size == 16)
		__builtin_memcpy(&descriptor->high, descriptor->host + 8, 8);
	return MMIO_DONE;
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

/* Sets bits of the type where the descriptor stands, as the CPU does: nothing of it is lost to another CPU's change. */
void descriptor_mark(struct descriptor *descriptor, uint8_t bits)
{
	(void)__atomic_fetch_or(descriptor->host + 5, bits, __ATOMIC_RELAXED);
	descriptor->low |= (uint64_t)bits << 40;
}

/* Whether the rights allow ES, DS, FS, GS, or SS (whose faults differ), to be loaded. SDM vol. 2, MOV. */
static bool loads_into(const struct mmio_cpu *cpu, enum tl_segment_name name, uint16_t selector, uint32_t rights)
{
	unsigned rpl = selector & 3, dpl = RIGHTS_DPL(rights), cpl = cpu->paging.cpl;
	bool code = rights & RIGHTS_CODE;

	if (!(rights & RIGHTS_NO_SYSTEM))
		return false;
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

enum mmio_progress segment_load(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				enum tl_segment_name name, uint16_t selector)
{
	struct descriptor descriptor;
	enum mmio_progress progress;
	uint32_t rights;

	cpu->changed |= CPU_SEGMENTS;
	if (segment_is_flat_mode(cpu)) {
		cpu->segment[name].selector = selector;
		cpu->segment[name].base = (uint64_t)selector << 4;
		return MMIO_DONE;
	}
	if (!(selector & ~3u))
		return load_null(op, cpu, name, selector);
	progress = segment_descriptor(op, cpu, env, selector, 8, &descriptor);
	if (progress != MMIO_DONE)
		return progress;
	rights = descriptor_rights(&descriptor);
	if (!loads_into(cpu, name, selector, rights))
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	if (!(rights & RIGHTS_PRESENT))
		return segment_fault(op, name == TL_SS ? SEGMENT_VECTOR_SS : SEGMENT_VECTOR_NP, selector);
	descriptor_mark(&descriptor, RIGHTS_ACCESSED);
	descriptor_unpack(&descriptor, selector, &cpu->segment[name]);
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

enum mmio_progress segment_load_code(struct mmio_operation *op, struct mmio_cpu *cpu,
				     const struct mmio_environment *env, uint16_t selector)
{
	struct tl_segment *cs = &cpu->segment[TL_CS];
	struct descriptor descriptor;
	enum mmio_progress progress;
	uint32_t rights;

	cpu->changed |= CPU_SEGMENTS;
	if (segment_is_flat_mode(cpu)) {
		cs->selector = selector;
		cs->base = (uint64_t)selector << 4;
		return MMIO_DONE;
	}
	if (!(selector & ~3u))
		return segment_fault(op, SEGMENT_VECTOR_GP, 0);
	progress = segment_descriptor(op, cpu, env, selector, 8, &descriptor);
	if (progress != MMIO_DONE)
		return progress;
	rights = descriptor_rights(&descriptor);
	/* Call gates, task gates and task-state segments: transfers that a driver does not make through a device. */
	if (!(rights & RIGHTS_NO_SYSTEM))
		return MMIO_REFUSED;
	if (!(rights & RIGHTS_CODE) || !is_reachable_code(cpu, selector, rights))
		return segment_fault(op, SEGMENT_VECTOR_GP, selector);
	if (!(rights & RIGHTS_PRESENT))
		return segment_fault(op, SEGMENT_VECTOR_NP, selector);
	descriptor_mark(&descriptor, RIGHTS_ACCESSED);
	descriptor_unpack(&descriptor, (uint16_t)((selector & ~3u) | cpu->paging.cpl), cs);
	return MMIO_DONE;
}
