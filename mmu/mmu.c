/* SPDX-License-Identifier: MIT */
#include "mmu/mmu.h"
#include "mmu/dirty.h"
#include "mmu/ept_protect.h"
#include "mmu/hooks.h"
#include "mmu/trace.h"

enum mmio_verdict mmu_examine(const struct map *map, const struct ept_walk *walk, const struct map_range **range)
{
	if (walk->malformed)
		return MMIO_BUG;
	if (!is_mmio_spte(walk->entry))
		return MMIO_RETRY;
	return check_mmio_spte(map, walk->entry, range);
}

/* Leaves "which range is this page?" in the EPT, as high as [first, last], all of one range, fills the span. */
static enum mmu_fault mark_mmio_spte(struct tl_vm *vm, const struct map *map, gpa_t gpa, const struct map_range *range,
				     gpa_t first, gpa_t last, struct ept_walk *walk)
{
	unsigned level = walk->level < vm->mmio_level ? walk->level : vm->mmio_level;
	enum ept_install status;
	ept_entry_t entry;

	/* Rule 5: memory that a removal has not zapped yet stays until it does. */
	if (ept_is_present(walk->entry))
		return MMU_SERVE;
	for (;; level--) {
		gpa_t span = gpa & ~(EPT_SPAN(level) - 1);

		if (first <= span && span + (EPT_SPAN(level) - 1) <= last)
			break;
		if (level == 1) {
			range = &map->ranges[MAP_SHARED_ID];
			break;
		}
	}
	entry = range->fresh;
	status = ept_install(vm, gpa, walk, level, entry);
	trace_mark_mmio_spte(map, gpa, entry);
	return status == EPT_NO_MEMORY ? MMU_NO_MEMORY : MMU_SERVE;
}

ALWAYS_INLINE ept_entry_t leaf_of(const struct tl_vm *vm, const struct map_range *range, gpa_t first, unsigned level)
{
	ept_entry_t entry = host_to_phys(range->host + (first - range->start)) | map_rights((enum map_kind)range->kind);

	/* With either type the guest's PAT counts, too (SDM vol. 3, 29.3.7.2). */
	entry |= (range->kind == MAP_PASSTHROUGH ? EPT_TYPE_UC : EPT_TYPE_WB) | EPT_FLAGS;
	/* A page of a logged range may be written only once that is noted, or where the CPU notes it. */
	if (unlikely(dirty_log(range)))
		entry &= level == 1 && dirty_by(vm) != DIRTY_BY_PROTECTION ? ~EPT_DIRTY : ~EPT_WRITE;
	if (level == 1)
		return entry;
	/* iTLB multihit: where a large page must not be executed from, a fetch splits it (INTEL-SA-00210). */
	if (!mmu_cpu.large_executable && range->kind != MAP_EXECUTE_ONLY)
		entry &= ~EPT_EXECUTE;
	return entry | EPT_LARGE;
}

static bool allows(ept_entry_t entry, enum mmu_access access)
{
	static const ept_entry_t needed[] = {[MMU_READ] = EPT_READ, [MMU_WRITE] = EPT_WRITE, [MMU_FETCH] = EPT_EXECUTE};

	return ept_is_present(entry) && (entry & needed[access]);
}

/* Whether one leaf can map the span around `gpa`: aligned in both address spaces, and within the range. */
ALWAYS_INLINE bool leaf_fits(const struct map_range *range, gpa_t gpa, unsigned level)
{
	gpa_t first = gpa & ~(EPT_SPAN(level) - 1);

	return first >= range->start && first + (EPT_SPAN(level) - 1) <= range->last &&
	       ALIGNED(host_to_phys(range->host + (first - range->start)), EPT_SPAN(level));
}

/* The largest leaf, above no table that stands already. */
static unsigned leaf_level(const struct map_range *range, gpa_t gpa, const struct ept_walk *walk)
{
	unsigned level = walk->level < mmu_cpu.ept_level ? walk->level : mmu_cpu.ept_level;

	while (level > 1 && !leaf_fits(range, gpa, level))
		level--;
	return level;
}

/*
 * A write to a logged page: opens the way there, and splits what is larger. Where the CPU notes no writes, the mark
 * comes first, so that a fetch of the log that misses what another vCPU writes here does not miss the mark; and again
 * when the page is open, since a fetch that took it before has closed only what was open then.
 */
static COLD enum mmu_fault map_logged(struct tl_vm *vm, const struct map_range *range, gpa_t gpa, struct ept_walk *walk)
{
	bool marks = dirty_by(vm) == DIRTY_BY_PROTECTION;
	enum ept_install status = EPT_INSTALLED;
	bool was_open;

	switch (ept_open(vm, gpa)) {
	case EPT_BUSY:
		return MMU_MAPPED;
	case EPT_WAS_OPEN:
		was_open = walk->level == 1 && allows(walk->entry, MMU_WRITE);
		break;
	default:
		was_open = false;
	}
	if (marks)
		dirty_mark(range->log, gpa - range->start);
	ept_walk(vm, gpa, walk);
	if (walk->malformed)
		return MMU_CORRUPT;
	if (walk->level > 1 || !allows(walk->entry, MMU_WRITE))
		status = ept_install(vm, gpa, walk, 1, leaf_of(vm, range, gpa & ~(PAGE_SIZE - 1), 1) | EPT_WRITE);
	if (marks)
		dirty_mark(range->log, gpa - range->start);
	if (status == EPT_NO_MEMORY)
		return MMU_NO_MEMORY;
	return was_open ? MMU_SPURIOUS : MMU_MAPPED;
}

/* What takes the place of a page: the same one with another right stays as dirty as it is. */
static ept_entry_t in_place_of(const struct tl_vm *vm, const struct map *map, ept_entry_t old, ept_entry_t entry)
{
	if (!((old ^ entry) & EPT_ADDRESS))
		return old & EPT_WRITE ? entry | (old & EPT_DIRTY) : entry;
	dirty_replace(vm, map, old);
	return entry;
}

static enum mmu_fault map_memory(struct tl_vm *vm, const struct map *map, const struct map_range *range, gpa_t gpa,
				 enum mmu_access access, struct ept_walk *walk)
{
	unsigned level = access == MMU_FETCH && !mmu_cpu.large_executable ? 1 : leaf_level(range, gpa, walk);
	gpa_t first = gpa & ~(EPT_SPAN(level) - 1);
	ept_entry_t entry;

	if (access == MMU_WRITE && unlikely(dirty_log(range)))
		return map_logged(vm, range, gpa, walk);
	if (allows(walk->entry, access))
		/* Closed for a log that has ended: the way is opened, and then the page. */
		return access == MMU_WRITE && ept_open(vm, gpa) != EPT_WAS_OPEN ? MMU_MAPPED : MMU_SPURIOUS;
	entry = leaf_of(vm, range, first, level);
	if (unlikely(walk->level == 1 && ept_is_present(walk->entry)))
		entry = in_place_of(vm, map, walk->entry, entry);
	switch (ept_install(vm, gpa, walk, level, entry)) {
	case EPT_NO_MEMORY:
		return MMU_NO_MEMORY;
	default:
		return MMU_MAPPED;
	}
}

/* Whether memory answers the access, not a callback. */
static bool memory_serves(const struct map_range *range, enum mmu_access access)
{
	switch (range->kind) {
	case MAP_RAM:
		return true;
	case MAP_ROM:
		return access != MMU_WRITE;
	case MAP_PASSTHROUGH:
	case MAP_APIC:
		return access != MMU_FETCH;
	default:
		return access == MMU_FETCH;
	}
}

/*
 * What a stale entry named is what is there still, as a rule: it is when that range, in this snapshot, holds the
 * address. NULL: search. Memory is searched for, since what is present there names no range.
 */
ALWAYS_INLINE const struct map_range *guess(const struct map *map, ept_entry_t entry, gpa_t gpa)
{
	uint32_t id = mmio_spte_id(entry);
	const struct map_range *range = &map->ranges[id];

	if (!is_mmio_spte(entry) || id >= map->nr_slots || range->kind < MAP_MMIO ||
	    gpa - range->start > range->last - range->start)
		return NULL;
	return range;
}

enum mmu_fault mmu_fault(struct tl_vm *vm, const struct map *map, gpa_t gpa, enum mmu_access access,
			 struct ept_walk *walk, const struct map_range **range)
{
	gpa_t first, last;

	if (walk->malformed)
		return MMU_CORRUPT;
	*range = guess(map, walk->entry, gpa);
	if (likely(*range)) {
		first = (*range)->start;
		last = (*range)->last;
	} else {
		*range = map_find_extent(map, gpa, &first, &last);
	}
	if (map_is_memory(*range))
		return memory_serves(*range, access) ? map_memory(vm, map, *range, gpa, access, walk) : MMU_SERVE;
	if (!map->stamping)
		return MMU_SERVE;
	return mark_mmio_spte(vm, map, gpa, *range, first, last, walk);
}

HOT bool mmu_map_ram(struct tl_vm *vm, const struct map *map, gpa_t gpa, bool fetch, uint32_t id)
{
	const struct map_range *range = &map->ranges[id];
	ept_entry_t empty = 0;
	struct ept_walk walk;

	if (unlikely(id >= map->nr_slots) || unlikely(range->kind != MAP_RAM) || unlikely(dirty_log(range)))
		return false;
	/* The walk is of `gpa` only if that is in the range: else no leaf fits. */
	ept_descend(vm, gpa, &walk);
	if (unlikely(walk.entry) || unlikely(walk.level > mmu_cpu.ept_level) ||
	    unlikely(!leaf_fits(range, gpa, walk.level)) ||
	    unlikely(fetch && !mmu_cpu.large_executable && walk.level > 1))
		return false;
	/* release: as in ept_install(). */
	return likely(atomic_compare_exchange_strong_explicit(
		walk.slot, &empty, leaf_of(vm, range, gpa & ~(EPT_SPAN(walk.level) - 1), walk.level),
		memory_order_release, memory_order_relaxed));
}
