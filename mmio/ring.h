/* SPDX-License-Identifier: MIT */
/*
 * A ring of coalesced writes: a lane for each CPU, filled by that CPU alone with plain stores, and one drainer at a
 * time, which merges the lanes.
 *
 * The order. If one write happens before another (the same CPU, or the guest's own synchronisation), its time stamp is
 * smaller, and it is in its lane before the other is in its own. The drainer looks at all lanes twice. What it saw the
 * first time it takes in the order of the stamps, but stops where something that it saw only the second time is older:
 * so whatever happened before a write that is taken was seen, and is taken before it.
 */
#ifndef MMIO_RING_H
#define MMIO_RING_H

#include "mmu/map.h"
#include <stdatomic.h>

struct ring_lane {
	_Atomic uint64_t head; /* writes put in; stored by the lane's CPU */
	uint64_t seen_tail;    /* that CPU's last look at `tail` */
	struct tl_coalesced *entries;
	uint64_t padding[5];
	_Atomic uint64_t tail; /* writes taken out; stored by the drainer */
	uint64_t more_padding[7];
};

_Static_assert(sizeof(struct ring_lane) == 128, "a lane's two sides are two cache lines");

struct tl_ring {
	struct ring_lane *lanes;
	uint32_t nr_lanes;
	uint32_t mask; /* entries of a lane - 1 */
	size_t nr_pages;
	atomic_flag draining;
};

/* Notes a write; false: the lane of this CPU is full, or it has none. No atomic read-modify-write, no fence. */
ALWAYS_INLINE bool ring_put(struct tl_ring *ring, unsigned cpu, uint64_t offset, uint64_t data, unsigned size)
{
	struct ring_lane *lane = &ring->lanes[cpu];
	struct tl_coalesced *entry;
	uint64_t head;

	if (unlikely(cpu >= ring->nr_lanes))
		return false;
	/* relaxed: our own. */
	head = atomic_load_explicit(&lane->head, memory_order_relaxed);
	if (unlikely(head - lane->seen_tail > ring->mask)) {
		/* acquire: the drainer has read the entry that we fill again. */
		lane->seen_tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
		if (head - lane->seen_tail > ring->mask)
			return false;
	}
	entry = &lane->entries[head & ring->mask];
	entry->tsc = __builtin_ia32_rdtsc();
	entry->offset = offset;
	entry->data = data;
	entry->size = size;
	entry->cpu = cpu;
	/* release: the entry is whole before it can be taken. */
	atomic_store_explicit(&lane->head, head + 1, memory_order_release);
	return true;
}

/* Whether nothing is in it, of what this CPU or those it has synchronised with have put there. */
bool ring_is_empty(const struct tl_ring *ring);

/*
 * Serves everything that was in the ring when it was called through the callback of `range`. Waits for a drainer on
 * another CPU, which is in that callback. Afterwards a read may follow. An error is the callback's.
 */
enum tl_status ring_drain(struct tl_ring *ring, const struct map_range *range, struct tl_mmio *access);

#endif
