/* SPDX-License-Identifier: MIT */
#include "guest/information.h"
#include "guest/multiboot.h"
#include "guest/text.h"

enum {
	LINE_MOST = 1024, /* bytes of a command line, with the NUL; the rest is cut */
	ALIGN = 8,
	/* The structures that come once, in whichever protocol. */
	FIXED = 256,
	/* The first hard disk, all of it (Multiboot 1, 3.3). */
	BOOT_DEVICE = 0x8000ffff,
};

static const char loader_name[] = "trapline";

/* What has been written of it. */
struct writer {
	uint8_t *to;
	uint32_t address, used;
};

static size_t line_size(const char *line)
{
	size_t size = __builtin_strlen(line) + 1;

	return size < LINE_MOST ? size : LINE_MOST;
}

static size_t aligned(size_t size)
{
	return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static unsigned nr_entries(const struct load_memory *memory)
{
	return memory->nr_map ? memory->nr_map : memory->nr_regions;
}

/* Of a memory map that says more than where RAM is, or of RAM. */
static struct load_map_entry map_entry(const struct load_memory *memory, unsigned i)
{
	if (memory->nr_map)
		return memory->map[i];
	return (struct load_map_entry){memory->region[i].start, memory->region[i].size, LOAD_MAP_RAM};
}

size_t information_size(const struct information *information)
{
	size_t size = FIXED + aligned(line_size(information->line)) +
		      nr_entries(information->memory) * sizeof(struct mb2_memory);

	for (unsigned i = 0; i < information->nr_modules; i++)
		size += sizeof(struct mb1_module) + sizeof(struct mb2_module) +
			aligned(line_size(information->modules[i].line));
	return size;
}

/* KiB of RAM from 1 MiB on without a gap. */
static uint32_t upper_memory(const struct load_memory *memory)
{
	for (unsigned i = 0; i < memory->nr_regions; i++)
		if (memory->region[i].start == 1 << 20)
			return (uint32_t)(memory->region[i].size >> 10);
	return 0;
}

/* The address of what is appended, and its host's. */
static uint32_t append(struct writer *writer, size_t size, void **host)
{
	uint32_t address = writer->address + writer->used;

	*host = writer->to + writer->used;
	writer->used += (uint32_t)aligned(size);
	return address;
}

static uint32_t append_line(struct writer *writer, const char *line)
{
	void *host;
	uint32_t address = append(writer, line_size(line), &host);

	text_format(host, line_size(line), "%s", line);
	return address;
}

/* ---- Multiboot 1 ---- */

static uint32_t append_map_1(struct writer *writer, const struct load_memory *memory)
{
	struct mb1_memory *entries;
	void *host;
	uint32_t address = append(writer, nr_entries(memory) * sizeof(*entries), &host);

	entries = host;
	for (unsigned i = 0; i < nr_entries(memory); i++) {
		struct load_map_entry entry = map_entry(memory, i);

		entries[i] = (struct mb1_memory){.size = sizeof(entries[i]) - sizeof(entries[i].size),
						 .base = entry.start,
						 .length = entry.size,
						 .type = entry.type};
	}
	return address;
}

static uint32_t append_modules_1(struct writer *writer, const struct information *information)
{
	struct mb1_module *modules;
	void *host;
	uint32_t address = append(writer, information->nr_modules * sizeof(*modules), &host);

	modules = host;
	for (unsigned i = 0; i < information->nr_modules; i++) {
		const struct information_module *module = &information->modules[i];

		modules[i] = (struct mb1_module){
			.start = module->start, .end = module->end, .line = append_line(writer, module->line)};
	}
	return address;
}

static void write_1(struct writer *writer, const struct information *information)
{
	const struct load_memory *memory = information->memory;
	struct mb1_info *info;
	void *host;

	append(writer, sizeof(*info), &host);
	info = host;
	*info = (struct mb1_info){.flags = MB1_HAS_MEMORY | MB1_HAS_BOOT_DEVICE | MB1_HAS_LINE | MB1_HAS_MAP |
					   MB1_HAS_LOADER | (information->nr_modules ? MB1_HAS_MODULES : 0),
				  .mem_lower = (uint32_t)(memory->region[0].size >> 10),
				  .mem_upper = upper_memory(memory),
				  .boot_device = BOOT_DEVICE,
				  .line = append_line(writer, information->line),
				  .nr_modules = information->nr_modules,
				  .map_size = nr_entries(memory) * (uint32_t)sizeof(struct mb1_memory),
				  .map = append_map_1(writer, memory),
				  .loader = append_line(writer, loader_name)};
	if (information->nr_modules)
		info->modules = append_modules_1(writer, information);
}

/* ---- Multiboot 2 ---- */

/* A tag whose fixed part has `fixed` bytes, with a string behind it. */
static void *append_tag(struct writer *writer, uint32_t type, size_t fixed, const char *line)
{
	size_t size = fixed + (line ? line_size(line) : 0);
	struct mb2_tag *tag;
	void *host;

	append(writer, size, &host);
	tag = host;
	*tag = (struct mb2_tag){.type = type, .size = (uint32_t)size};
	if (line)
		text_format((char *)host + fixed, line_size(line), "%s", line);
	return host;
}

static void append_map_2(struct writer *writer, const struct load_memory *memory)
{
	struct mb2_map *map =
		append_tag(writer, MB2_MAP, sizeof(*map) + nr_entries(memory) * sizeof(struct mb2_memory), NULL);
	struct mb2_memory *entries = (struct mb2_memory *)(map + 1);

	map->entry_size = sizeof(*entries);
	map->entry_version = 0;
	for (unsigned i = 0; i < nr_entries(memory); i++) {
		struct load_map_entry entry = map_entry(memory, i);

		entries[i] = (struct mb2_memory){.base = entry.start, .length = entry.size, .type = entry.type};
	}
}

static void write_2(struct writer *writer, const struct information *information)
{
	struct mb2_basic_memory *basic;
	struct mb2_module *module;
	struct mb2_info *info;
	void *host;

	append(writer, sizeof(*info), &host);
	info = host;
	append_tag(writer, MB2_LINE, sizeof(struct mb2_tag), information->line);
	append_tag(writer, MB2_LOADER, sizeof(struct mb2_tag), loader_name);
	basic = append_tag(writer, MB2_MEMORY, sizeof(*basic), NULL);
	basic->lower = (uint32_t)(information->memory->region[0].size >> 10);
	basic->upper = upper_memory(information->memory);
	append_map_2(writer, information->memory);
	for (unsigned i = 0; i < information->nr_modules; i++) {
		module = append_tag(writer, MB2_MODULE, sizeof(*module), information->modules[i].line);
		module->start = information->modules[i].start;
		module->end = information->modules[i].end;
	}
	append_tag(writer, MB2_END, sizeof(struct mb2_tag), NULL);
	*info = (struct mb2_info){.total_size = writer->used};
}

void information_write(const struct information *information, unsigned multiboot, uint8_t *to, uint32_t address)
{
	struct writer writer = {.to = to, .address = address};

	__builtin_memset(to, 0, information_size(information));
	if (multiboot == 1)
		write_1(&writer, information);
	else
		write_2(&writer, information);
}
