/* SPDX-License-Identifier: MIT */
/* The edits, each applied to a map under construction. */
#include "mmu/dirty.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"

void map_retag(const struct tl_vm *vm, struct map *map, uint32_t id)
{
	struct map_range *range = &map->ranges[id];

	range->fresh = map->stamping ? mmio_spte_make(id, vm_tag(vm, map->generation)) : MAP_NO_SPTE;
}

void map_retag_all(const struct tl_vm *vm, struct map *map)
{
	ept_entry_t fresh = mmio_spte_make(0, vm_tag(vm, map->generation));
	ept_entry_t off = map->stamping ? 0 : MAP_NO_SPTE;

	for (struct map_range *range = map->ranges, *end = range + map->nr_slots; range < end; range++) {
		range->fresh = range->kind == MAP_FREE ? MAP_NO_SPTE : fresh | off;
		fresh += BIT(MMIO_SPTE_ID_LOW);
	}
}

void map_choose_ram_hint(struct map *map)
{
	uint64_t largest = 0;

	map->ram_hint = MAP_HOLE_ID;
	for (uint32_t id = MAP_FIRST_ID; id < map->nr_slots; id++) {
		const struct map_range *range = &map->ranges[id];

		if (range->kind == MAP_RAM && range->last - range->start >= largest) {
			largest = range->last - range->start;
			map->ram_hint = id;
		}
	}
}

/* A page on which the range begins or ends within is shared, with another range or with the hole. */
static bool meets_on_a_page(const struct map_range *range)
{
	return !ALIGNED(range->start, PAGE_SIZE) || !ALIGNED(range->last + 1, PAGE_SIZE);
}

/*
 * Whether [start, last] is free of ranges other than `self`; the hole's id if there is none to leave out. *at: where a
 * range that begins at `start` belongs among the places.
 */
static bool is_free(const struct map *map, uint64_t start, uint64_t last, uint32_t self, uint32_t *at)
{
	uint32_t before = map_place_of(map, start), next = before + 1;

	*at = next;
	if (before && map->places[before].id == self)
		before--;
	if (before && map->ranges[map->places[before].id].last >= start)
		return false;
	if (next < map->nr_places && map->places[next].id == self)
		next++;
	return next == map->nr_places || map->places[next].start > last;
}

/* Makes room at `at` by moving the places from there up to `end` - 1 by one. They are few: shorter than memmove(). */
static void shift_places_up(struct map *map, uint32_t at, uint32_t end)
{
	for (struct map_place *place = &map->places[end], *last = &map->places[at]; place > last; place--) {
		place->start = place[-1].start;
		place->id = place[-1].id;
	}
}

static void insert_place(struct map *map, uint32_t at, uint64_t start, uint32_t id)
{
	shift_places_up(map, at, map->nr_places);
	map->places[at] = (struct map_place){.start = start, .id = id};
	map->nr_places++;
}

static void remove_place(struct map *map, uint64_t start)
{
	uint32_t at = map_place_of(map, start);

	map->nr_places--;
	__builtin_memmove(&map->places[at], &map->places[at + 1], (map->nr_places - at) * sizeof(map->places[0]));
}

/* The place of the range that begins at `from` becomes that of one at `start`, which belongs to where `at` is. */
static void move_place(struct map *map, uint64_t from, uint32_t at, uint64_t start)
{
	uint32_t old = map_place_of(map, from), id = map->places[old].id;

	/* Those between the two move by one. */
	if (old < at) {
		at--;
		__builtin_memmove(&map->places[old], &map->places[old + 1], (at - old) * sizeof(map->places[0]));
	} else {
		shift_places_up(map, at, old);
	}
	map->places[at] = (struct map_place){.start = start, .id = id};
}

static uint32_t take_slot(struct map *map)
{
	uint32_t id = map->free_slot;

	if (id == MAP_NO_SLOT)
		return map->nr_slots++;
	map->free_slot = (uint32_t)map->ranges[id].start;
	return id;
}

/* What every edit of a range has in common: its own entries, those of pages it shares, and memory's caches. */
static void range_changed(struct map *map, struct tl_edit *edit, uint32_t id)
{
	struct map_range *range = &map->ranges[id];

	map_retag(edit->vm, map, id);
	if (meets_on_a_page(range))
		map_retag(edit->vm, map, MAP_SHARED_ID);
	if (unlikely(map_is_memory(range)))
		map->ram_generation = 0; /* the commit gives it a new one */
}

static enum map_kind kind_of(const struct tl_range *range)
{
	switch (range->kind) {
	case TL_RANGE_RAM:
		return MAP_RAM;
	case TL_RANGE_ROM:
		return MAP_ROM;
	case TL_RANGE_EXECUTE_ONLY:
		return MAP_EXECUTE_ONLY;
	case TL_RANGE_PASSTHROUGH:
		return MAP_PASSTHROUGH;
	case TL_RANGE_APIC:
		return MAP_APIC;
	case TL_RANGE_DOORBELL:
		if (range->doorbell->matches || range->doorbell->shadow)
			return MAP_DOORBELL_DECODED;
		return range->doorbell->signal == TL_SIGNAL_COUNT ? MAP_DOORBELL_COUNT : MAP_DOORBELL;
	default:
		if (range->options && range->options->ring)
			return MAP_RING;
		if (range->options && range->options->sizes)
			return MAP_SIZED;
		return range->access ? MAP_MMIO : MAP_EMBEDDER;
	}
}

/* What a range refers to beside its callback. */
static void set_reference(struct map_range *range, const struct tl_range *new)
{
	const struct tl_mmio_options *options = new->options;

	if (map_is_memory(range))
		range->host = new->host;
	else if (map_has_options(range))
		range->options = options;
	else if (new->kind == TL_RANGE_DOORBELL)
		range->doorbell = new->doorbell;
	if (new->kind == TL_RANGE_MMIO && !(options && options->no_clustering))
		range->flags |= MAP_CLUSTERS;
}

/* Memory comes to [first, last]: tables may stand there that it does not need. */
static void memory_comes(const struct map_range *range, struct tl_edit *edit, struct edit_step *step, gpa_t first,
			 gpa_t last)
{
	if (likely(!map_is_memory(range)))
		return;
	edit->settles = true;
	step->new_first = first;
	step->new_last = last;
}

static enum tl_status apply_add(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	const struct tl_range *new = &step->range;
	uint64_t last = new->start + (new->size - 1);
	struct map_range *range;
	uint32_t id, at;

	if (!is_free(map, new->start, last, MAP_HOLE_ID, &at))
		return TL_OVERLAP;
	id = take_slot(map);
	insert_place(map, at, new->start, id);
	range = &map->ranges[id];
	*range = (struct map_range){.start = new->start,
				    .last = last,
				    .access = new->access,
				    .context = new->context,
				    .release = new->release,
				    .id = id,
				    .kind = (uint8_t)kind_of(new)};
	set_reference(range, new);
	range_changed(map, edit, id);
	map_retag(edit->vm, map, MAP_HOLE_ID);
	memory_comes(range, edit, step, new->start, last);
	step->id = id;
	return TL_OK;
}

/* The part [first, last] stops being answered by `range`. */
static void take_away(const struct map_range *range, struct tl_edit *edit, struct edit_step *step, gpa_t first,
		      gpa_t last)
{
	edit->takes = true;
	if (!map_is_memory(range)) {
		vm_note_gone(edit->vm, last - first);
		return;
	}
	edit->zaps = true;
	step->gone_first = first;
	step->gone_last = last;
	step->gone_log = dirty_log(range);
	edit->unlogs |= step->gone_log != NULL;
	step->gone_host = host_to_phys(range->host);
	step->gone_size = range->last - range->start + 1;
}

static enum tl_status apply_remove(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	struct map_range *range = &map->ranges[step->id];

	take_away(range, edit, step, range->start, range->last);
	edit->removes = true;
	step->release = range->release;
	step->context = range->context;
	range_changed(map, edit, step->id);
	remove_place(map, range->start);
	*range = (struct map_range){.fresh = MAP_NO_SPTE, .id = step->id, .kind = MAP_FREE};
	return TL_OK;
}

void map_free_slots(struct map *map, const struct edit_page *page)
{
	for (; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			if (page->step[i].kind == EDIT_REMOVE) {
				map->ranges[page->step[i].id].start = map->free_slot;
				map->free_slot = page->step[i].id;
			}
}

static enum tl_status check_span(const struct map *map, const struct map_range *range, uint64_t start, uint64_t size,
				 uint32_t *at)
{
	uint64_t last = start + (size - 1);

	if (map_is_memory(range) && !ALIGNED(start | size, PAGE_SIZE))
		return TL_UNALIGNED;
	if (last < start)
		return TL_WRAPS;
	if (last > map->ranges[MAP_HOLE_ID].last)
		return TL_TOO_HIGH;
	return is_free(map, start, last, range->id, at) ? TL_OK : TL_OVERLAP;
}

static enum tl_status apply_move(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	struct map_range *range = &map->ranges[step->id];
	uint64_t size = range->last - range->start + 1;
	uint32_t at;
	enum tl_status status = check_span(map, range, step->start, size, &at);

	if (status != TL_OK)
		return status;
	take_away(range, edit, step, range->start, range->last);
	/* The page it leaves may cease to be shared. */
	if (meets_on_a_page(range))
		map_retag(edit->vm, map, MAP_SHARED_ID);
	move_place(map, range->start, at, step->start);
	range->start = step->start;
	range->last = step->start + (size - 1);
	range_changed(map, edit, step->id);
	map_retag(edit->vm, map, MAP_HOLE_ID);
	memory_comes(range, edit, step, range->start, range->last);
	return TL_OK;
}

static enum tl_status apply_resize(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	struct map_range *range = &map->ranges[step->id];
	uint32_t at;
	enum tl_status status = check_span(map, range, range->start, step->size, &at);
	gpa_t last = range->start + (step->size - 1);

	if (status != TL_OK)
		return status;
	if (range->kind == MAP_APIC)
		return TL_INVALID_ARGUMENT;
	if (map_is_memory(range) && range->kind != MAP_PASSTHROUGH) {
		hpa_t host = host_to_phys(range->host);

		if (ept_l1tf_target(host, host + step->size, mmu_cpu.maxphyaddr))
			return TL_RAM_AT_L1TF_TARGET;
	}
	if (last < range->last)
		take_away(range, edit, step, last + 1, range->last);
	/* The log has a bit for each page that there was. */
	if (last > range->last && dirty_log(range))
		return TL_INVALID_ARGUMENT;
	if (last > range->last) {
		map_retag(edit->vm, map, MAP_HOLE_ID);
		memory_comes(range, edit, step, range->last + 1, last);
	}
	range_changed(map, edit, step->id);
	range->last = last;
	range_changed(map, edit, step->id);
	return TL_OK;
}

/* Rights that come are given by the next fault. What was answered by the callback and is not any more makes it wait. */
static enum tl_status apply_protect(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	struct map_range *range = &map->ranges[step->id];
	enum map_kind kind = kind_of(&step->range);

	if (range->kind != MAP_RAM && range->kind != MAP_ROM && range->kind != MAP_EXECUTE_ONLY)
		return TL_INVALID_ARGUMENT;
	if (dirty_log(range))
		return TL_INVALID_ARGUMENT;
	if (map_rights((enum map_kind)range->kind) & ~map_rights(kind))
		take_away(range, edit, step, range->start, range->last);
	edit->takes |= range->access != NULL;
	range->kind = (uint8_t)kind;
	range->access = step->range.access;
	range_changed(map, edit, step->id);
	return TL_OK;
}

/* A log that begins closes the range. One that ends takes what was mapped for it; the next accesses map it at large. */
static enum tl_status apply_log(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	struct map_range *range = &map->ranges[step->id];

	if (range->kind != MAP_RAM || !range->log == !step->log)
		return TL_INVALID_ARGUMENT;
	take_away(range, edit, step, range->start, range->last);
	/* Where one begins, the pages stay: only the right to write goes. */
	if (step->log)
		step->gone_size = 0;
	range->log = step->log;
	return TL_OK;
}

/*
 * Whether the id names a range to this transaction: one of the published map that it has not removed. A range that it
 * added has no id yet, whatever slot it got.
 */
static bool is_known(const struct map *map, const struct tl_vm *vm, uint32_t id)
{
	/* relaxed: under the writer lock nobody else publishes. */
	const struct map *now = atomic_load_explicit(&vm->map, memory_order_relaxed);

	return id < now->nr_slots && now->ranges[id].kind != MAP_FREE && map->ranges[id].kind != MAP_FREE;
}

enum tl_status map_apply(struct map *map, struct tl_edit *edit, struct edit_step *step)
{
	step->gone_first = step->new_first = 1;
	step->gone_last = step->new_last = 0;
	step->release = NULL;
	step->gone_log = NULL;
	step->gone_size = 0;
	if (step->kind == EDIT_ADD)
		return apply_add(map, edit, step);
	if (!is_known(map, edit->vm, step->id))
		return TL_NO_RANGE;
	switch (step->kind) {
	case EDIT_REMOVE:
		return apply_remove(map, edit, step);
	case EDIT_MOVE:
		return apply_move(map, edit, step);
	case EDIT_PROTECT:
		return apply_protect(map, edit, step);
	case EDIT_LOG:
		return apply_log(map, edit, step);
	default:
		return apply_resize(map, edit, step);
	}
}
