/* SPDX-License-Identifier: MIT */
/* What the tests of the guest loader share: a guest's memory, an image to break, and what the loader made of it. */
#ifndef UNIT_LOADER_FIXTURE_H
#define UNIT_LOADER_FIXTURE_H

#include "guest/load.h"

enum {
	LOW_SIZE = 0xa0000,
	HIGH_SIZE = 0x100000,
	HIGH_START = 0x100000,
	IMAGE_SIZE = 0x3000,
	HEADER_AT = 0x1000,
	PHDR_AT = 0x40,
};

/* The guest's memory: LOW_SIZE bytes from 0 and HIGH_SIZE bytes from HIGH_START. */
extern uint8_t *low, *high;
extern struct load_memory memory;

extern uint8_t image[IMAGE_SIZE];

/* The loader's answer. */
extern char why[160];
extern struct tl_state state;

/* Program headers as they lie in an image. */
struct ph32 {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
struct ph64 {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/* As cmocka wants them: zeroed memory, no answer yet; the image stays as it is. */
int loader_setup(void **context);
int loader_teardown(void **context);

/* Write a little-endian number into the image, `at` bytes from its start. */
void image_put16(unsigned at, uint16_t v);
void image_put32(unsigned at, uint32_t v);
void image_put64(unsigned at, uint64_t v);

/* Writes a Multiboot header with these flags and the checksum that belongs to them. */
void image_put_multiboot(uint32_t flags);

/*
 * Make the image a good ELF file of either class with two segments: 1 MiB with 0x1800 bytes of file and 0x2000 of
 * memory, and 0x8000 with 0x400 of each. That of 32 bits has a third program header between them, to be ignored.
 */
void image_good32(void);
void image_good64(void);

/* Loads the first `size` bytes of the image as a Multiboot kernel. */
bool image_load(size_t size);

void assert_memory_untouched(void);

/* The first `size` bytes have to be refused as a kernel, in one line with these words in it, and nothing written. */
void assert_refused(size_t size, const char *words);

#endif
