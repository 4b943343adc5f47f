/* SPDX-License-Identifier: MIT */
#include "boot/multiboot_parser.h"
#include "guest/multiboot.h"

static bool mb1_read_map(const struct boot_parser *p, const struct mb1_info *mb)
{
	uint32_t at = 0;

	while (at < mb->map_size) {
		struct mb1_memory entry;

		if (mb->map_size - at < sizeof(entry))
			return refuse(&p->why,
				      "the loader's memory map ends inside an entry; use another boot loader.");
		if (!boot_fetch(p, (uint64_t)mb->map + at, &entry, sizeof(entry), "memory map"))
			return false;
		if (entry.size < sizeof(entry) - sizeof(entry.size) ||
		    entry.size > mb->map_size - at - sizeof(entry.size))
			return refuse(&p->why,
				      "the loader's memory map has an entry of %u bytes; use another boot loader.",
				      entry.size);
		if (!boot_add_memory(p, entry.base, entry.length, entry.type))
			return false;
		at += entry.size + (uint32_t)sizeof(entry.size);
	}
	return true;
}

static bool mb1_read_modules(const struct boot_parser *p, const struct mb1_info *mb)
{
	for (uint32_t i = 0; i < mb->nr_modules; i++) {
		struct mb1_module given;
		struct boot_module *module;

		if (!boot_fetch(p, (uint64_t)mb->modules + i * sizeof(given), &given, sizeof(given), "list of modules"))
			return false;
		module = boot_add_module(p, given.start, given.end);
		if (!module)
			return false;
		if (given.line && !boot_fetch_string(p, given.line, UINT32_MAX, module->line, sizeof(module->line),
						     "command line of a module"))
			return false;
	}
	return true;
}

bool mb1_parse(const struct boot_parser *p, uint32_t address)
{
	struct boot_info *info = p->info;
	struct mb1_info mb;

	info->protocol = "Multiboot 1";
	if (!boot_fetch(p, address, &mb, sizeof(mb), "information"))
		return false;
	/* First: what is refused afterwards is shown there. */
	if (mb.flags & MB1_HAS_FRAMEBUFFER &&
	    !boot_fetch_framebuffer(p, (uint64_t)address + MB1_FRAMEBUFFER_AT,
				    (uint64_t)address + MB1_FRAMEBUFFER_AT + sizeof(struct mb_framebuffer)))
		return false;
	if (mb.flags & MB1_HAS_LOADER && mb.loader && !boot_fetch_loader(p, mb.loader, UINT32_MAX))
		return false;
	if (mb.flags & MB1_HAS_LINE && mb.line &&
	    !boot_fetch_string(p, mb.line, UINT32_MAX, info->line, sizeof(info->line), "command line"))
		return false;
	if (mb.flags & MB1_HAS_MAP && !mb1_read_map(p, &mb))
		return false;
	return !(mb.flags & MB1_HAS_MODULES) || mb1_read_modules(p, &mb);
}
