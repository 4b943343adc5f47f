/* SPDX-License-Identifier: MIT */
#include "mmu/trace.h"
#include "mmu/hooks.h"

_Atomic uint32_t trace_events;
_Atomic uint64_t trace_switches;

/* Written and read by its own CPU only, so plain stores do. */
struct trace_ring {
	struct tl_trace_record *records; /* allocated when the first event is recorded */
	uint64_t head;                   /* records ever written */
	uint64_t tail;                   /* records ever read or lost */
};

static struct trace_ring ring[TL_MAX_CPUS];

/* 0 while nothing is stamped. */
static uint32_t map_tag(const struct map_range *range)
{
	return range->fresh == MAP_NO_SPTE ? 0 : mmio_spte_tag(range->fresh);
}

void trace_record(enum tl_trace_event event, const struct map *map, gpa_t gpa, ept_entry_t entry, uint32_t verdict)
{
	struct trace_ring *r = &ring[hooks->cpu_index()];
	/* Where the entry is no MMIO entry it names no range and has no tag. */
	bool mmio = is_mmio_spte(entry);
	uint32_t id = mmio ? mmio_spte_id(entry) : 0;

	if (!r->records) {
		r->records = hooks->alloc_pages((TRACE_RING_RECORDS * sizeof(*r->records) + PAGE_SIZE - 1) / PAGE_SIZE);
		if (!r->records)
			return;
	}
	r->records[r->head++ % TRACE_RING_RECORDS] = (struct tl_trace_record){
		.tsc = __builtin_ia32_rdtsc(),
		.event = event,
		.verdict = verdict,
		.gpa = gpa,
		.spte = entry,
		.spte_tag = mmio ? mmio_spte_tag(entry) : 0,
		.map_tag = mmio && id < map->nr_slots ? map_tag(&map->ranges[id]) : 0,
		.range = id,
	};
}

void tl_trace_enable(uint32_t events)
{
	atomic_store_explicit(&trace_events, events, memory_order_relaxed);
	atomic_fetch_add_explicit(&trace_switches, 1, memory_order_relaxed);
}

size_t tl_trace_read(unsigned cpu, struct tl_trace_record *records, size_t count, uint64_t *lost)
{
	struct trace_ring *r = &ring[cpu];
	size_t taken = 0;

	*lost = 0;
	if (r->head - r->tail > TRACE_RING_RECORDS) {
		*lost = r->head - r->tail - TRACE_RING_RECORDS;
		r->tail = r->head - TRACE_RING_RECORDS;
	}
	while (taken < count && r->tail < r->head)
		records[taken++] = r->records[r->tail++ % TRACE_RING_RECORDS];
	return taken;
}
