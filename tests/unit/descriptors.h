/* SPDX-License-Identifier: MIT */
/* Descriptors of the engine's guest. */
#ifndef UNIT_DESCRIPTORS_H
#define UNIT_DESCRIPTORS_H

#include "tests/unit/engine_guest.h"

/* Access rights, as the VMCS has them. */
enum {
	TYPE_ACCESSED = 1,
	TYPE_WRITABLE = 2, /* of code: readable */
	TYPE_CONFORMING = 4,
	TYPE_CODE = 8,
	NO_SYSTEM = 1 << 4,
	PRESENT = 1 << 7,
	LONG_CODE = 1 << 13,
	BIG = 1 << 14,
	GRANULAR = 1 << 15,
	UNUSABLE = 1 << 16,
};

static inline uint32_t with_dpl(uint32_t rights, unsigned dpl)
{
	return rights | dpl << 5;
}

/* A segment's, of 20 bits of limit; and the first half of a system segment's. */
static inline uint64_t descriptor_of(uint32_t base, uint32_t limit, uint32_t rights)
{
	return (uint64_t)rights << 40 | (limit & 0xffff) | (uint64_t)(limit >> 16 & 15) << 48 |
	       (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
}

#endif
