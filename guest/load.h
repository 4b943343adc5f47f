/* SPDX-License-Identifier: MIT */
/*
 * Loading a guest: a Multiboot 1 kernel or a flat image into guest memory, and the state to start it in. Pure C.
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

enum { LOAD_MOST_REGIONS = 2 };

/* The guest's RAM, by rising address. Region 0 begins at 0. */
struct load_memory {
	struct load_region {
		uint64_t start, size; /* bytes, multiples of 4096 */
		uint8_t *host;
	} region[LOAD_MOST_REGIONS];
	unsigned nr_regions;
};

struct load_image {
	const void *data;
	size_t size;
};

/*
 * Loads an ELF file with a Multiboot 1 header. The top page of region 0 takes the Multiboot information, with
 * `command_line` (cut to what fits). False, and one sentence in `why`, if refused.
 */
bool load_multiboot(const struct load_image *image, const struct load_memory *memory, const char *command_line,
		    struct tl_state *state, char *why, size_t size);

/*
 * Loads the image as it is at `address` and starts it there in `mode`. In long mode the top pages of region 0
 * take page tables that map the first 4 GiB to themselves.
 */
bool load_flat(const struct load_image *image, const struct load_memory *memory, uint64_t address, enum state_mode mode,
	       struct tl_state *state, char *why, size_t size);

#endif
