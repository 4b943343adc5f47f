/* SPDX-License-Identifier: MIT */
/*
 * The page allocator over the machine's usable memory: one bit a page, first fit from the lowest address. Pages are
 * named by pointers, virtual = physical. Pure C: it runs hosted over any memory that struct boot_info describes.
 */
#ifndef BOOT_MEMORY_H
#define BOOT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/multiboot.h"

/*
 * Takes over all usable memory but the first MiB (firmware, and start-up code of other CPUs), the image and the
 * modules. The bitmap goes to the lowest place where it fits below `reach`, the end of what is mapped at the time.
 * false: it fits nowhere, or no page is free. Precondition: boot_parse() filled in *info. Context: one CPU, once.
 */
bool memory_init(const struct boot_info *info, uint64_t reach);

/* `count` contiguous zeroed pages, or NULL (also for 0). They must be mapped. Context: any, several CPUs at once. */
void *memory_alloc(size_t count);

/*
 * Gives back `count` pages from `pages` on; NULL is nothing to give back. false, and nothing done: one of
 * them is free already, or is none of the allocator's. Context: as memory_alloc().
 */
bool memory_free(void *pages, size_t count);

/* Pages free now. */
size_t memory_free_pages(void);

#endif
