/* SPDX-License-Identifier: MIT */
#include "mmu/trace.h"
#include "mmu/hooks.h"
#include "mmu/running.h"

const char *const tl_trace_event_names[] = {
	[TL_TRACE_EXIT] = "exit",
	[TL_TRACE_ENTRY] = "entry",
	[TL_TRACE_MARK_MMIO_SPTE] = "mark_mmio_spte",
	[TL_TRACE_CHECK_MMIO_SPTE] = "check_mmio_spte",
	[TL_TRACE_HANDLE_MMIO_PAGE_FAULT] = "handle_mmio_page_fault",
	[TL_TRACE_MMIO] = "mmio",
	[TL_TRACE_COMMIT] = "commit",
	[TL_TRACE_GRACE] = "grace",
	[TL_TRACE_ZAP] = "zap",
	[TL_TRACE_FLUSH] = "flush",
	[TL_TRACE_KICK] = "kick",
	[TL_NR_TRACE_EVENTS] = NULL,
};

_Atomic uint32_t trace_events;
_Atomic uint64_t trace_switches;

_Atomic uint64_t trace_first, trace_last;
static _Atomic bool trace_leaves; /* a vCPU leaves for its records to be taken */

enum { RECORDS = TL_TRACE_RING_RECORDS, RING_PAGES = RECORDS * sizeof(struct tl_trace_record) / PAGE_SIZE };

#define OF_ADDRESS                                                                                             \
	(BIT(TL_TRACE_MARK_MMIO_SPTE) | BIT(TL_TRACE_CHECK_MMIO_SPTE) | BIT(TL_TRACE_HANDLE_MMIO_PAGE_FAULT) | \
	 BIT(TL_TRACE_MMIO))

struct trace_ring trace_rings[TL_MAX_CPUS];

/* Has the vCPU look before its next entry, as a kick does. It runs on this CPU, so its own words may be written. */
static void leave_soon(struct grace_reader *reader)
{
	atomic_store_explicit(&reader->kicked, 1, memory_order_relaxed);
	reader->entry_round = GRACE_ATTENTION;
}

static void count_lost(struct trace_ring *ring)
{
	uint64_t lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);

	/* relaxed: a count, which only this CPU changes. */
	atomic_store_explicit(&ring->lost, lost + 1, memory_order_relaxed);
}

bool trace_make_ready(unsigned cpu, struct grace_reader *reader)
{
	struct trace_ring *ring = &trace_rings[cpu];
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	/* acquire: the reader has copied what is overwritten from now on. */
	uint64_t used = head - atomic_load_explicit(&ring->tail, memory_order_acquire);
	uint64_t room, to_the_end = RECORDS - head % RECORDS;

	if (!ring->records)
		ring->records = page_alloc(RING_PAGES);
	if (!ring->records || used >= RECORDS) {
		count_lost(ring);
		return false;
	}
	room = used < RECORDS / 2 ? RECORDS / 2 - used : RECORDS - used;
	if (used >= RECORDS / 2 && atomic_load_explicit(&trace_leaves, memory_order_relaxed)) {
		/* Without a vCPU that could leave, the next record looks again. */
		if (reader)
			leave_soon(reader);
		else
			room = 1;
	}
	ring->next = &ring->records[head % RECORDS];
	ring->stop = ring->next + (room < to_the_end ? room : to_the_end);
	return true;
}

void trace_record(const struct tl_trace_record *what)
{
	unsigned cpu = hooks->cpu_index();
	struct grace_reader *reader = grace_current_reader[cpu];

	if (BIT(what->event) & OF_ADDRESS && trace_leaves_out(what->gpa))
		return;
	if (trace_is_ready(cpu) || trace_make_ready(cpu, reader))
		trace_write(cpu, reader ? reader->number : 0, *what);
}

void trace_spte(enum tl_trace_event event, const struct map *map, gpa_t gpa, ept_entry_t entry, unsigned detail)
{
	/* Where the entry is no MMIO entry it names no range. */
	uint32_t id = is_mmio_spte(entry) ? mmio_spte_id(entry) : 0;

	trace_record(&(struct tl_trace_record){
		.event = (uint8_t)event,
		.detail = (uint8_t)detail,
		.gpa = gpa,
		.data = entry,
		.range = id,
		.other = is_mmio_spte(entry) && id < map->nr_slots ? map->ranges[id].fresh : 0,
	});
}

void trace_numbers(enum tl_trace_event event, uint64_t gpa, uint64_t data)
{
	trace_record(&(struct tl_trace_record){.event = (uint8_t)event, .gpa = gpa, .data = data});
}

void trace_access(enum tl_trace_access how, const struct map_range *range, gpa_t gpa, unsigned size, uint64_t data,
		  uint64_t begin)
{
	trace_record(&(struct tl_trace_record){
		.event = TL_TRACE_MMIO,
		.detail = (uint8_t)how,
		.size = (uint8_t)size,
		.gpa = gpa,
		.data = data,
		.other = begin,
		.range = range->id,
	});
}

void trace_commit(const struct map *map)
{
	trace_record(&(struct tl_trace_record){
		.event = TL_TRACE_COMMIT,
		.data = map->generation,
		.range = map->nr_places,
	});
}

static void switch_to(uint32_t events)
{
	atomic_store_explicit(&trace_events, events, memory_order_relaxed);
	/* release: who sees the switch sees what was switched (vmx/run.c). */
	atomic_fetch_add_explicit(&trace_switches, 1, memory_order_release);
}

enum tl_status tl_trace_start(const struct tl_trace_config *config)
{
	if (config->events >> TL_NR_TRACE_EVENTS || config->first > config->last)
		return TL_INVALID_ARGUMENT;
	atomic_store_explicit(&trace_first, config->first, memory_order_relaxed);
	atomic_store_explicit(&trace_last, config->last, memory_order_relaxed);
	atomic_store_explicit(&trace_leaves, config->leaves_at_half, memory_order_relaxed);
	switch_to(config->events);
	return TL_OK;
}

void tl_trace_stop(void)
{
	switch_to(0);
}

size_t tl_trace_read(unsigned cpu, struct tl_trace_record *records, size_t count, uint64_t *lost)
{
	struct trace_ring *ring = &trace_rings[cpu];
	/* acquire: the records are whole. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t all_lost = atomic_load_explicit(&ring->lost, memory_order_relaxed);
	size_t taken = 0;

	*lost = all_lost - ring->told;
	ring->told = all_lost;
	for (; taken < count && tail + taken < head; taken++)
		records[taken] = ring->records[(tail + taken) % RECORDS];
	/* release: they are copied before their room is free. */
	atomic_store_explicit(&ring->tail, tail + taken, memory_order_release);
	return taken;
}

void tl_trace_release(void)
{
	for (unsigned cpu = 0; cpu < TL_MAX_CPUS; cpu++) {
		page_free(trace_rings[cpu].records, RING_PAGES);
		trace_rings[cpu] = (struct trace_ring){0};
	}
}
