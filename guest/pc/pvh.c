/* SPDX-License-Identifier: MIT */
#include "guest/pc/pvh.h"
#include "guest/elf.h"
#include "guest/text.h"

/* XEN_ELFNOTE_PHYS32_ENTRY, of the owner "Xen". */
enum { PVH_NOTE = 18 };

enum {
	PVH_INFO_AT = 0x10000, /* and behind it the module and the memory map, in one page */
	PVH_LINE_AT = 0x11000,
	PVH_END = 0x20000,
	PVH_MOST_MAP = 64,
	PVH_LARGE_PAGE = 2 << 20,
};

#define PVH_MAGIC 0x336ec578u

struct pvh_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, line, rsdp, map;
	uint32_t nr_map, reserved;
};

struct pvh_module {
	uint64_t start, size, line, reserved;
};

struct pvh_map_entry {
	uint64_t start, size;
	uint32_t type, reserved;
};

/* All that it is told, as it lies in the guest's memory. */
struct pvh_page {
	struct pvh_info info;
	struct pvh_module module;
	struct pvh_map_entry map[PVH_MOST_MAP];
};

_Static_assert(sizeof(struct pvh_info) == 56 && sizeof(struct pvh_page) <= PVH_LINE_AT - PVH_INFO_AT, "");

struct pvh_plan {
	const struct linux_boot *boot;
	struct elf_program program;
	uint64_t entry, end, initrd; /* end: of the highest segment */
	size_t line;
};

bool pvh_is_kernel(const struct load_image *image)
{
	uint64_t entry;

	return elf_find_note(image->data, image->size, "Xen", PVH_NOTE, &entry);
}

/* NULL, or what is wrong with the place of segment `index`. */
static const char *check_segment(const struct pvh_plan *plan, unsigned index)
{
	const struct elf_segment *segment = &plan->program.segment[index];

	if (!load_host(plan->boot->memory, segment->address, segment->memory_size))
		return "lies outside guest memory: give a larger mem=";
	if (segment->address < PVH_END)
		return "lies in the first 128 KiB, where the kernel is told of its machine: link it elsewhere";
	for (unsigned i = 0; i < index; i++)
		if (load_overlap(segment->address, segment->memory_size, plan->program.segment[i].address,
				 plan->program.segment[i].memory_size))
			return "overlaps another segment";
	return NULL;
}

static bool check_segments(struct pvh_plan *plan, char *why, size_t size)
{
	for (unsigned i = 0; i < plan->program.nr_segments; i++) {
		const struct elf_segment *segment = &plan->program.segment[i];
		const char *wrong = check_segment(plan, i);

		if (wrong) {
			text_format(why, size, "ELF segment %u at 0x%lx %s", segment->header, segment->address, wrong);
			return false;
		}
		if (segment->address + segment->memory_size > plan->end)
			plan->end = segment->address + segment->memory_size;
	}
	return true;
}

/* NULL, or what is wrong with the rest: entry, initramfs, command line. */
static const char *check_others(struct pvh_plan *plan)
{
	const struct linux_boot *boot = plan->boot;

	if (plan->entry > UINT32_MAX || !load_host(boot->memory, plan->entry, 1))
		return "the PVH entry lies outside guest memory: give a larger mem=";
	if (!load_host(boot->memory, 0, PVH_END))
		return "guest memory is too small for a PVH kernel: give a larger mem=";
	plan->initrd = (plan->end + PVH_LARGE_PAGE - 1) & ~(uint64_t)(PVH_LARGE_PAGE - 1);
	if (boot->initrd.size && !load_host(boot->memory, plan->initrd, boot->initrd.size))
		return "guest memory has no room for the initramfs above the kernel: give a larger mem=";
	while (boot->line[plan->line])
		if (++plan->line >= PVH_END - PVH_LINE_AT)
			return "the command line is longer than 61439 characters: shorten it";
	return NULL;
}

static void write_page(const struct pvh_plan *plan, struct pvh_page *page)
{
	const struct linux_boot *boot = plan->boot;
	const struct load_memory *memory = boot->memory;
	unsigned count = memory->nr_map ? memory->nr_map : memory->nr_regions;

	__builtin_memset(page, 0, sizeof(*page));
	page->info = (struct pvh_info){.magic = PVH_MAGIC,
				       .version = 1,
				       .nr_modules = boot->initrd.size != 0,
				       .modules = PVH_INFO_AT + offsetof(struct pvh_page, module),
				       .line = PVH_LINE_AT,
				       .rsdp = boot->rsdp,
				       .map = PVH_INFO_AT + offsetof(struct pvh_page, map),
				       .nr_map = count < PVH_MOST_MAP ? count : PVH_MOST_MAP};
	page->module = (struct pvh_module){.start = plan->initrd, .size = boot->initrd.size};
	for (unsigned i = 0; i < page->info.nr_map; i++)
		page->map[i] = memory->nr_map ? (struct pvh_map_entry){memory->map[i].start, memory->map[i].size,
								       memory->map[i].type, 0}
					      : (struct pvh_map_entry){memory->region[i].start, memory->region[i].size,
								       LOAD_MAP_RAM, 0};
}

static void write_all(const struct pvh_plan *plan)
{
	const struct linux_boot *boot = plan->boot;

	for (unsigned i = 0; i < plan->program.nr_segments; i++) {
		const struct elf_segment *segment = &plan->program.segment[i];
		uint8_t *host = load_host(boot->memory, segment->address, segment->memory_size);

		__builtin_memcpy(host, (const uint8_t *)boot->kernel.data + segment->offset, segment->file_size);
		__builtin_memset(host + segment->file_size, 0, segment->memory_size - segment->file_size);
	}
	if (boot->initrd.size)
		__builtin_memcpy(load_host(boot->memory, plan->initrd, boot->initrd.size), boot->initrd.data,
				 boot->initrd.size);
	write_page(plan, (struct pvh_page *)load_host(boot->memory, PVH_INFO_AT, sizeof(struct pvh_page)));
	__builtin_memcpy(load_host(boot->memory, PVH_LINE_AT, plan->line + 1), boot->line, plan->line + 1);
}

bool pvh_load(const struct linux_boot *boot, struct tl_state *state, char *why, size_t size)
{
	struct pvh_plan plan = {.boot = boot};
	const char *wrong = NULL;

	if (!elf_read(boot->kernel.data, boot->kernel.size, &plan.program, why, size))
		return false;
	if (!elf_find_note(boot->kernel.data, boot->kernel.size, "Xen", PVH_NOTE, &plan.entry))
		wrong = "the ELF file has no PVH entry: build the kernel with CONFIG_PVH";
	else if (!check_segments(&plan, why, size))
		return false;
	else
		wrong = check_others(&plan);
	if (wrong) {
		text_format(why, size, "%s", wrong);
		return false;
	}
	write_all(&plan);
	state_start(state, STATE_PROTECTED, plan.entry, 0);
	state->gpr[TL_RBX] = PVH_INFO_AT;
	return true;
}
