/* SPDX-License-Identifier: MIT */
/*
 * What the loader says: both forms of Multiboot read into one struct. Pure C that reaches memory through a view, so it
 * runs hosted as well. Everything is copied out and checked; nothing of the loader's own tables is needed afterwards.
 */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BOOT_MAP_MAX = 256, /* entries of the loader's memory map */
	BOOT_MODULES_MAX = 64,
	BOOT_LINE_MAX = 1024, /* the command line, with its NUL */
	BOOT_MODULE_LINE_MAX = 1024,
	BOOT_LOADER_MAX = 64,
	BOOT_RSDP_MAX = 36,
};

enum { HOST_PAGE = 4096 };

/* Addresses are physical, `end` is the first byte behind. */
struct boot_range {
	uint64_t start, end;
};

/* As ACPI numbers them (ACPI 15.3); what is unknown here counts as reserved. */
enum boot_memory_type { BOOT_MEMORY_USABLE = 1, BOOT_MEMORY_RESERVED = 2, BOOT_MEMORY_ACPI = 3 };

struct boot_memory {
	uint64_t start, end;
	uint32_t type;
};

struct boot_module {
	uint64_t start, end;
	char line[BOOT_MODULE_LINE_MAX];
};

/* What the loader says of the screen. */
enum boot_screen {
	BOOT_SCREEN_UNSAID, /* nothing */
	BOOT_SCREEN_TEXT,   /* cells of characters and attributes, as the VGA has them */
	BOOT_SCREEN_PIXELS, /* red, green and blue at fixed places of a pixel */
	BOOT_SCREEN_OTHER,  /* a palette, or what no specification knows */
	BOOT_SCREEN_BROKEN, /* pixels that lie in usable memory */
};

struct boot_color {
	uint8_t position, size; /* in bits */
};

struct boot_framebuffer {
	enum boot_screen kind;
	uint8_t type; /* the loader's own number */
	uint8_t bits; /* of a pixel */
	uint64_t base;
	uint32_t pitch, width, height; /* bytes from line to line; pixels */
	struct boot_color red, green, blue;
};

struct boot_info {
	const char *protocol;
	char loader[BOOT_LOADER_MAX]; /* empty: it did not say */
	char line[BOOT_LINE_MAX];     /* the command line without the image's own path */
	struct boot_range image;      /* the hypervisor itself */

	struct boot_memory map[BOOT_MAP_MAX]; /* sorted by start; entries of one type may overlap */
	size_t nr_map;
	struct boot_range memory[BOOT_MAP_MAX]; /* usable: sorted, apart, whole pages, below the view's limit */
	size_t nr_memory;
	uint64_t memory_size; /* bytes in all of them */

	struct boot_module modules[BOOT_MODULES_MAX]; /* in the loader's order; apart, inside usable memory */
	size_t nr_modules;

	struct boot_framebuffer framebuffer;
	bool efi; /* the firmware is UEFI */

	uint8_t rsdp[BOOT_RSDP_MAX]; /* a copy of ACPI's root pointer; rsdp_size 0: the loader gave none */
	size_t rsdp_size;
};

/* The machine as the parser may see it. */
struct boot_view {
	/* `size` bytes at a physical address, or NULL where they cannot be read. */
	const void *(*at)(uint64_t physical, uint64_t size);
	struct boot_range image;
	uint64_t limit; /* memory from here on is left out: the host could not address it */
};

/*
 * Reads what the loader passed in EAX (magic) and EBX (address) into *info. false: refused, and `reason` holds one
 * sentence that says why, cut to `size` bytes; of *info only the framebuffer, for showing it, and `efi` are then worth
 * anything, as far as they had been read. Context: any.
 */
bool boot_parse(uint32_t magic, uint32_t address, const struct boot_view *view, struct boot_info *info, char *reason,
		size_t size);

#endif
