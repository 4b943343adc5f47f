/* SPDX-License-Identifier: MIT */
#include "boot/multiboot_parser.h"

static bool check_contradictions(const struct boot_parser *p)
{
	const struct boot_memory *map = p->info->map;

	for (size_t i = 0; i < p->info->nr_map; i++) {
		for (size_t j = i + 1; j < p->info->nr_map && map[j].start < map[i].end; j++) {
			if ((map[i].type == BOOT_MEMORY_USABLE) == (map[j].type == BOOT_MEMORY_USABLE))
				continue;
			return refuse(&p->why,
				      "the loader's memory map has 0x%llx to 0x%llx (type %u) overlap 0x%llx to "
				      "0x%llx (type %u); update the firmware or use another boot loader.",
				      (unsigned long long)map[i].start, (unsigned long long)map[i].end, map[i].type,
				      (unsigned long long)map[j].start, (unsigned long long)map[j].end, map[j].type);
		}
	}
	return true;
}

/* The usable ranges: clipped to the limit and to whole pages, those that touch merged. */
static bool collect_memory(const struct boot_parser *p)
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
	return kept || refuse(&p->why, "the loader gave no usable memory; use a boot loader that passes a memory map.");
}

/* What is drawn on such a screen would be written over what lies there. */
static void check_screen(struct boot_info *info)
{
	struct boot_framebuffer *f = &info->framebuffer;
	uint64_t size = (uint64_t)f->pitch * f->height;

	for (size_t i = 0; f->kind == BOOT_SCREEN_PIXELS && i < info->nr_memory; i++)
		if (f->base < info->memory[i].end &&
		    (f->base >= info->memory[i].start || info->memory[i].start - f->base < size))
			f->kind = BOOT_SCREEN_BROKEN;
}

static bool in_memory(const struct boot_info *info, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < info->nr_memory; i++)
		if (start >= info->memory[i].start && end <= info->memory[i].end)
			return true;
	return false;
}

static bool check_module(const struct boot_parser *p, size_t index)
{
	const struct boot_info *info = p->info;
	const struct boot_module *m = &info->modules[index];

	if (m->start >= m->end)
		return refuse(&p->why,
			      "module %zu (\"%s\") is empty or ends before it starts; give the loader a real file.",
			      index + 1, m->line);
	if (!in_memory(info, m->start, m->end))
		return refuse(&p->why,
			      "module %zu (\"%s\") at 0x%llx to 0x%llx lies outside usable memory; load fewer or "
			      "smaller modules, or give the machine more memory.",
			      index + 1, m->line, (unsigned long long)m->start, (unsigned long long)m->end);
	if (m->start < info->image.end && info->image.start < m->end)
		return refuse(&p->why, "module %zu (\"%s\") overlaps the hypervisor; use another boot loader.",
			      index + 1, m->line);
	for (size_t i = 0; i < index; i++)
		if (m->start < info->modules[i].end && info->modules[i].start < m->end)
			return refuse(&p->why,
				      "modules %zu (\"%s\") and %zu (\"%s\") overlap; use another boot loader.", i + 1,
				      info->modules[i].line, index + 1, m->line);
	return true;
}

bool boot_check(const struct boot_parser *p)
{
	struct boot_info *info = p->info;

	if (!check_contradictions(p) || !collect_memory(p))
		return false;
	check_screen(info);
	if (!in_memory(info, info->image.start, info->image.end))
		return refuse(&p->why,
			      "the loader's memory map does not hold the hypervisor itself; use another boot loader.");
	for (size_t i = 0; i < info->nr_modules; i++)
		if (!check_module(p, i))
			return false;
	return true;
}
