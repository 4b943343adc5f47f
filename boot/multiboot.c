/* SPDX-License-Identifier: MIT */
#include "boot/multiboot.h"

#include "boot/libc.h"
#include "boot/multiboot_parser.h"
#include "boot/print.h"
#include "guest/multiboot.h"

bool boot_fetch(const struct boot_parser *p, uint64_t from, void *to, size_t size, const char *what)
{
	const void *bytes = p->view->at(from, size);

	if (!bytes)
		return refuse(&p->why, "the loader's %s at 0x%llx cannot be read; use another boot loader.", what,
			      (unsigned long long)from);
	memcpy(to, bytes, size);
	return true;
}

bool boot_fetch_string(const struct boot_parser *p, uint64_t from, uint64_t most, char *to, size_t size,
		       const char *what)
{
	for (uint64_t i = 0; i < most; i++) {
		if (i == size)
			return refuse(&p->why, "the %s is longer than %zu characters; shorten it.", what, size - 1);
		if (!boot_fetch(p, from + i, &to[i], 1, what))
			return false;
		to[i] = print_visible(to[i]);
		if (!to[i])
			return true;
	}
	return refuse(&p->why, "the loader's %s has no end; use another boot loader.", what);
}

bool boot_fetch_loader(const struct boot_parser *p, uint64_t from, uint64_t most)
{
	char *name = p->info->loader;

	for (uint64_t i = 0; i < most && i < BOOT_LOADER_MAX - 1; i++) {
		if (!boot_fetch(p, from + i, &name[i], 1, "name") || !name[i])
			return !name[i];
		name[i] = print_visible(name[i]);
	}
	return true;
}

bool boot_add_memory(const struct boot_parser *p, uint64_t base, uint64_t length, uint32_t type)
{
	struct boot_info *info = p->info;
	size_t at = info->nr_map;

	if (!length)
		return true;
	if (length > UINT64_MAX - base)
		return refuse(&p->why,
			      "the loader's memory map has a range at 0x%llx of 0x%llx bytes, which wraps around; "
			      "update the firmware or use another boot loader.",
			      (unsigned long long)base, (unsigned long long)length);
	/* What continues the entry before is one with it: firmware divides memory by its own use of it, too. */
	if (at && info->map[at - 1].end == base && info->map[at - 1].type == type) {
		info->map[at - 1].end += length;
		return true;
	}
	if (at == BOOT_MAP_MAX)
		return refuse(&p->why, "the loader's memory map has more than %d entries; use another boot loader.",
			      BOOT_MAP_MAX);
	for (; at && info->map[at - 1].start > base; at--)
		info->map[at] = info->map[at - 1];
	info->map[at] = (struct boot_memory){base, base + length, type};
	info->nr_map++;
	return true;
}

struct boot_module *boot_add_module(const struct boot_parser *p, uint64_t start, uint64_t end)
{
	struct boot_info *info = p->info;

	if (info->nr_modules == BOOT_MODULES_MAX) {
		refuse(&p->why, "there are more than %d modules; load fewer.", BOOT_MODULES_MAX);
		return NULL;
	}
	info->modules[info->nr_modules] = (struct boot_module){.start = start, .end = end};
	return &info->modules[info->nr_modules++];
}

bool boot_fetch_framebuffer(const struct boot_parser *p, uint64_t from, uint64_t colors)
{
	struct boot_framebuffer *f = &p->info->framebuffer;
	struct mb_framebuffer given;
	struct mb_colors c;

	if (!boot_fetch(p, from, &given, sizeof(given), "description of the screen"))
		return false;
	*f = (struct boot_framebuffer){
		.kind = given.type == MB_FRAMEBUFFER_TEXT ? BOOT_SCREEN_TEXT : BOOT_SCREEN_OTHER,
		.type = given.type,
		.bits = given.bits,
		.base = given.base,
		.pitch = given.pitch,
		.width = given.width,
		.height = given.height,
	};
	if (given.type != MB_FRAMEBUFFER_RGB)
		return true;
	if (!boot_fetch(p, colors, &c, sizeof(c), "description of the screen"))
		return false;
	f->kind = BOOT_SCREEN_PIXELS;
	f->red = (struct boot_color){c.red_position, c.red_size};
	f->green = (struct boot_color){c.green_position, c.green_size};
	f->blue = (struct boot_color){c.blue_position, c.blue_size};
	return true;
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

bool boot_parse(uint32_t magic, uint32_t address, const struct boot_view *view, struct boot_info *info, char *reason,
		size_t size)
{
	const struct boot_parser p = {view, info, {reason, size}};

	memset(info, 0, sizeof(*info));
	info->image = view->image;
	if (magic == MULTIBOOT1_BOOTED) {
		if (!mb1_parse(&p, address))
			return false;
	} else if (magic == MULTIBOOT2_BOOTED) {
		if (!mb2_parse(&p, address))
			return false;
	} else {
		return refuse(&p.why,
			      "no Multiboot loader started this (EAX is 0x%x); boot it with GRUB or QEMU's -kernel.",
			      magic);
	}
	drop_own_path(info);
	return boot_check(&p);
}
