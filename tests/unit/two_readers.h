/* SPDX-License-Identifier: MIT */
/*
 * The fixture's VM with two readers: `self` runs on CPU 0, where the tests commit, `other` on CPU 1. What `other` does
 * while a writer waits for it is played by the kick hook.
 */
#ifndef UNIT_TWO_READERS_H
#define UNIT_TWO_READERS_H

#include "mmu/grace.h"
#include "mmu/map.h"
#include <trapline.h>

extern struct grace_reader self, other;

/* How often the release hooks of device_at() and memory_at() have been called. */
extern unsigned nr_released;

/* For cmocka. The VM's tags have 3 bits. A test may leave neither reader in its run, nor a commit to complete. */
int two_readers_setup(void **context);
int two_readers_teardown(void **context);

/* One page. */
struct tl_range device_at(uint64_t start);
struct tl_range memory_at(uint64_t start, uint64_t size);

ept_entry_t entry_at(gpa_t gpa);

/* An access under `map`, the present one or an older. */
void touch_under(const struct map *map, gpa_t gpa);

#endif
