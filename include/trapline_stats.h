/* SPDX-License-Identifier: MIT */
/* What a VM has counted. Included by trapline.h. */
#ifndef TRAPLINE_STATS_H
#define TRAPLINE_STATS_H

#include <stdint.h>

struct tl_vm;

/* Counts since creation. fresh + stale is the number of accesses to MMIO ranges and the hole, if none was split. */
struct tl_stats {
	uint64_t fresh;   /* verdict EMULATE: served by the entry's tag */
	uint64_t stale;   /* verdict INVALID, or the first access to a page: served by a search of the map */
	uint64_t retried; /* verdict RETRY */
	uint64_t bugs;    /* verdict BUG */
	uint64_t hole_reads, hole_writes, rom_writes;
	uint64_t coalesced;     /* writes that went into a ring */
	uint64_t clustered;     /* accesses served without an exit of their own, after one that had one */
	uint64_t refused_sizes; /* bytes of accesses that no size of the device's fits */
	uint64_t exits;         /* all VM exits */
	uint64_t commits, invalidations, wraps, zapped; /* of the VM */
	uint64_t generation;                            /* of the published map, all 64 bits */
	uint64_t ept_pages, live_mmio_entries;
	uint64_t ept_pages_freed; /* before the VM's end: what they held was gone, or could be found again */
};

/* Context: host. A vCPU that runs meanwhile may be counted a little late. live_mmio_entries walks the tables. */
void tl_stats(struct tl_vm *vm, struct tl_stats *stats);

/* The same but for live_mmio_entries, which are 0: nothing is walked, so that no guest waits for it. Context: host. */
void tl_stats_without_walk(struct tl_vm *vm, struct tl_stats *stats);

#endif
