/* SPDX-License-Identifier: MIT */
#include "guest/information.h"
#include "guest/kernel.h"
#include "guest/text.h"

/* What will be written, once all of it has been found possible. */
struct load_plan {
	const struct load_memory *memory;
	struct kernel kernel;
	struct load_reserved reserved; /* for the information */
	struct information information;
	struct information_module module[LOAD_MOST_MODULES];
};

/* NULL, or what is wrong with the place of segment `index`. */
static const char *check_segment(const struct load_plan *plan, unsigned index)
{
	const struct elf_program *program = &plan->kernel.program;
	const struct elf_segment *segment = &program->segment[index];

	if (!load_host(plan->memory, segment->address, segment->memory_size))
		return "lies outside guest memory: link it elsewhere or give a larger mem=";
	if (load_overlap(segment->address, segment->memory_size, plan->reserved.start, plan->reserved.size))
		return "overlaps the page of the Multiboot information: link it elsewhere";
	for (unsigned i = 0; i < index; i++)
		if (load_overlap(segment->address, segment->memory_size, program->segment[i].address,
				 program->segment[i].memory_size))
			return "overlaps another segment";
	return NULL;
}

static bool check_segments(const struct load_plan *plan, char *why, size_t size)
{
	for (unsigned i = 0; i < plan->kernel.program.nr_segments; i++) {
		const struct elf_segment *segment = &plan->kernel.program.segment[i];
		const char *wrong = check_segment(plan, i);

		if (wrong) {
			text_format(why, size, "ELF segment %u at 0x%lx %s", segment->header, segment->address, wrong);
			return false;
		}
	}
	return true;
}

static uint64_t page_up(uint64_t address)
{
	return (address + LOAD_PAGE - 1) & ~(uint64_t)(LOAD_PAGE - 1);
}

/* From where on there is nothing of the kernel. */
static uint64_t end_of_program(const struct elf_program *program)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < program->nr_segments; i++)
		if (program->segment[i].address + program->segment[i].memory_size > end)
			end = program->segment[i].address + program->segment[i].memory_size;
	return end;
}

/* The first page at or above `from`, and below 4 GiB, behind which there are `bytes` of RAM; UINT64_MAX: none. */
static uint64_t find_place(const struct load_plan *plan, uint64_t from, uint64_t bytes)
{
	for (unsigned i = 0; i < plan->memory->nr_regions; i++) {
		uint64_t start = plan->memory->region[i].start, at = page_up(from > start ? from : start);

		if (at + bytes <= UINT32_MAX && load_host(plan->memory, at, bytes) &&
		    !load_overlap(at, bytes, plan->reserved.start, plan->reserved.size))
			return at;
	}
	return UINT64_MAX;
}

static bool place_modules(struct load_plan *plan, const struct load_module *modules, unsigned nr_modules, char *why,
			  size_t size)
{
	uint64_t from = end_of_program(&plan->kernel.program);

	for (unsigned i = 0; i < nr_modules; i++) {
		uint64_t at = find_place(plan, from, modules[i].image.size);

		if (at == UINT64_MAX) {
			text_format(why, size,
				    "there is no place in guest memory for module %u of %lu bytes above 0x%lx: give a "
				    "larger mem=",
				    i + 1, modules[i].image.size, from);
			return false;
		}
		from = at + modules[i].image.size;
		plan->module[i] = (struct information_module){(uint32_t)at, (uint32_t)from, modules[i].line};
	}
	return true;
}

static void write_all(const struct load_plan *plan, const struct load_module *kernel, const struct load_module *modules)
{
	for (unsigned i = 0; i < plan->kernel.program.nr_segments; i++) {
		const struct elf_segment *segment = &plan->kernel.program.segment[i];
		uint8_t *host = load_host(plan->memory, segment->address, segment->memory_size);

		__builtin_memcpy(host, (const uint8_t *)kernel->image.data + segment->offset, segment->file_size);
		__builtin_memset(host + segment->file_size, 0, segment->memory_size - segment->file_size);
	}
	for (unsigned i = 0; i < plan->information.nr_modules; i++)
		__builtin_memcpy(load_host(plan->memory, plan->module[i].start, modules[i].image.size),
				 modules[i].image.data, modules[i].image.size);
	information_write(&plan->information, plan->kernel.multiboot,
			  load_host(plan->memory, plan->reserved.start, plan->reserved.size),
			  (uint32_t)plan->reserved.start);
}

bool load_multiboot(const struct load_module *kernel, const struct load_module *modules, unsigned nr_modules,
		    const struct load_memory *memory, struct tl_state *state, char *why, size_t size)
{
	struct load_plan plan = {.memory = memory};
	size_t bytes;

	if (!kernel_read(&kernel->image, &plan.kernel, why, size))
		return false;
	plan.information = (struct information){
		.memory = memory, .line = kernel->line, .modules = plan.module, .nr_modules = nr_modules};
	for (unsigned i = 0; i < nr_modules; i++)
		plan.module[i].line = modules[i].line;
	bytes = information_size(&plan.information);
	plan.reserved = load_reserve(memory, page_up(bytes) / LOAD_PAGE);
	if (plan.reserved.size < bytes) {
		text_format(why, size, "guest memory is too small for the Multiboot information: give a larger mem=");
		return false;
	}
	if (!check_segments(&plan, why, size) || !place_modules(&plan, modules, nr_modules, why, size))
		return false;
	write_all(&plan, kernel, modules);
	state_multiboot(state, plan.kernel.multiboot, (uint32_t)plan.kernel.program.entry,
			(uint32_t)plan.reserved.start);
	return true;
}
