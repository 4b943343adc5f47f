/* SPDX-License-Identifier: MIT */
#include "guest/load.h"
#include "guest/elf.h"
#include "guest/multiboot.h"
#include "guest/text.h"

enum {
	LOAD_PAGE = 4096,
	LOAD_TABLE_PAGES = 6,         /* one PML4, one PDPT, four page directories */
	LOAD_COMMAND_LINE = 1024,     /* bytes, with the NUL */
	LOAD_TABLE_FLAGS = 0x03,      /* present, writable */
	LOAD_LARGE_PAGE_FLAGS = 0x83, /* and a page of 2 MiB */
};

/* What the loader itself needs of guest memory. */
struct load_reserved {
	uint64_t start, size;
};

/* Everything in it is offset from the start of its page. */
struct load_info_page {
	struct multiboot_info info;
	struct multiboot_memory memory[LOAD_MOST_REGIONS];
	char loader_name[12];
	char command_line[LOAD_COMMAND_LINE];
};

_Static_assert(sizeof(struct load_info_page) <= LOAD_PAGE, "the Multiboot information fills one page");

/* The host's address of [address, address + size), or NULL if that is not all in one region. */
static uint8_t *load_host(const struct load_memory *memory, uint64_t address, uint64_t size)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct load_region *region = &memory->region[i];

		if (address >= region->start && address - region->start <= region->size &&
		    size <= region->size - (address - region->start))
			return region->host + (address - region->start);
	}
	return NULL;
}

/* The top pages of region 0. They stay below 1 MiB whatever the size of memory. */
static struct load_reserved load_reserve(const struct load_memory *memory, uint64_t pages)
{
	uint64_t size = pages * LOAD_PAGE, top = memory->region[0].size;

	return size <= top ? (struct load_reserved){top - size, size} : (struct load_reserved){0, top};
}

static bool load_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

/* NULL, or what is wrong with the place of segment `index`. */
static const char *load_check_segment(const struct elf_program *program, unsigned index,
				      const struct load_memory *memory, const struct load_reserved *reserved)
{
	const struct elf_segment *segment = &program->segment[index];

	if (!load_host(memory, segment->address, segment->memory_size))
		return "lies outside guest memory: link it elsewhere or give a larger mem=";
	if (load_overlap(segment->address, segment->memory_size, reserved->start, reserved->size))
		return "overlaps the page of the Multiboot information: link it elsewhere";
	for (unsigned i = 0; i < index; i++)
		if (load_overlap(segment->address, segment->memory_size, program->segment[i].address,
				 program->segment[i].memory_size))
			return "overlaps another segment";
	return NULL;
}

/* NULL, or what is wrong with the Multiboot header. Specification 0.6.96, section 3.1. */
static const char *load_check_header(const struct load_image *image)
{
	size_t end = image->size < MULTIBOOT_HEADER_SEARCH ? image->size : MULTIBOOT_HEADER_SEARCH;
	struct multiboot_header header;
	bool seen = false;

	for (size_t at = 0; at + sizeof(header) <= end; at += 4) {
		__builtin_memcpy(&header, (const uint8_t *)image->data + at, sizeof(header));
		if (header.magic != MULTIBOOT_HEADER_MAGIC)
			continue;
		seen = true;
		if (header.magic + header.flags + header.checksum != 0)
			continue;
		if (header.flags & MULTIBOOT_UNKNOWN)
			return "the Multiboot header asks for more than modules and memory: clear its flags 15:2";
		if (header.flags & MULTIBOOT_ADDRESSES)
			return "the Multiboot header brings its own load addresses: clear its flag 16, ELF has them";
		return NULL;
	}
	return seen ? "the checksum of the Multiboot header is wrong"
		    : "the image has no Multiboot header in its first 8192 bytes: add one, or give flat=ADDRESS";
}

static void load_write_info(const struct load_memory *memory, const struct load_reserved *reserved,
			    const char *command_line)
{
	struct load_info_page *page = (struct load_info_page *)load_host(memory, reserved->start, reserved->size);
	uint32_t base = (uint32_t)reserved->start;

	*page = (struct load_info_page){.loader_name = "trapline"};
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		page->memory[i].size = sizeof(page->memory[i]) - sizeof(page->memory[i].size);
		page->memory[i].address = memory->region[i].start;
		page->memory[i].length = memory->region[i].size;
		page->memory[i].type = MULTIBOOT_MEMORY_AVAILABLE;
	}
	page->info.flags = MULTIBOOT_INFO_MEMORY | MULTIBOOT_INFO_COMMAND_LINE | MULTIBOOT_INFO_MEMORY_MAP |
			   MULTIBOOT_INFO_LOADER_NAME;
	page->info.mem_lower = (uint32_t)(memory->region[0].size >> 10);
	page->info.mem_upper = memory->nr_regions > 1 ? (uint32_t)(memory->region[1].size >> 10) : 0;
	page->info.cmdline = base + offsetof(struct load_info_page, command_line);
	page->info.mmap_addr = base + offsetof(struct load_info_page, memory);
	page->info.mmap_length = memory->nr_regions * (uint32_t)sizeof(page->memory[0]);
	page->info.boot_loader_name = base + offsetof(struct load_info_page, loader_name);
	text_format(page->command_line, sizeof(page->command_line), "%s", command_line);
}

bool load_multiboot(const struct load_image *image, const struct load_memory *memory, const char *command_line,
		    struct tl_state *state, char *why, size_t size)
{
	struct load_reserved reserved = load_reserve(memory, 1);
	struct elf_program program;
	const char *wrong = image->size ? load_check_header(image) : "the image is empty";

	if (wrong) {
		text_format(why, size, "%s", wrong);
		return false;
	}
	if (!elf_read(image->data, image->size, &program, why, size))
		return false;
	for (unsigned i = 0; i < program.nr_segments; i++) {
		wrong = load_check_segment(&program, i, memory, &reserved);
		if (wrong) {
			text_format(why, size, "ELF segment %u at 0x%lx %s", program.segment[i].header,
				    program.segment[i].address, wrong);
			return false;
		}
	}
	for (unsigned i = 0; i < program.nr_segments; i++) {
		const struct elf_segment *segment = &program.segment[i];
		uint8_t *host = load_host(memory, segment->address, segment->memory_size);

		__builtin_memcpy(host, (const uint8_t *)image->data + segment->offset, segment->file_size);
		__builtin_memset(host + segment->file_size, 0, segment->memory_size - segment->file_size);
	}
	load_write_info(memory, &reserved, command_line);
	state_multiboot(state, (uint32_t)program.entry, (uint32_t)reserved.start);
	return true;
}

/* Page tables that map the first 4 GiB to themselves. SDM vol. 3, 4.5. */
static void load_write_tables(const struct load_memory *memory, const struct load_reserved *reserved)
{
	uint64_t *pml4 = (uint64_t *)load_host(memory, reserved->start, reserved->size);
	uint64_t *pdpt = pml4 + 512, *directories = pdpt + 512;
	uint64_t first_directory = reserved->start + 2 * LOAD_PAGE;

	__builtin_memset(pml4, 0, 2 * LOAD_PAGE);
	pml4[0] = (reserved->start + LOAD_PAGE) | LOAD_TABLE_FLAGS;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (first_directory + i * LOAD_PAGE) | LOAD_TABLE_FLAGS;
	for (uint64_t i = 0; i < 4 * 512; i++)
		directories[i] = i << 21 | LOAD_LARGE_PAGE_FLAGS;
}

bool load_flat(const struct load_image *image, const struct load_memory *memory, uint64_t address, enum state_mode mode,
	       struct tl_state *state, char *why, size_t size)
{
	bool is_long = mode == STATE_LONG;
	struct load_reserved tables = load_reserve(memory, LOAD_TABLE_PAGES);
	uint8_t *host = load_host(memory, address, image->size);
	const char *wrong = NULL;

	if (!image->size)
		wrong = "the image is empty";
	else if (!host)
		wrong = "the flat image lies outside guest memory: change flat= or give a larger mem=";
	else if (mode == STATE_REAL && address > 0xfffff)
		wrong = "a flat image for real mode starts below 1 MiB: change flat=";
	else if (is_long && tables.size < LOAD_TABLE_PAGES * LOAD_PAGE)
		wrong = "guest memory is too small for page tables: give a larger mem=";
	else if (is_long && load_overlap(address, image->size, tables.start, tables.size))
		wrong = "the flat image overlaps the page tables that long mode needs: change flat=";
	if (wrong) {
		text_format(why, size, "%s", wrong);
		return false;
	}
	__builtin_memcpy(host, image->data, image->size);
	if (is_long)
		load_write_tables(memory, &tables);
	state_start(state, mode, address, tables.start);
	return true;
}
