/* SPDX-License-Identifier: MIT */
/* The three trace events of 2013, in a ring per CPU. Off, an event costs one load and one predictable branch. */
#ifndef MMU_TRACE_H
#define MMU_TRACE_H

#include "mmu/map.h"
#include "mmu/vm.h"

enum { TRACE_RING_RECORDS = 4096 / sizeof(struct tl_trace_record) * 4 };

extern _Atomic uint32_t trace_events;   /* mask of 1 << enum tl_trace_event */
extern _Atomic uint64_t trace_switches; /* how often that was changed */

ALWAYS_INLINE bool trace_is_on(enum tl_trace_event event)
{
	/* relaxed: a record more or less around the switch does not matter. */
	return unlikely(atomic_load_explicit(&trace_events, memory_order_relaxed) & BIT(event));
}

/* Writes a record into the calling CPU's ring, over the oldest if it is full. Context: interrupts off. */
COLD void trace_record(enum tl_trace_event event, const struct map *map, gpa_t gpa, ept_entry_t entry,
		       uint32_t verdict);

ALWAYS_INLINE void trace_mark_mmio_spte(const struct map *map, gpa_t gpa, ept_entry_t entry)
{
	if (trace_is_on(TL_TRACE_MARK_MMIO_SPTE))
		trace_record(TL_TRACE_MARK_MMIO_SPTE, map, gpa, entry, 0);
}

#endif
