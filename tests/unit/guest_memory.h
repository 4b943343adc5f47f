/* SPDX-License-Identifier: MIT */
/* A guest's memory and the names of what stands in its page tables, for the tests of what walks them. */
#ifndef UNIT_GUEST_MEMORY_H
#define UNIT_GUEST_MEMORY_H

#include "mmu/guest_walk.h"
#include "tests/unit/hosted.h"

/* 64 pages of RAM at 0, a page of ROM, of a device, of execute-only memory; everything else is a hole. */
enum { RAM_SIZE = 64 * 4096, ROM_AT = 0x100000, MMIO_AT = 0x200000, EXECUTE_ONLY_AT = 0x280000, HOLE_AT = 0x300000 };

/* Entries. */
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, ALL = P | W | U };
#define NX     BIT(63)
#define KEY(n) ((uint64_t)(n) << 59)

/* CR0, CR4, EFER. */
#define WP   BIT(16)
#define PG   BIT(31)
#define PSE  BIT(4)
#define PAE  BIT(5)
#define LA57 BIT(12)
#define SMEP BIT(20)
#define SMAP BIT(21)
#define PKE  BIT(22)
#define PKS  BIT(24)
#define LMA  BIT(10)
#define NXE  BIT(11)

extern uint8_t *ram, *rom, *executed;

/* The map of that guest. */
const struct map *guest_map(void);

/* Group set-up and tear-down. */
int guest_memory_start(void **context);
int guest_memory_stop(void **context);

#endif
