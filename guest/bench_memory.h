/* SPDX-License-Identifier: MIT */
/* A range of up to 1 GiB of RAM, the log of which is measured. It is in the map only while that goes on. */
#ifndef GUEST_BENCH_MEMORY_H
#define GUEST_BENCH_MEMORY_H

#include <stdint.h>
#include <trapline.h>

struct platform;

struct bench_memory {
	void *block; /* what was allocated; NULL: nothing */
	uint64_t *log, *pages;
	uint64_t size;
	tl_range_id id;
};

/* HC_TIME_MEMORY: the four arguments as the guest gave them. Context: host. */
uint64_t bench_time_memory(struct platform *platform, const uint64_t argument[4]);

/* Frees it. Precondition: its VM is gone, or its range. */
void bench_memory_destroy(struct platform *platform);

#endif
