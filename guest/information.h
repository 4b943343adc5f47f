/* SPDX-License-Identifier: MIT */
/* The information that a Multiboot loader leaves for its kernel. Pure C. */
#ifndef GUEST_INFORMATION_H
#define GUEST_INFORMATION_H

#include "guest/load.h"

/* Where a module was put. */
struct information_module {
	uint32_t start, end;
	const char *line;
};

struct information {
	const struct load_memory *memory;
	const char *line;
	const struct information_module *modules;
	unsigned nr_modules;
};

/* Bytes that the information of either protocol takes at most. */
size_t information_size(const struct information *information);

/*
 * Writes it for protocol 1 or 2, for a kernel that finds it at physical `address`, which is 8-byte aligned.
 * Precondition: `to` has information_size() bytes.
 */
void information_write(const struct information *information, unsigned multiboot, uint8_t *to, uint32_t address);

#endif
