/* SPDX-License-Identifier: MIT */
#include "mmio/ring.h"
#include "mmu/hooks.h"

/* What a drainer has seen of the lanes. */
struct look {
	uint64_t tail[TL_MAX_CPUS];
	uint64_t first[TL_MAX_CPUS], second[TL_MAX_CPUS]; /* heads */
};

struct tl_ring *tl_ring_create(unsigned cpus, unsigned entries)
{
	size_t size = sizeof(struct tl_ring) + 128, pages;
	struct tl_coalesced *entry;
	struct tl_ring *ring;

	if (cpus == 0 || cpus > TL_MAX_CPUS || entries < 2 || entries > 65536 || entries & (entries - 1))
		return NULL;
	size += cpus * (sizeof(struct ring_lane) + entries * sizeof(struct tl_coalesced));
	pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
	ring = hooks->alloc_pages(pages);
	if (!ring)
		return NULL;
	ring->lanes = (struct ring_lane *)(void *)((uint8_t *)ring + 128);
	ring->nr_lanes = cpus;
	ring->mask = entries - 1;
	ring->nr_pages = pages;
	entry = (struct tl_coalesced *)(void *)(ring->lanes + cpus);
	for (unsigned i = 0; i < cpus; i++)
		ring->lanes[i].entries = entry + i * entries;
	return ring;
}

void tl_ring_destroy(struct tl_ring *ring)
{
	hooks->free_pages(ring, ring->nr_pages);
}

bool ring_is_empty(const struct tl_ring *ring)
{
	for (unsigned i = 0; i < ring->nr_lanes; i++) {
		const struct ring_lane *lane = &ring->lanes[i];

		/* acquire: what was put in; and what the drainer has done with it, who counts a write as taken when
		 * it has been served. */
		if (atomic_load_explicit(&lane->head, memory_order_acquire) !=
		    atomic_load_explicit(&lane->tail, memory_order_acquire))
			return false;
	}
	return true;
}

/* acquire: the entries below the head are whole; and each look comes after the one before. */
static void look_at_heads(const struct tl_ring *ring, uint64_t heads[TL_MAX_CPUS])
{
	for (unsigned i = 0; i < ring->nr_lanes; i++)
		heads[i] = atomic_load_explicit(&ring->lanes[i].head, memory_order_acquire);
}

static void look_at_lanes(const struct tl_ring *ring, struct look *look)
{
	for (unsigned i = 0; i < ring->nr_lanes; i++)
		/* relaxed: only a drainer stores it, and there is one at a time. */
		look->tail[i] = atomic_load_explicit(&ring->lanes[i].tail, memory_order_relaxed);
	look_at_heads(ring, look->first);
	look_at_heads(ring, look->second);
}

static const struct tl_coalesced *entry_at(const struct tl_ring *ring, unsigned lane, uint64_t at)
{
	return &ring->lanes[lane].entries[at & ring->mask];
}

/* The lane of the next write to be taken; nr_lanes: none, by what was seen. */
static unsigned next_lane(const struct tl_ring *ring, const struct look *look)
{
	unsigned next = ring->nr_lanes;
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < ring->nr_lanes; i++) {
		uint64_t tail = look->tail[i];

		if (tail == look->second[i] || entry_at(ring, i, tail)->tsc >= oldest)
			continue;
		oldest = entry_at(ring, i, tail)->tsc;
		/* Seen the second time only: what came before it may not have been seen. */
		next = tail < look->first[i] ? i : ring->nr_lanes;
	}
	return next;
}

static size_t take(struct tl_ring *ring, struct tl_coalesced *writes, size_t count)
{
	struct look look;
	size_t taken = 0;

	while (taken < count) {
		size_t before = taken;
		unsigned lane;

		look_at_lanes(ring, &look);
		while (taken < count && (lane = next_lane(ring, &look)) < ring->nr_lanes) {
			writes[taken++] = *entry_at(ring, lane, look.tail[lane]++);
			/* release: the entry was read before its place is filled again. */
			atomic_store_explicit(&ring->lanes[lane].tail, look.tail[lane], memory_order_release);
		}
		if (taken == before)
			break;
	}
	return taken;
}

size_t tl_ring_take(struct tl_ring *ring, struct tl_coalesced *writes, size_t count)
{
	size_t taken;

	/* acquire, release: the last drainer's look at the lanes. */
	if (atomic_flag_test_and_set_explicit(&ring->draining, memory_order_acquire))
		return 0;
	taken = take(ring, writes, count);
	atomic_flag_clear_explicit(&ring->draining, memory_order_release);
	return taken;
}

static enum tl_status serve(const struct map_range *range, const struct tl_coalesced *write, struct tl_mmio *access)
{
	access->gpa = range->start + write->offset;
	access->offset = write->offset;
	access->data = write->data;
	access->size = write->size;
	access->write = true;
	access->context = range->context;
	return range->access(access);
}

/* Serves the next write, and only then counts it as taken: who finds the ring empty relies on that. */
static enum tl_status serve_next(struct tl_ring *ring, const struct map_range *range, struct tl_mmio *access)
{
	enum tl_status status;
	struct look look;
	unsigned lane;

	look_at_lanes(ring, &look);
	lane = next_lane(ring, &look);
	if (lane == ring->nr_lanes)
		return TL_OK;
	status = serve(range, entry_at(ring, lane, look.tail[lane]), access);
	/* release: the entry was read, and the callback has returned. */
	atomic_store_explicit(&ring->lanes[lane].tail, look.tail[lane] + 1, memory_order_release);
	return status;
}

/* Whether everything below `heads` has been taken. */
static bool is_drained(const struct tl_ring *ring, const uint64_t heads[TL_MAX_CPUS])
{
	for (unsigned i = 0; i < ring->nr_lanes; i++)
		if (atomic_load_explicit(&ring->lanes[i].tail, memory_order_relaxed) < heads[i])
			return false;
	return true;
}

enum tl_status ring_drain(struct tl_ring *ring, const struct map_range *range, struct tl_mmio *access)
{
	enum tl_status status = TL_OK;
	uint64_t heads[TL_MAX_CPUS];

	look_at_heads(ring, heads);
	while (atomic_flag_test_and_set_explicit(&ring->draining, memory_order_acquire))
		__builtin_ia32_pause();
	while (status == TL_OK && !is_drained(ring, heads))
		/* One at a time: a callback's error leaves the others where they are. */
		status = serve_next(ring, range, access);
	atomic_flag_clear_explicit(&ring->draining, memory_order_release);
	return status;
}
