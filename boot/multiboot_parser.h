/* SPDX-License-Identifier: MIT */
/* What the two forms of Multiboot share while they are read; for boot/multiboot*.c alone. */
#ifndef BOOT_MULTIBOOT_PARSER_H
#define BOOT_MULTIBOOT_PARSER_H

#include "boot/multiboot.h"
#include "boot/refuse.h"

struct boot_parser {
	const struct boot_view *view;
	struct boot_info *info;
	struct refusal why;
};

/* Copies out of the loader's memory, which may be unaligned. `what` is its name in a refusal, here as below. */
bool boot_fetch(const struct boot_parser *p, uint64_t from, void *to, size_t size, const char *what);

/* Copies a string that ends within `most` bytes of the loader's memory and within `size` bytes of the buffer. */
bool boot_fetch_string(const struct boot_parser *p, uint64_t from, uint64_t most, char *to, size_t size,
		       const char *what);

/* The loader's name, which is for show: a long one is cut. */
bool boot_fetch_loader(const struct boot_parser *p, uint64_t from, uint64_t most);

/* An entry of the memory map; `type` as ACPI numbers them. */
bool boot_add_memory(const struct boot_parser *p, uint64_t base, uint64_t length, uint32_t type);

/* A module without its line, or NULL: there are too many. */
struct boot_module *boot_add_module(const struct boot_parser *p, uint64_t start, uint64_t end);

/* The description of a framebuffer and, behind it, that of its colours. */
bool boot_fetch_framebuffer(const struct boot_parser *p, uint64_t from, uint64_t colors);

/* Each reads all that its loader tells. */
bool mb1_parse(const struct boot_parser *p, uint32_t address);
bool mb2_parse(const struct boot_parser *p, uint32_t address);

/* Makes what was read into what struct boot_info promises: usable ranges, modules that lie in them. */
bool boot_check(const struct boot_parser *p);

#endif
