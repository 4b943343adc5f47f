/* SPDX-License-Identifier: MIT */
/* Reading an ELF executable that nobody has checked. Pure C. */
#ifndef GUEST_ELF_H
#define GUEST_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ELF_MOST_SEGMENTS = 16 };

/* One PT_LOAD segment that is not empty. All of its file part lies in the image. */
struct elf_segment {
	uint64_t offset, file_size;    /* in the image */
	uint64_t address, memory_size; /* physical; the sum does not wrap */
	uint64_t virtual_address;
	unsigned header; /* the number of its program header, for messages */
};

struct elf_program {
	uint64_t entry; /* physical; in one of the segments, below 4 GiB */
	unsigned nr_segments;
	struct elf_segment segment[ELF_MOST_SEGMENTS];
};

/* Reads an ELF32 (i386) or ELF64 (x86-64) executable. False, and one sentence in `why`, if a header is broken. */
bool elf_read(const void *image, size_t size, struct elf_program *program, char *why, size_t why_size);

/*
 * Finds a note by its owner's name and its type (ELF, "Note Section"), and reads the number that it says, of 4 or 8
 * bytes, into *value. False: the image is no ELF file as above, or has no such note.
 */
bool elf_find_note(const void *image, size_t size, const char *owner, uint32_t type, uint64_t *value);

#endif
