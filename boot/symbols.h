/* SPDX-License-Identifier: MIT */
/* The names of the host's functions. boot/symbols.sh makes the table of the linked image. */
#ifndef BOOT_SYMBOLS_H
#define BOOT_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbol {
	uint64_t address;
	const char *name;
};

/* Sorted by address; the last row names the end of the text and belongs to no function. */
extern const struct symbol symbol_table[];
extern const size_t symbol_count;

/*
 * The name of the function that `address` lies in, and in *offset the distance from its start; NULL outside the text or
 * without a table. Context: any.
 */
const char *symbol_find(uint64_t address, uint64_t *offset);

#endif
