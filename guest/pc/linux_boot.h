/* SPDX-License-Identifier: MIT */
/*
 * Linux by its own boot protocol: a bzImage, entered in 64-bit mode (Linux' Documentation/x86/boot.rst). Pure C.
 *
 * Nothing in an image is trusted. What is refused is refused before the first byte is written, with one sentence.
 */
#ifndef GUEST_PC_LINUX_BOOT_H
#define GUEST_PC_LINUX_BOOT_H

#include "guest/load.h"

struct linux_boot {
	const struct load_memory *memory; /* its map is the kernel's E820 map */
	struct load_image kernel, initrd; /* an initramfs of no bytes: none */
	const char *line;
	uint64_t rsdp; /* where ACPI's root pointer lies; 0: the kernel looks for it as on any PC */
};

/* Whether the image calls itself a Linux kernel, and is to be loaded and refused as one. */
bool linux_is_kernel(const struct load_image *image);

/*
 * Loads the kernel at its preferred address, or where there is room for it if it may be moved, the initramfs as high as
 * the kernel can have it, and sets the state to start it in: 64-bit mode, the lowest 4 GiB mapped to themselves. The
 * parameters, page tables and the command line lie in the first 128 KiB. Precondition: region 0 is as large.
 */
bool linux_load(const struct linux_boot *boot, struct tl_state *state, char *why, size_t size);

#endif
