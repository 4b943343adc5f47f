/* SPDX-License-Identifier: MIT */
/* What each processor of the host has to itself: its number, segments, task state, stacks, and the work it is given. */
#ifndef BOOT_HOST_CPU_H
#define BOOT_HOST_CPU_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

#include "boot/stack.h"

/* SDM vol. 3, 8.7, figure 8-11. */
struct host_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

_Static_assert(sizeof(struct host_tss) == 104 && offsetof(struct host_tss, ist) == 36,
	       "the TSS as SDM figure 8-11 has it");

enum host_cpu_state {
	HOST_CPU_ABSENT,
	HOST_CPU_STARTING,
	HOST_CPU_IDLE_OR_WORKING,
	HOST_CPU_REFUSED, /* tl_cpu_up() failed on it: host_cpu.status */
};

struct host_cpu {
	/* First: GS's base points here, and host_cpu_index() reads it. */
	unsigned index;
	uint32_t apic_id;
	enum tl_status status; /* of its tl_cpu_up() */
	_Atomic enum host_cpu_state state;
	/* A job for it, NULL while it has none; `context` is written first. */
	void (*_Atomic work)(void *context);
	void *context;
	uint64_t alarm; /* the TSC at which the library wants an interrupt; 0: it does not */
	uint64_t gdt[5] __attribute__((aligned(16)));
	struct host_tss tss;
	struct host_stack stacks[HOST_STACKS];
} __attribute__((aligned(64))); /* no two CPUs share a cache line */

_Static_assert(offsetof(struct host_cpu, index) == 0, "host_cpu_index() reads GS:0");

/* [0] is the one that the loader started. */
extern struct host_cpu host_cpus[TL_MAX_CPUS];

/* The calling CPU's number. Precondition: gdt_init() ran on it. */
static inline unsigned host_cpu_index(void)
{
	unsigned index;

	__asm__ volatile("movl %%gs:0, %0" : "=r"(index));
	return index;
}

#endif
