/* SPDX-License-Identifier: MIT */
/*
 * The guest-physical memory map: one immutable snapshot. A vCPU takes the pointer to the current one once per exit
 * (rule 1) and uses that snapshot for all it does; writers make a new one (map_edit.c, map_commit.c).
 *
 * Ranges stand in slots that never move, so that an MMIO entry can name one: the slot's number is the range's id.
 * Beside the slots the places are sorted by address for the search.
 */
#ifndef MMU_MAP_H
#define MMU_MAP_H

#include "mmu/ept.h"
#include <trapline.h>

enum map_kind {
	MAP_FREE = 0,         /* a slot without a range */
	MAP_HOLE,             /* slot 0 */
	MAP_SHARED,           /* slot 1, MAP_SHARED_ID: "several ranges meet on this page, search the snapshot" */
	MAP_MMIO,             /* with a callback that takes every size: what the fast path serves */
	MAP_EMBEDDER,         /* the same without a callback */
	MAP_RING,             /* MMIO with a ring, and perhaps sizes: .options */
	MAP_SIZED,            /* MMIO with sizes: likewise */
	MAP_DOORBELL_DECODED, /* with matches or a shadow: .doorbell */
	MAP_DOORBELL_COUNT,   /* any access is counted, and nothing decoded: .doorbell */
	MAP_DOORBELL,         /* any access rings, in another way */
	MAP_FIRST_MEMORY,
	MAP_RAM = MAP_FIRST_MEMORY,
	MAP_ROM, /* with a callback: writes go to it */
	MAP_EXECUTE_ONLY,
	MAP_PASSTHROUGH, /* a device's memory: nothing of the guest's is looked for there */
	MAP_APIC,        /* the APIC-access page, of which the CPU serves what it can, and the callback the rest */
};

/* Flags of a range. */
enum { MAP_CLUSTERS = 1 << 0 /* accesses may be served without an exit of their own */ };

enum { MAP_HOLE_ID = TL_HOLE, MAP_SHARED_ID = 1, MAP_FIRST_ID = 2 };
#define MAP_NO_SLOT UINT32_MAX

/*
 * A range whose `fresh` is this has no fresh entry: no slot of the EPT ever holds it. (0 would not do: an entry that
 * was zapped after the exit is 0, and as an id that is the hole.)
 */
#define MAP_NO_SPTE (~0ull)

struct map_range {
	uint64_t start;    /* first byte; the hole: 0 */
	uint64_t last;     /* last byte; the hole: the last guest-physical address there can be */
	ept_entry_t fresh; /* the one value of an MMIO entry that is fresh for this range: id and tag in one compare */
	union {
		uint8_t *host;                         /* memory: where `start` is */
		const struct tl_mmio_options *options; /* MAP_RING, MAP_SIZED */
		const struct tl_doorbell *doorbell;    /* MAP_DOORBELL, MAP_DOORBELL_DECODED */
	};
	union {
		tl_mmio_fn access;     /* NULL: the embedder completes the access */
		_Atomic uint64_t *log; /* RAM: of its writes, or NULL (mmu/dirty.h) */
	};
	void *context;
	void (*release)(void *context);
	uint32_t id;
	uint8_t kind; /* enum map_kind */
	uint8_t flags;
	uint16_t reserved;
};

_Static_assert(sizeof(struct map_range) == 64, "a range is one cache line, found by a shift");

ALWAYS_INLINE bool map_is_memory(const struct map_range *range)
{
	return range->kind >= MAP_FIRST_MEMORY;
}

/* What the EPT allows in a kind of memory. */
ALWAYS_INLINE ept_entry_t map_rights(enum map_kind kind)
{
	switch (kind) {
	case MAP_RAM:
		return EPT_RWX;
	case MAP_ROM:
		return EPT_READ | EPT_EXECUTE;
	case MAP_PASSTHROUGH:
	case MAP_APIC:
		return EPT_READ | EPT_WRITE;
	default:
		return EPT_EXECUTE;
	}
}

/* MMIO with options that are looked at for each access. */
ALWAYS_INLINE bool map_has_options(const struct map_range *range)
{
	return range->kind == MAP_RING || range->kind == MAP_SIZED;
}

/* One for which nothing is decoded. */
ALWAYS_INLINE bool map_is_doorbell(const struct map_range *range)
{
	return range->kind >= MAP_DOORBELL_COUNT && range->kind <= MAP_DOORBELL;
}

/* Where a range begins, in the sorted order. Place 0 is the hole's, so that the search always ends somewhere. */
struct map_place {
	uint64_t start;
	uint32_t id;
	uint32_t reserved;
};

struct map {
	struct map_range *ranges; /* nr_slots of them, by id */
	struct map_place *places; /* nr_places of them, by address */
	uint32_t nr_slots;
	uint32_t nr_places;
	uint64_t generation;     /* of the commit that made it; all 64 bits, never used twice while stamping is on */
	uint64_t ram_generation; /* counts the changes of RAM and ROM ranges: key of whatever caches host pointers */
	uint32_t ram_hint;       /* id of the largest RAM range, or the hole's */
	bool stamping;           /* off during a wrap (rule 7): nothing is stamped and no entry counts as fresh */
	/* Below: the writers' own. */
	uint32_t capacity;      /* slots that fit, and as many places */
	uint32_t nr_pages;      /* of this allocation */
	uint32_t free_slot;     /* first of the free slots, linked through `start`; MAP_NO_SLOT ends the list */
	uint64_t retired_round; /* free again when every vCPU has announced this round */
	struct map *next;       /* in the list of retired or free maps */
};

/* The index of the last place that begins at or below `gpa`; place 0 at least. */
ALWAYS_INLINE uint32_t map_place_of(const struct map *map, gpa_t gpa)
{
	const struct map_place *place = map->places;
	uint32_t n = map->nr_places;

	while (n > 1) {
		uint32_t half = n / 2;

		place = place[half].start <= gpa ? place + half : place;
		n -= half;
	}
	return (uint32_t)(place - map->places);
}

/* The range that holds `gpa`, the hole if none does. Concurrency: none needed, the snapshot is immutable. */
const struct map_range *map_find(const struct map *map, gpa_t gpa);

/* The same, with the bounds of what it holds around `gpa` without a gap: a range's own, or the hole's between ranges.
 */
const struct map_range *map_find_extent(const struct map *map, gpa_t gpa, gpa_t *first, gpa_t *last);

COLD uint8_t *map_host_search(const struct map *map, gpa_t gpa);

/* The same of execute-only memory, for fetches alone. */
COLD const uint8_t *map_host_execute_only(const struct map *map, gpa_t gpa);

/* The byte of host memory behind `gpa` in RAM or ROM; NULL elsewhere. Good for all of its page. */
ALWAYS_INLINE uint8_t *map_host(const struct map *map, gpa_t gpa)
{
	const struct map_range *ram = &map->ranges[map->ram_hint];

	if (likely(gpa - ram->start <= ram->last - ram->start) && likely(ram->kind == MAP_RAM))
		return ram->host + (gpa - ram->start);
	return map_host_search(map, gpa);
}

#endif
