/* SPDX-License-Identifier: MIT */
/* The segments of a new task. SDM vol. 3, 8.3 and table 8-1; where that names no order, the one of Bochs. */
#include "mmio/task.h"

enum { VECTOR_TS = 10, TYPE_LDT = 2 };

#define RFLAGS_VM BIT(17)
/* Data of a program, and code. */
#define RIGHTS_V86       0xf3u
#define RIGHTS_SOME_CODE 0x9bu

void task_clear_segments(struct mmio_cpu *cpu, const uint16_t selector[])
{
	bool v86 = cpu->rflags & RFLAGS_VM;
	unsigned cpl = v86 ? 3 : selector[TL_CS] & 3;

	for (unsigned i = 0; i <= TL_GS; i++) {
		cpu->segment[i] = (struct tl_segment){.selector = selector[i], .access = RIGHTS_UNUSABLE};
		if (v86) {
			cpu->segment[i].base = (uint64_t)selector[i] << 4;
			cpu->segment[i].limit = 0xffff;
			cpu->segment[i].access = RIGHTS_V86;
		}
	}
	cpu->paging.cpl = (uint8_t)cpl;
	cpu->code_bits = 16;
	if (v86)
		return;
	cpu->segment[TL_SS].access |= cpl << 5;
	cpu->segment[TL_CS].limit = 0xffff;
	cpu->segment[TL_CS].access = RIGHTS_SOME_CODE | cpl << 5;
}

static enum mmio_progress load_ldt(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				   uint16_t selector)
{
	struct descriptor descriptor;
	enum mmio_progress progress;

	cpu->segment[TL_LDTR] = (struct tl_segment){.selector = selector, .access = RIGHTS_UNUSABLE};
	if (selector & SELECTOR_TABLE)
		return segment_fault(op, VECTOR_TS, selector);
	if (!(selector & ~3u))
		return MMIO_DONE;
	progress = segment_find(op, cpu, env, selector, VECTOR_TS, &descriptor);
	if (progress != MMIO_DONE)
		return progress;
	if ((descriptor_rights(&descriptor) & 31) != TYPE_LDT || !(descriptor_rights(&descriptor) & RIGHTS_PRESENT))
		return segment_fault(op, VECTOR_TS, selector);
	descriptor_unpack(&descriptor, selector, &cpu->segment[TL_LDTR]);
	return MMIO_DONE;
}

static enum mmio_progress load(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
			       enum tl_segment_name name)
{
	uint16_t selector = cpu->segment[name].selector;

	if (selector & ~3u)
		return segment_load_described(op, cpu, env, name, selector, VECTOR_TS);
	return name == TL_SS || name == TL_CS ? segment_fault(op, VECTOR_TS, selector) : MMIO_DONE;
}

enum mmio_progress task_load_segments(struct mmio_operation *op, struct mmio_cpu *cpu,
				      const struct mmio_environment *env, uint16_t ldt)
{
	static const uint8_t order[] = {TL_SS, TL_DS, TL_ES, TL_FS, TL_GS, TL_CS};
	enum mmio_progress progress = load_ldt(op, cpu, env, ldt);

	if (cpu->rflags & RFLAGS_VM)
		return progress;
	for (unsigned i = 0; i < sizeof(order) && progress == MMIO_DONE; i++)
		progress = load(op, cpu, env, (enum tl_segment_name)order[i]);
	if (progress == MMIO_DONE)
		cpu->code_bits = cpu->segment[TL_CS].access & RIGHTS_BIG ? 32 : 16;
	return progress;
}
