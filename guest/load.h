/* SPDX-License-Identifier: MIT */
/*
 * Loading a guest: a Multiboot kernel or a flat image into guest memory, and the state to start it in. Pure C.
 *
 * Nothing in an image is trusted. What is refused is refused before the first byte is written, with one sentence.
 */
#ifndef GUEST_LOAD_H
#define GUEST_LOAD_H

#include "guest/state.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

enum { LOAD_PAGE = 4096, LOAD_MOST_REGIONS = 3, LOAD_MOST_MODULES = 16 };

/* A piece of a memory map, its type as ACPI numbers them (ACPI 6.5, table 15.2). */
struct load_map_entry {
	uint64_t start, size;
	uint32_t type;
};

enum { LOAD_MAP_RAM = 1, LOAD_MAP_RESERVED = 2, LOAD_MAP_ACPI = 3 };

/* The guest's RAM, by rising address. Region 0 begins at 0. */
struct load_memory {
	struct load_region {
		uint64_t start, size; /* bytes, multiples of 4096 */
		uint8_t *host;
	} region[LOAD_MOST_REGIONS];
	unsigned nr_regions;
	/* What a kernel is told of it; without entries: that all of it may be used. */
	const struct load_map_entry *map;
	unsigned nr_map;
};

struct load_image {
	const void *data;
	size_t size;
};

/* A kernel's module, or the kernel itself. */
struct load_module {
	struct load_image image;
	const char *line; /* its command line: the first word is its name */
};

/*
 * Loads a Multiboot kernel (kernel.h) with its modules, and sets the state to start it in, which is that of QEMU's
 * -kernel. Segments go to their physical addresses, modules above them, each to a page of its own. The top of region 0
 * takes the information; command lines are cut to 1023 bytes. False, and one sentence in `why`, if refused.
 * Preconditions: at most LOAD_MOST_MODULES.
 */
bool load_multiboot(const struct load_module *kernel, const struct load_module *modules, unsigned nr_modules,
		    const struct load_memory *memory, struct tl_state *state, char *why, size_t size);

/*
 * Loads the image as it is at `address` and starts it there in `mode`. In long mode the top pages of region 0
 * take page tables that map the first 4 GiB to themselves.
 */
bool load_flat(const struct load_image *image, const struct load_memory *memory, uint64_t address, enum state_mode mode,
	       struct tl_state *state, char *why, size_t size);

/* ---- For loaders ------------------------------------------------------------------------------------------------- */

/* The host's address of [address, address + size), or NULL if that is not all in one region. */
uint8_t *load_host(const struct load_memory *memory, uint64_t address, uint64_t size);

/* What a loader itself needs of guest memory. */
struct load_reserved {
	uint64_t start, size;
};

/* The top pages of region 0, or all of it. They stay below 1 MiB whatever the size of memory. */
struct load_reserved load_reserve(const struct load_memory *memory, uint64_t pages);

/* One PML4, one PDPT, four page directories. */
enum { LOAD_TABLE_PAGES = 6 };

/* Page tables that map the first 4 GiB to themselves, at `at`. Precondition: LOAD_TABLE_PAGES of RAM are there. */
void load_identity_tables(const struct load_memory *memory, uint64_t at);

/* Preconditions: neither sum wraps. */
bool load_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size);

#endif
