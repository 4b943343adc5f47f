/* SPDX-License-Identifier: MIT */
/*
 * CPUs that write to the memory of the fixture's VM, and cache that they may until they flush. Where the VM has it so
 * they set the dirty flag of what they write, by an atomic update of the entry, and note the page (SDM vol. 3, 29.3.5,
 * 29.3.6); what is cached as dirty already they do neither for.
 */
#ifndef UNIT_WRITE_TLB_H
#define UNIT_WRITE_TLB_H

#include "mmu/ept.h"
#include <trapline.h>

/* Where the CPU's walk ends: address, and the rights of all entries on the way together. SDM vol. 3, 29.3.2. */
ept_entry_t write_tlb_walk(gpa_t gpa, unsigned *level);

/*
 * Empties the TLB of the calling thread's CPU, and has it set flags or not from now on, as its vCPU does after a flush:
 * a flush hook.
 */
void flush_write_tlb(struct tl_vm *of);

/* Whether the calling thread's CPU, the number of which is small, writes without an exit. Then it has written. */
bool may_write(gpa_t gpa);

/* What its vCPU does with the buffer before it announces a round, and when it leaves. */
void drain_write_log(void);

/* How often a CPU's buffer was full. */
extern _Atomic unsigned write_log_full;

#endif
