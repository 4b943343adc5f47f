/* SPDX-License-Identifier: MIT */
/* The state in which a guest's processor starts. Pure C. */
#ifndef GUEST_STATE_H
#define GUEST_STATE_H

#include <stdint.h>
#include <trapline.h>

enum state_mode {
	STATE_REAL,      /* 16 bits, from CS:IP */
	STATE_PROTECTED, /* 32 bits, flat segments, no paging */
	STATE_LONG,      /* 64 bits, flat, paging on */
};

/*
 * Fills *state for a start at `entry`: below 1 MiB in real mode, below 4 GiB in protected mode. `cr3` is the
 * physical address of the page tables in long mode. General registers are 0.
 */
void state_start(struct tl_state *state, enum state_mode mode, uint64_t entry, uint64_t cr3);

/* The machine state of Multiboot 1, 3.2, or Multiboot 2, 3.3; `info` is where the information lies. */
void state_multiboot(struct tl_state *state, unsigned multiboot, uint32_t entry, uint32_t info);

#endif
