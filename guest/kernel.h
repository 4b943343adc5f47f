/* SPDX-License-Identifier: MIT */
/* Reading a Multiboot kernel that nobody has checked: what its header asks for, and where its parts go. Pure C. */
#ifndef GUEST_KERNEL_H
#define GUEST_KERNEL_H

#include "guest/elf.h"
#include "guest/load.h"

struct kernel {
	unsigned multiboot; /* 1 or 2 */
	struct elf_program program;
};

/*
 * Finds the kernel's header and its program: by the addresses that the header brings (the "a.out kludge"), else the ELF
 * file that the image is. An image with both headers is taken as Multiboot 1. False, and one sentence in `why`, if the
 * image is none, is broken, or asks for what a guest here does not get.
 */
bool kernel_read(const struct load_image *image, struct kernel *kernel, char *why, size_t size);

#endif
