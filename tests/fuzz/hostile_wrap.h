/* SPDX-License-Identifier: MIT */
#ifndef FUZZ_HOSTILE_WRAP_H
#define FUZZ_HOSTILE_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Accesses to these bytes are told to hostile_accessed(); size 0: none. */
struct hostile_watched {
	uintptr_t start;
	size_t size;
};

extern struct hostile_watched hostile_watched;

/* Called before the access at `at`. */
void hostile_accessed(uintptr_t at, bool store);

#endif
