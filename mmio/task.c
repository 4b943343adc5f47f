/* SPDX-License-Identifier: MIT */
#include "mmio/task.h"

#include "mmio/memory.h"
#include "mmio/stack_row.h"
#include "mmio/translate.h"
#include "mmu/dirty.h"

enum { VECTOR_TS = 10, LINK = 0, CR3 = 0x1c, TRAP = 0x64, MOST_RACES = 1000 };

#define CR0_TS        BIT(3)
#define CR0_PG        BIT(31)
#define CR4_PAE       BIT(5)
#define EFER_LMA      BIT(10)
#define RFLAGS_FIXED  BIT(1)
#define RFLAGS_NT     BIT(14)
#define RFLAGS_OF_TSS 0x3f7fd7ull /* what there is; a task may begin in virtual-8086 mode */

#define TYPE_WIDE   BIT(3)
#define TYPE_OF_TSS 0x15u /* what all of them have: bits 4, 2 and 0 are 0, 0 and 1 */

/* Where a TSS holds what. SDM vol. 3, 8.2.1 and 8.6. */
struct layout {
	uint8_t item; /* bytes of a register */
	uint8_t ip, flags, gpr, segment, nr_segments, ldt;
	uint8_t last; /* the lowest limit */
};

static const struct layout wide = {4, 0x20, 0x24, 0x28, 0x48, 6, 0x60, 0x67};
static const struct layout narrow = {2, 0x0e, 0x10, 0x12, 0x22, 4, 0x2a, 0x2b};

/* System memory of the guest, on two pages at most, each of which was walked once. */
struct window {
	uint8_t *host[2];
	gpa_t gpa[2];
	unsigned first; /* bytes on the first page */
};

struct image {
	uint32_t ip, flags, gpr[8], cr3;
	uint16_t segment[TL_GS + 1], ldt;
	bool trap;
};

/* What the switch goes through, all of it found before anything is changed. */
struct passage {
	const struct layout *from, *to;
	struct descriptor new;
	struct window old_tss, new_tss;
	struct window old_rights, new_rights; /* a byte each, of the descriptors */
};

static enum mmio_progress window_open(struct mmio_operation *op, const struct mmio_cpu *cpu,
				      const struct mmio_environment *env, gva_t linear, unsigned size, unsigned access,
				      struct window *window)
{
	const struct descriptor from = {.linear = linear};
	enum mmio_progress progress;

	window->first = PAGE_SIZE - (unsigned)(linear & (PAGE_SIZE - 1));
	window->host[0] = descriptor_byte(op, cpu, env, &from, 0, access, &progress);
	window->gpa[0] = op->gpa;
	if (progress != MMIO_DONE || window->first >= size)
		return progress;
	window->host[1] = descriptor_byte(op, cpu, env, &from, window->first, access, &progress);
	window->gpa[1] = op->gpa;
	return progress;
}

static uint8_t window_byte(const struct window *window, unsigned at)
{
	return *(const volatile uint8_t *)(at < window->first ? window->host[0] + at
							      : window->host[1] + (at - window->first));
}

static uint32_t window_get(const struct window *window, unsigned at, unsigned size)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint32_t)window_byte(window, at + i) << (8 * i);
	return value;
}

/* ROM drops the write. */
static void window_put(const struct mmio_environment *env, const struct window *window, unsigned at, uint32_t value,
		       unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		unsigned page = at + i >= window->first, offset = at + i - (page ? window->first : 0);
		const struct map_range *range = map_find(env->map, window->gpa[page] + offset);

		if (range->kind != MAP_RAM)
			continue;
		dirty_write(range, window->gpa[page] + offset, 1);
		memory_store(window->host[page] + offset, value >> (8 * i), 1);
	}
}

/* Of RAM nothing is lost to another CPU's change of the descriptor. */
static void set_busy(const struct mmio_environment *env, const struct window *rights, bool busy)
{
	const struct map_range *range = map_find(env->map, rights->gpa[0]);

	if (range->kind != MAP_RAM)
		return;
	dirty_write(range, rights->gpa[0], 1);
	/* relaxed: a bit, by which nothing else is reached. */
	if (busy)
		(void)__atomic_fetch_or(rights->host[0], (uint8_t)RIGHTS_BUSY, __ATOMIC_RELAXED);
	else
		(void)__atomic_fetch_and(rights->host[0], (uint8_t)~RIGHTS_BUSY, __ATOMIC_RELAXED);
}

static const struct layout *layout_of(uint32_t rights)
{
	return rights & TYPE_WIDE ? &wide : &narrow;
}

/* The CPU has looked at this before the exit; another one may have changed it since. SDM vol. 3, table 8-1. */
static enum mmio_progress find_new(struct mmio_operation *op, const struct mmio_cpu *cpu,
				   const struct mmio_environment *env, const struct task_switch *task,
				   struct passage *passage)
{
	bool returns = task->source == TASK_IRET;
	unsigned vector = returns ? VECTOR_TS : SEGMENT_VECTOR_GP;
	enum mmio_progress progress;
	struct tl_segment segment;

	if (task->selector & SELECTOR_TABLE || !(task->selector & ~3u))
		return segment_fault(op, vector, task->selector);
	progress = segment_find(op, cpu, env, task->selector, vector, &passage->new);
	if (progress != MMIO_DONE)
		return progress;
	descriptor_unpack(&passage->new, task->selector, &segment);
	if ((segment.access & TYPE_OF_TSS) != 1 || !(segment.access & RIGHTS_BUSY) == returns)
		return segment_fault(op, vector, task->selector);
	if (!(segment.access & RIGHTS_PRESENT))
		return segment_fault(op, SEGMENT_VECTOR_NP, task->selector);
	passage->to = layout_of(segment.access);
	if (segment.limit < passage->to->last)
		return segment_fault(op, VECTOR_TS, task->selector);
	return window_open(op, cpu, env, segment.base, passage->to->last + 1u, GUEST_READ, &passage->new_tss);
}

/* The old TSS holds what is saved; the old descriptor and the new one, and the link, can be written. */
static enum mmio_progress find_rest(struct mmio_operation *op, const struct mmio_cpu *cpu,
				    const struct mmio_environment *env, const struct task_switch *task,
				    struct passage *passage)
{
	const struct tl_segment *tr = &cpu->segment[TL_TR];
	enum mmio_progress progress;
	struct tl_segment segment;
	struct window link;

	passage->from = layout_of(tr->access);
	if (tr->limit < passage->from->ldt - 1u)
		return segment_fault(op, VECTOR_TS, task->selector);
	progress = window_open(op, cpu, env, tr->base, passage->from->ldt, GUEST_WRITE, &passage->old_tss);
	if (progress == MMIO_DONE)
		progress = window_open(op, cpu, env, cpu->gdtr.base + (tr->selector & ~7u) + 5, 1, GUEST_WRITE,
				       &passage->old_rights);
	if (progress == MMIO_DONE)
		progress = window_open(op, cpu, env, passage->new.linear + 5, 1, GUEST_WRITE, &passage->new_rights);
	descriptor_unpack(&passage->new, task->selector, &segment);
	if (progress == MMIO_DONE && (task->source == TASK_CALL || task->source == TASK_GATE))
		progress = window_open(op, cpu, env, segment.base, 2, GUEST_WRITE, &link);
	return progress;
}

static void save(const struct mmio_environment *env, const struct passage *passage, const struct mmio_cpu *cpu,
		 enum task_source source)
{
	const struct layout *to = passage->from;
	uint64_t flags = source == TASK_IRET ? cpu->rflags & ~(uint64_t)RFLAGS_NT : cpu->rflags;

	window_put(env, &passage->old_tss, to->ip, (uint32_t)cpu->rip, to->item);
	window_put(env, &passage->old_tss, to->flags, (uint32_t)flags, to->item);
	for (unsigned i = 0; i < 8; i++)
		window_put(env, &passage->old_tss, to->gpr + i * to->item, (uint32_t)cpu->gpr[i], to->item);
	for (unsigned i = 0; i < to->nr_segments; i++)
		window_put(env, &passage->old_tss, to->segment + i * to->item, cpu->segment[i].selector, 2);
}

/* What a 16-bit TSS does not have is zero, the upper halves of the general registers are ones. */
static void read_image(const struct passage *passage, struct image *image)
{
	const struct layout *from = passage->to;
	const struct window *tss = &passage->new_tss;

	*image = (struct image){.ip = window_get(tss, from->ip, from->item),
				.flags = window_get(tss, from->flags, from->item),
				.ldt = (uint16_t)window_get(tss, from->ldt, 2)};
	for (unsigned i = 0; i < 8; i++)
		image->gpr[i] =
			window_get(tss, from->gpr + i * from->item, from->item) | (from == &narrow ? 0xffff0000u : 0);
	for (unsigned i = 0; i < from->nr_segments; i++)
		image->segment[i] = (uint16_t)window_get(tss, from->segment + i * from->item, 2);
	if (from == &wide) {
		image->cr3 = window_get(tss, CR3, 4);
		image->trap = window_get(tss, TRAP, 2) & 1;
	}
}

/* With PAE the PDPTEs are loaded, too, and reserved bits in them are #GP(0). SDM vol. 3, 4.4.1. */
static enum mmio_progress load_cr3(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				   uint32_t cr3)
{
	struct guest_paging *paging = &cpu->paging;
	uint64_t pdpte[4];

	for (unsigned i = 0; paging->cr4 & CR4_PAE && i < 4; i++) {
		const uint8_t *host = map_host(env->map, (cr3 & ~31ull) + 8 * i);

		if (!host)
			return mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
		pdpte[i] = memory_load(host, 8);
	}
	if (paging->cr4 & CR4_PAE) {
		if (!guest_pdptes_are_valid(pdpte, paging->maxphyaddr))
			return mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
		__builtin_memcpy(paging->pdpte, pdpte, sizeof(pdpte));
	}
	paging->cr3 = cr3;
	return MMIO_DONE;
}

/* Of the new task everything that needs no look at its descriptors. */
static void commit(struct mmio_cpu *cpu, const struct passage *passage, const struct image *image,
		   const struct task_switch *task)
{
	uint64_t rflags = (image->flags & RFLAGS_OF_TSS) | RFLAGS_FIXED;

	descriptor_unpack(&passage->new, task->selector, &cpu->segment[TL_TR]);
	cpu->segment[TL_TR].access |= RIGHTS_BUSY;
	cpu->rip = image->ip;
	cpu->rflags = rflags | (task->source == TASK_CALL || task->source == TASK_GATE ? RFLAGS_NT : 0);
	for (unsigned i = 0; i < 8; i++)
		cpu->gpr[i] = image->gpr[i];
	cpu->paging.cr0 |= CR0_TS;
	cpu->changed |= CPU_SEGMENTS;
	task_clear_segments(cpu, image->segment);
}

static enum mmio_progress push_error_code(struct mmio_operation *op, struct mmio_cpu *cpu,
					  const struct mmio_environment *env, uint32_t error_code, unsigned size)
{
	uint8_t bytes[1][MMIO_SPAN_BYTES] = {{0}};
	enum mmio_progress progress;

	op->insn = (struct insn){.operand_size = (uint8_t)size};
	progress = stack_try(op, 0, cpu, env, cpu->gpr[TL_RSP] - size, INSN_WRITE);
	if (progress != MMIO_DONE)
		return progress;
	__builtin_memcpy(bytes[0], &error_code, size);
	op->nr_spans = 1;
	op->at_span = 0;
	op->at_byte = 0;
	progress = mmio_transfer(op, env, true, bytes);
	if (progress != MMIO_DONE)
		return MMIO_REFUSED;
	stack_set(cpu, TL_RSP, cpu->gpr[TL_RSP] - size);
	return MMIO_DONE;
}

/* In the new task, and what faults is the new task's. */
static enum mmio_progress begin_task(struct mmio_operation *op, struct mmio_cpu *cpu,
				     const struct mmio_environment *env, const struct passage *passage,
				     const struct image *image, const struct task_switch *task)
{
	enum mmio_progress progress = MMIO_DONE;

	if (passage->to == &wide && cpu->paging.cr0 & CR0_PG)
		progress = load_cr3(op, cpu, env, image->cr3);
	if (progress == MMIO_DONE)
		progress = task_load_segments(op, cpu, env, image->ldt);
	if (progress == MMIO_DONE && task->has_error_code)
		progress = push_error_code(op, cpu, env, task->error_code, passage->to->item);
	if (progress == MMIO_DONE && cpu->rip > cpu->segment[TL_CS].limit)
		progress = mmio_raise_error(op, SEGMENT_VECTOR_GP, 0);
	return progress;
}

static enum mmio_progress change(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				 struct task_switch *task, const struct passage *passage)
{
	bool leaves = task->source == TASK_JMP || task->source == TASK_IRET;
	enum mmio_progress progress = MMIO_RACED;
	struct image image;

	save(env, passage, cpu, task->source);
	if (leaves)
		set_busy(env, &passage->old_rights, false);
	else
		window_put(env, &passage->new_tss, LINK, cpu->segment[TL_TR].selector, 2);
	read_image(passage, &image);
	if (task->source != TASK_IRET)
		set_busy(env, &passage->new_rights, true);
	commit(cpu, passage, &image, task);
	task->committed = true;
	/* The old task cannot try again any more: what another CPU does to the page tables is waited for, but not for
	 * ever. */
	for (unsigned i = 0; i < MOST_RACES && progress == MMIO_RACED; i++)
		progress = begin_task(op, cpu, env, passage, &image, task);
	if (progress == MMIO_RACED)
		progress = MMIO_REFUSED;
	task->trap = progress == MMIO_DONE && image.trap;
	return progress;
}

enum mmio_progress task_switch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
			       struct task_switch *task)
{
	enum mmio_progress progress;
	struct passage passage;

	task->committed = task->trap = false;
	if (cpu->paging.efer & EFER_LMA)
		return MMIO_REFUSED;
	progress = find_new(op, cpu, env, task, &passage);
	if (progress == MMIO_DONE)
		progress = find_rest(op, cpu, env, task, &passage);
	if (progress == MMIO_DONE)
		progress = change(op, cpu, env, task, &passage);
	/* Of those that name a selector. SDM vol. 3, 7.13. */
	if (progress == MMIO_FAULT && op->fault.vector >= VECTOR_TS && op->fault.vector <= SEGMENT_VECTOR_GP)
		op->fault.error_code |= task->external;
	return progress;
}
