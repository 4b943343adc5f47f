/* SPDX-License-Identifier: MIT */
/* The map and the EPT, for who looks at them from outside. */
#include "mmu/dirty.h"
#include "mmu/ept_table.h"
#include "mmu/vm.h"
#include <trapline.h>

static enum tl_range_kind public_kind(const struct map_range *range)
{
	switch ((enum map_kind)range->kind) {
	case MAP_RAM:
		return TL_RANGE_RAM;
	case MAP_ROM:
		return TL_RANGE_ROM;
	case MAP_EXECUTE_ONLY:
		return TL_RANGE_EXECUTE_ONLY;
	case MAP_PASSTHROUGH:
		return TL_RANGE_PASSTHROUGH;
	case MAP_APIC:
		return TL_RANGE_APIC;
	case MAP_DOORBELL:
	case MAP_DOORBELL_COUNT:
	case MAP_DOORBELL_DECODED:
		return TL_RANGE_DOORBELL;
	default:
		return TL_RANGE_MMIO;
	}
}

static void describe_range(const struct map *map, const struct map_range *range, struct tl_range_info *info)
{
	*info = (struct tl_range_info){
		.id = range->id,
		.kind = public_kind(range),
		.start = range->start,
		.size = range->last - range->start + 1,
		.tag = mmio_spte_tag(range->fresh),
		.stamping = map->stamping,
		.logged = dirty_log(range) != NULL,
		.context = range->context,
	};
}

bool tl_map_next(struct tl_vm *vm, uint64_t from, struct tl_range_info *info)
{
	const struct map *map;
	uint32_t place;
	bool found;

	/* No map that is published under the lock is retired while it is held (rule 3). */
	vm_lock(vm);
	map = atomic_load_explicit(&vm->map, memory_order_relaxed);
	place = map_place_of(map, from);
	/* Place 0 is the hole's; a range that ends below `from` gives way to the next. */
	if (place == 0 || map->ranges[map->places[place].id].last < from)
		place++;
	found = place < map->nr_places;
	if (found)
		describe_range(map, &map->ranges[map->places[place].id], info);
	vm_unlock(vm);
	return found;
}

/* By the map of the moment: what the range's entries would have to hold. */
static void describe_mmio(struct tl_vm *vm, struct tl_ept_entry *entry)
{
	const struct map *map;

	entry->id = mmio_spte_id(entry->value);
	entry->tag = mmio_spte_tag(entry->value);
	vm_lock(vm);
	map = atomic_load_explicit(&vm->map, memory_order_relaxed);
	if (entry->id < map->nr_slots) {
		entry->fresh = map->ranges[entry->id].fresh == entry->value;
		entry->wanted = mmio_spte_tag(map->ranges[entry->id].fresh);
	}
	vm_unlock(vm);
}

static void describe_entry(ept_entry_t value, unsigned level, bool malformed, struct tl_ept_entry *entry)
{
	entry->read = value & EPT_READ;
	entry->write = value & EPT_WRITE;
	entry->execute = value & EPT_EXECUTE;
	if (is_mmio_spte(value)) {
		entry->kind = TL_EPT_MMIO;
		return;
	}
	if (!(value & EPT_RWX)) {
		entry->kind = TL_EPT_EMPTY;
		return;
	}
	if (malformed) {
		entry->kind = TL_EPT_BAD;
		return;
	}
	entry->address = value & EPT_ADDRESS;
	if (ept_is_table(value, level)) {
		entry->kind = TL_EPT_TABLE;
		return;
	}
	entry->kind = TL_EPT_LEAF;
	entry->large = level > 1;
	entry->accessed = value & EPT_ACCESSED;
	entry->dirty = value & EPT_DIRTY;
	entry->memory_type = (unsigned)((value & EPT_MEMORY_TYPE) >> 3);
}

unsigned tl_ept_describe(struct tl_vm *vm, uint64_t gpa, struct tl_ept_entry entries[TL_EPT_LEVELS])
{
	const ept_entry_t reserved = ept_reserved_address();
	struct ept_walk walk, end;
	unsigned count = 0;
	bool more = true;

	if (gpa >> (PAGE_SHIFT + 9 * EPT_LEVELS))
		return 0;
	/* Who walks without being a reader (rule 6). */
	vm_lock_tables(vm);
	ept_walk(vm, gpa, &end);
	walk.slot = &vm->root[ept_index(gpa, EPT_LEVELS)];
	for (unsigned level = EPT_LEVELS; more; level--) {
		struct tl_ept_entry *entry = &entries[count++];

		more = ept_step(gpa, reserved, level, &walk);
		*entry = (struct tl_ept_entry){.value = walk.entry,
					       .first = gpa & ~(EPT_SPAN(level) - 1),
					       .size = EPT_SPAN(level),
					       .level = level,
					       .index = ept_index(gpa, level)};
		describe_entry(walk.entry, level, !more && end.malformed && end.entry == walk.entry, entry);
	}
	vm_unlock_tables(vm);
	/* Only where the walk ends, and not under both locks. */
	if (entries[count - 1].kind == TL_EPT_MMIO)
		describe_mmio(vm, &entries[count - 1]);
	return count;
}
