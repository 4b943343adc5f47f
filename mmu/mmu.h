/* SPDX-License-Identifier: MIT */
/* Which range is this page? The check of an MMIO entry, and the search that makes one. */
#ifndef MMU_MMU_H
#define MMU_MMU_H

#include "mmu/ept_table.h"
#include "mmu/map.h"
#include "mmu/vm.h"

/* What a check of the entry behind an EPT misconfiguration says: the four words of 2013. */
enum mmio_verdict {
	MMIO_EMULATE, /* fresh: the entry names the range */
	MMIO_INVALID, /* stale: search the map */
	MMIO_RETRY,   /* no MMIO entry any more, somebody changed it: run the guest again */
	MMIO_BUG,     /* misconfigured, and not by us */
};

/*
 * The check: the range that the entry names must be fresh under exactly this entry, which compares the marks, the id
 * and the tag at once. On MMIO_EMULATE the range is in *range (MAP_SHARED: several, search). Otherwise the verdict
 * is MMIO_INVALID here; mmu_examine() refines it. Concurrency: lockless, the map is a snapshot.
 */
ALWAYS_INLINE enum mmio_verdict check_mmio_spte(const struct map *map, ept_entry_t entry,
						const struct map_range **range)
{
	uint32_t id = mmio_spte_id(entry);

	if (unlikely(id >= map->nr_slots))
		return MMIO_INVALID;
	*range = &map->ranges[id];
	return likely((*range)->fresh == entry) ? MMIO_EMULATE : MMIO_INVALID;
}

/* The verdict on a walk's end, all four words. */
enum mmio_verdict mmu_examine(const struct map *map, const struct ept_walk *walk, const struct map_range **range);

enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH };

enum mmu_fault {
	MMU_SERVE,     /* MMIO, the hole, or a write to ROM: *range serves the access */
	MMU_MAPPED,    /* memory: the entry is there now, run the guest again */
	MMU_SPURIOUS,  /* memory, and the entry was right already: run the guest again, once */
	MMU_NO_MEMORY, /* no page for a table */
	MMU_CORRUPT,   /* a malformed entry is in the way: walk->entry */
};

/*
 * Serves a fault at `gpa`: searches the map and, if it stamps, leaves what it found in the EPT as an entry as large as
 * the range allows. `walk` is that of the fault and is used up. A lost race ends as if it had been won by us, since
 * the winner used a map as new. Context: a reader that holds `map`. Concurrency: lockless, any number of vCPUs.
 */
enum mmu_fault mmu_fault(struct tl_vm *vm, const struct map *map, gpa_t gpa, enum mmu_access access,
			 struct ept_walk *walk, const struct map_range **range);

/*
 * Most faults in one go: nothing is mapped at `gpa`, it is of the RAM range `id`, which is a guess, and a table stands
 * for the largest leaf that could be. False: it is not so, or somebody was quicker; nothing was done, and mmu_fault()
 * does the rest. Context and concurrency: as above.
 */
bool mmu_map_ram(struct tl_vm *vm, const struct map *map, gpa_t gpa, bool fetch, uint32_t id);

#endif
