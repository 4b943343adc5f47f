/* SPDX-License-Identifier: MIT */
#include "boot/multiboot.h"

#include <stdarg.h>

#include "boot/libc.h"
#include "boot/multiboot_spec.h"
#include "boot/print.h"

struct parser {
	const struct boot_view *view;
	struct boot_info *info;
	char *reason;
	size_t reason_size;
};

__attribute__((format(printf, 2, 3))) static bool refuse(const struct parser *p, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_to_buffer_v(p->reason, p->reason_size, format, arguments);
	va_end(arguments);
	return false;
}

/* Copies out of the loader's memory, which may be unaligned. */
static bool fetch(const struct parser *p, uint64_t from, void *to, size_t size, const char *what)
{
	const void *bytes = p->view->at(from, size);

	if (!bytes)
		return refuse(p, "the loader's %s at 0x%llx cannot be read; use another boot loader.", what,
			      (unsigned long long)from);
	memcpy(to, bytes, size);
	return true;
}

/* Copies a string that ends within `most` bytes of the loader's memory and within `size` bytes of the buffer. */
static bool fetch_string(const struct parser *p, uint64_t from, uint64_t most, char *to, size_t size, const char *what)
{
	for (uint64_t i = 0; i < most; i++) {
		if (i == size)
			return refuse(p, "the %s is longer than %zu characters; shorten it.", what, size - 1);
		if (!fetch(p, from + i, &to[i], 1, what))
			return false;
		to[i] = print_visible(to[i]);
		if (!to[i])
			return true;
	}
	return refuse(p, "the loader's %s has no end; use another boot loader.", what);
}

/* The loader's name is for show: a long one is cut. */
static bool fetch_loader(const struct parser *p, uint64_t from, uint64_t most)
{
	char *name = p->info->loader;

	for (uint64_t i = 0; i < most && i < BOOT_LOADER_MAX - 1; i++) {
		if (!fetch(p, from + i, &name[i], 1, "name") || !name[i])
			return !name[i];
		name[i] = print_visible(name[i]);
	}
	return true;
}

/* ---- What both forms tell --------------------------------------------------------------------------------- */

static bool add_memory(const struct parser *p, uint64_t base, uint64_t length, uint32_t type)
{
	struct boot_info *info = p->info;
	size_t at = info->nr_map;

	if (!length)
		return true;
	if (length > UINT64_MAX - base)
		return refuse(p,
			      "the loader's memory map has a range at 0x%llx of 0x%llx bytes, which wraps around; "
			      "update the firmware or use another boot loader.",
			      (unsigned long long)base, (unsigned long long)length);
	if (at == BOOT_MAP_MAX)
		return refuse(p, "the loader's memory map has more than %d entries; use another boot loader.",
			      BOOT_MAP_MAX);
	for (; at && info->map[at - 1].start > base; at--)
		info->map[at] = info->map[at - 1];
	info->map[at] = (struct boot_memory){base, base + length, type};
	info->nr_map++;
	return true;
}

static struct boot_module *add_module(const struct parser *p, uint64_t start, uint64_t end)
{
	struct boot_info *info = p->info;

	if (info->nr_modules == BOOT_MODULES_MAX) {
		refuse(p, "there are more than %d modules; load fewer.", BOOT_MODULES_MAX);
		return NULL;
	}
	info->modules[info->nr_modules] = (struct boot_module){.start = start, .end = end};
	return &info->modules[info->nr_modules++];
}

/* QEMU passes the image's path as the first word, and so did GRUB before its version 2. No word of ours has a slash. */
static void drop_own_path(struct boot_info *info)
{
	const char *space = strchr(info->line, ' ');
	size_t word = space ? (size_t)(space - info->line) : strlen(info->line);
	const char *slash = strchr(info->line, '/');
	size_t skip = word;

	if (strcmp(info->loader, "qemu") != 0 && (!slash || slash >= info->line + word))
		return;
	while (info->line[skip] == ' ')
		skip++;
	memmove(info->line, info->line + skip, strlen(info->line + skip) + 1);
}

/* ---- Multiboot 1 ------------------------------------------------------------------------------------------ */

static bool mb1_read_map(const struct parser *p, const struct mb1_info *mb)
{
	uint32_t at = 0;

	while (at < mb->map_size) {
		struct mb1_memory entry;

		if (mb->map_size - at < sizeof(entry))
			return refuse(p, "the loader's memory map ends inside an entry; use another boot loader.");
		if (!fetch(p, (uint64_t)mb->map + at, &entry, sizeof(entry), "memory map"))
			return false;
		if (entry.size < sizeof(entry) - sizeof(entry.size) ||
		    entry.size > mb->map_size - at - sizeof(entry.size))
			return refuse(p, "the loader's memory map has an entry of %u bytes; use another boot loader.",
				      entry.size);
		if (!add_memory(p, entry.base, entry.length, entry.type))
			return false;
		at += entry.size + (uint32_t)sizeof(entry.size);
	}
	return true;
}

static bool mb1_read_modules(const struct parser *p, const struct mb1_info *mb)
{
	for (uint32_t i = 0; i < mb->nr_modules; i++) {
		struct mb1_module given;
		struct boot_module *module;

		if (!fetch(p, (uint64_t)mb->modules + i * sizeof(given), &given, sizeof(given), "list of modules"))
			return false;
		module = add_module(p, given.start, given.end);
		if (!module)
			return false;
		if (given.line && !fetch_string(p, given.line, UINT32_MAX, module->line, sizeof(module->line),
						"command line of a module"))
			return false;
	}
	return true;
}

static bool mb1_parse(const struct parser *p, uint32_t address)
{
	struct boot_info *info = p->info;
	struct mb1_info mb;

	info->protocol = "Multiboot 1";
	if (!fetch(p, address, &mb, sizeof(mb), "information"))
		return false;
	if (mb.flags & MB1_HAS_LOADER && mb.loader && !fetch_loader(p, mb.loader, UINT32_MAX))
		return false;
	if (mb.flags & MB1_HAS_LINE && mb.line &&
	    !fetch_string(p, mb.line, UINT32_MAX, info->line, sizeof(info->line), "command line"))
		return false;
	if (mb.flags & MB1_HAS_MAP && !mb1_read_map(p, &mb))
		return false;
	return !(mb.flags & MB1_HAS_MODULES) || mb1_read_modules(p, &mb);
}

/* ---- Multiboot 2 ------------------------------------------------------------------------------------------ */

static bool mb2_read_map(const struct parser *p, uint64_t at, uint32_t size)
{
	struct mb2_map map;
	struct mb2_memory entry;

	if (size < sizeof(map))
		return refuse(p, "the loader's memory map has %u bytes; use another boot loader.", size);
	if (!fetch(p, at, &map, sizeof(map), "memory map"))
		return false;
	if (map.entry_size < sizeof(entry) || map.entry_size % 8 || (size - sizeof(map)) % map.entry_size)
		return refuse(p, "the loader's memory map has entries of %u bytes; use another boot loader.",
			      map.entry_size);
	for (uint32_t i = sizeof(map); i < size; i += map.entry_size) {
		if (!fetch(p, at + i, &entry, sizeof(entry), "memory map"))
			return false;
		if (!add_memory(p, entry.base, entry.length, entry.type))
			return false;
	}
	return true;
}

static bool mb2_read_module(const struct parser *p, uint64_t at, uint32_t size)
{
	struct mb2_module given;
	struct boot_module *module;

	if (size < sizeof(given))
		return refuse(p, "the loader describes a module in %u bytes; use another boot loader.", size);
	if (!fetch(p, at, &given, sizeof(given), "list of modules"))
		return false;
	module = add_module(p, given.start, given.end);
	return module && fetch_string(p, at + sizeof(given), size - sizeof(given), module->line, sizeof(module->line),
				      "command line of a module");
}

/* The newer form of the RSDP holds the older: it wins, in whatever order they come. */
static bool mb2_read_rsdp(const struct parser *p, uint64_t at, uint32_t size)
{
	struct boot_info *info = p->info;

	if (size > BOOT_RSDP_MAX)
		size = BOOT_RSDP_MAX;
	if (size <= info->rsdp_size)
		return true;
	info->rsdp_size = size;
	return fetch(p, at, info->rsdp, size, "ACPI root pointer");
}

static bool mb2_read_tag(const struct parser *p, uint64_t at, const struct mb2_tag *tag)
{
	struct boot_info *info = p->info;
	uint64_t body = at + sizeof(*tag);
	uint32_t size = tag->size - (uint32_t)sizeof(*tag);

	switch (tag->type) {
	case MB2_LINE:
		return fetch_string(p, body, size, info->line, sizeof(info->line), "command line");
	case MB2_LOADER:
		return fetch_loader(p, body, size);
	case MB2_MODULE:
		return mb2_read_module(p, at, tag->size);
	case MB2_MAP:
		return mb2_read_map(p, at, tag->size);
	case MB2_ACPI_OLD:
	case MB2_ACPI_NEW:
		return mb2_read_rsdp(p, body, size);
	default:
		return true;
	}
}

static bool mb2_parse(const struct parser *p, uint32_t address)
{
	struct mb2_info mb;
	struct mb2_tag tag;
	uint64_t at = sizeof(mb);

	p->info->protocol = "Multiboot 2";
	if (!fetch(p, address, &mb, sizeof(mb), "information"))
		return false;
	for (;;) {
		if (at > mb.total_size || mb.total_size - at < sizeof(tag))
			return refuse(p, "the loader's list of tags has no end; use another boot loader.");
		if (!fetch(p, address + at, &tag, sizeof(tag), "list of tags"))
			return false;
		if (tag.size < sizeof(tag) || tag.size > mb.total_size - at)
			return refuse(p, "the loader's tag of type %u has %u bytes; use another boot loader.", tag.type,
				      tag.size);
		if (tag.type == MB2_END)
			return true;
		if (!mb2_read_tag(p, address + at, &tag))
			return false;
		at += ((uint64_t)tag.size + 7) & ~7ull;
	}
}

/* ---- Checks ----------------------------------------------------------------------------------------------- */

static bool check_contradictions(const struct parser *p)
{
	const struct boot_memory *map = p->info->map;

	for (size_t i = 0; i < p->info->nr_map; i++) {
		for (size_t j = i + 1; j < p->info->nr_map && map[j].start < map[i].end; j++) {
			if ((map[i].type == BOOT_MEMORY_USABLE) == (map[j].type == BOOT_MEMORY_USABLE))
				continue;
			return refuse(p,
				      "the loader's memory map has 0x%llx to 0x%llx (type %u) overlap 0x%llx to "
				      "0x%llx (type %u); update the firmware or use another boot loader.",
				      (unsigned long long)map[i].start, (unsigned long long)map[i].end, map[i].type,
				      (unsigned long long)map[j].start, (unsigned long long)map[j].end, map[j].type);
		}
	}
	return true;
}

/* The usable ranges: clipped to the limit and to whole pages, those that touch merged. */
static bool collect_memory(const struct parser *p)
{
	struct boot_info *info = p->info;
	struct boot_range *last = NULL;

	for (size_t i = 0; i < info->nr_map; i++) {
		const struct boot_memory *entry = &info->map[i];
		uint64_t end = entry->end < p->view->limit ? entry->end : p->view->limit;

		if (entry->type != BOOT_MEMORY_USABLE || entry->start >= end)
			continue;
		if (last && entry->start <= last->end) {
			last->end = end > last->end ? end : last->end;
		} else {
			last = &info->memory[info->nr_memory++];
			*last = (struct boot_range){entry->start, end};
		}
	}
	/* Rounding comes last: two entries may meet inside a page. */
	size_t kept = 0;
	for (size_t i = 0; i < info->nr_memory; i++) {
		struct boot_range r = {(info->memory[i].start + HOST_PAGE - 1) & ~(HOST_PAGE - 1ull),
				       info->memory[i].end & ~(HOST_PAGE - 1ull)};

		if (r.start >= r.end)
			continue;
		info->memory[kept++] = r;
		info->memory_size += r.end - r.start;
	}
	info->nr_memory = kept;
	return kept || refuse(p, "the loader gave no usable memory; use a boot loader that passes a memory map.");
}

static bool in_memory(const struct boot_info *info, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < info->nr_memory; i++)
		if (start >= info->memory[i].start && end <= info->memory[i].end)
			return true;
	return false;
}

static bool check_module(const struct parser *p, size_t index)
{
	const struct boot_info *info = p->info;
	const struct boot_module *m = &info->modules[index];

	if (m->start >= m->end)
		return refuse(p, "module %zu (\"%s\") is empty or ends before it starts; give the loader a real file.",
			      index + 1, m->line);
	if (!in_memory(info, m->start, m->end))
		return refuse(p,
			      "module %zu (\"%s\") at 0x%llx to 0x%llx lies outside usable memory; load fewer or "
			      "smaller modules, or give the machine more memory.",
			      index + 1, m->line, (unsigned long long)m->start, (unsigned long long)m->end);
	if (m->start < info->image.end && info->image.start < m->end)
		return refuse(p, "module %zu (\"%s\") overlaps the hypervisor; use another boot loader.", index + 1,
			      m->line);
	for (size_t i = 0; i < index; i++)
		if (m->start < info->modules[i].end && info->modules[i].start < m->end)
			return refuse(p, "modules %zu (\"%s\") and %zu (\"%s\") overlap; use another boot loader.",
				      i + 1, info->modules[i].line, index + 1, m->line);
	return true;
}

static bool check(const struct parser *p)
{
	struct boot_info *info = p->info;

	if (!check_contradictions(p) || !collect_memory(p))
		return false;
	if (!in_memory(info, info->image.start, info->image.end))
		return refuse(p,
			      "the loader's memory map does not hold the hypervisor itself; use another boot loader.");
	for (size_t i = 0; i < info->nr_modules; i++)
		if (!check_module(p, i))
			return false;
	return true;
}

bool boot_parse(uint32_t magic, uint32_t address, const struct boot_view *view, struct boot_info *info, char *reason,
		size_t size)
{
	const struct parser p = {view, info, reason, size};

	memset(info, 0, sizeof(*info));
	info->image = view->image;
	if (magic == MULTIBOOT1_BOOTED) {
		if (!mb1_parse(&p, address))
			return false;
	} else if (magic == MULTIBOOT2_BOOTED) {
		if (!mb2_parse(&p, address))
			return false;
	} else {
		return refuse(&p,
			      "no Multiboot loader started this (EAX is 0x%x); boot it with GRUB or QEMU's -kernel.",
			      magic);
	}
	drop_own_path(info);
	return check(&p);
}
