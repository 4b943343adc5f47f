/* SPDX-License-Identifier: MIT */
/* What a vCPU counts of its exits. Only the vCPU itself adds to it; tl_stats() reads it meanwhile. */
#ifndef MMU_STATS_H
#define MMU_STATS_H

#include "mmu/types.h"
#include <stdatomic.h>

/* The fields of struct tl_stats that have these names. */
struct vcpu_stats {
	_Atomic uint64_t fresh, stale, retried, bugs;
	_Atomic uint64_t hole_reads, hole_writes, rom_writes;
	_Atomic uint64_t coalesced, clustered, refused_sizes, exits;
};

/* relaxed: a count, it orders nothing. */
ALWAYS_INLINE uint64_t stats_read(const _Atomic uint64_t *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

/* No read-modify-write: nobody else writes there. */
ALWAYS_INLINE void stats_add(_Atomic uint64_t *count, uint64_t more)
{
	atomic_store_explicit(count, stats_read(count) + more, memory_order_relaxed);
}

#endif
