/* SPDX-License-Identifier: MIT */
/* CPUs that write to the memory of the fixture's VM, and cache that they may until they flush. */
#ifndef UNIT_WRITE_TLB_H
#define UNIT_WRITE_TLB_H

#include "mmu/ept.h"
#include <trapline.h>

/* Where the CPU's walk ends: address, and the rights of all entries on the way together. SDM vol. 3, 29.3.2. */
ept_entry_t write_tlb_walk(gpa_t gpa, unsigned *level);

/* Empties the TLB of the calling thread's CPU: a flush hook. */
void flush_write_tlb(struct tl_vm *of);

/* Whether the calling thread's CPU, the number of which is small, writes without an exit. */
bool may_write(gpa_t gpa);

#endif
