/* SPDX-License-Identifier: MIT */
/*
 * The library in an ordinary process: hooks over one reserved piece of address space, with what a test wants to see and
 * to provoke. Host-physical address = virtual - start of the arena + 1 MiB, so the addresses look like a small
 * machine's. Pages handed out lie in the first GiB; hosted_memory() names addresses above, which are backed when
 * touched.
 */
#ifndef UNIT_HOSTED_H
#define UNIT_HOSTED_H

#include "mmu/vm.h"
#include <trapline.h>

enum { HOSTED_MAX_KICKS = 64 };

struct hosted {
	/* Pages handed out and not given back. */
	size_t pages_out;
	/* Allocations so far, failed ones included. */
	size_t allocations;
	/* The allocation with this number, counted from 1 at hosted_fail_at(), fails; 0: none. */
	size_t fail_at;
	bool fails_from_there_on;
	size_t failed;
	/* The CPUs kicked, in order, as many as fit; and how often. */
	unsigned kicked[HOSTED_MAX_KICKS];
	size_t nr_kicks;
	/* The same of notifications. */
	unsigned notified[HOSTED_MAX_KICKS];
	size_t nr_notifications;
	size_t nr_flushes;
	/* The arm_timer hook: whether there is a timer, and what it was armed with last. */
	bool has_timer;
	uint64_t armed;
	/* Called by the hooks if not NULL. */
	void (*on_alloc)(void);
	void (*on_kick)(unsigned cpu);
	void (*on_notify)(unsigned cpu);
	void (*on_flush)(struct tl_vm *vm);
};

extern struct hosted hosted;

/* The hook's, of posted interrupts. */
enum { HOSTED_NOTIFICATION = 0xe7 };

/* The number that the cpu_index hook gives the calling thread. */
extern _Thread_local unsigned hosted_cpu;

/*
 * Sets the hooks and a CPU of 39 bits, 1 GiB leaves, executable large leaves; forgets all that was recorded, but not
 * the pages that are out. A panic, a double free and a free of the wrong size end the process.
 */
void hosted_start(void);

/* From now on the `count`-th allocation fails, once; 0: none does. */
void hosted_fail_at(size_t count);

/* Whether the page is handed out now. */
bool hosted_is_out(const void *page);

/* The page at `offset` of the memory behind RAM ranges. `offset` 0 has a host-physical address that is a multiple of 1
 * GiB. */
uint8_t *hosted_memory(uint64_t offset);
enum { HOSTED_MEMORY_GIB = 6 };

/* A sequence of numbers, the same on every run. */
void random_seed(uint64_t seed);
uint64_t random_next(void);
/* From 0 to below - 1. */
uint64_t random_below(uint64_t below);

#endif
