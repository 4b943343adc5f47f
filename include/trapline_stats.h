/* SPDX-License-Identifier: MIT */
/* What a VM has counted, and the trace of its CPUs. Included by trapline.h. */
#ifndef TRAPLINE_STATS_H
#define TRAPLINE_STATS_H

#include <stddef.h>
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

enum tl_trace_event { TL_TRACE_MARK_MMIO_SPTE, TL_TRACE_CHECK_MMIO_SPTE, TL_TRACE_HANDLE_MMIO_PAGE_FAULT };

/* One record of a per-CPU ring. */
struct tl_trace_record {
	uint64_t tsc;
	uint32_t event;   /* enum tl_trace_event */
	uint32_t verdict; /* check: enum verdict, 0 is EMULATE (valid) */
	uint64_t gpa;
	uint64_t spte;
	uint32_t spte_tag; /* the tag in the entry */
	uint32_t map_tag;  /* the tag of that range in the map */
	uint32_t range;
	uint32_t reserved;
};

/* Turns events on (a mask of 1 << enum tl_trace_event) for all CPUs, 0 turns all off. A vCPU that runs meanwhile
 * may trace CHECK_MMIO_SPTE only from its next tl_vcpu_run() on. Context: host. */
void tl_trace_enable(uint32_t events);
/* Takes up to `count` records of `cpu`, oldest first, and returns how many; *lost counts the overwritten ones.
 * Precondition: called on that CPU. Context: host. */
size_t tl_trace_read(unsigned cpu, struct tl_trace_record *records, size_t count, uint64_t *lost);

#endif
