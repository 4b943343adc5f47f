/* SPDX-License-Identifier: MIT */
/* From a list of edits to the map that everybody sees: copy, apply, publish; and what has to wait. */
#include "mmu/ept_table.h"
#include "mmu/hooks.h"
#include "mmu/map_edit.h"
#include "mmu/trace.h"

/* Maps that may wait for their grace period at once. A commit that finds as many waits itself. */
enum { MAX_RETIRED = 16 };

static size_t map_pages(uint32_t capacity)
{
	return (sizeof(struct map) + capacity * (sizeof(struct map_range) + sizeof(struct map_place)) + PAGE_SIZE - 1) /
	       PAGE_SIZE;
}

void map_free(struct map *map)
{
	hooks->free_pages(map, map->nr_pages);
}

static struct map *map_alloc(uint32_t capacity)
{
	size_t pages = map_pages(capacity);
	struct map *map = hooks->alloc_pages(pages);

	if (!map)
		return NULL;
	map->nr_pages = (uint32_t)pages;
	/* What the page-sized allocation leaves over holds more ranges. */
	map->capacity =
		(uint32_t)((pages * PAGE_SIZE - sizeof(*map)) / (sizeof(struct map_range) + sizeof(struct map_place)));
	map->ranges = (struct map_range *)(map + 1);
	map->places = (struct map_place *)(map->ranges + map->capacity);
	return map;
}

/* A retired map whose grace period has passed; those that are too small by now are freed on the way. */
static struct map *map_reuse(struct tl_vm *vm, uint32_t capacity)
{
	for (struct map **link = &vm->retired; *link;) {
		struct map *map = *link;

		if (!grace_passed(vm, map->retired_round)) {
			link = &map->next;
			continue;
		}
		*link = map->next;
		vm->nr_retired--;
		if (map->capacity >= capacity)
			return map;
		map_free(map);
	}
	return NULL;
}

struct map *map_copy(struct tl_vm *vm, const struct map *from, uint32_t capacity, bool *again)
{
	struct map *map = map_reuse(vm, capacity);

	*again = false;
	if (!map) {
		*again = vm->nr_retired >= MAX_RETIRED;
		map = *again ? NULL : map_alloc(capacity);
	}
	if (!map || !from)
		return map;
	map->nr_slots = from->nr_slots;
	map->nr_places = from->nr_places;
	map->generation = from->generation;
	map->ram_generation = from->ram_generation;
	map->ram_hint = from->ram_hint;
	map->stamping = from->stamping;
	map->free_slot = from->free_slot;
	__builtin_memcpy(map->ranges, from->ranges, from->nr_slots * sizeof(from->ranges[0]));
	__builtin_memcpy(map->places, from->places, from->nr_places * sizeof(from->places[0]));
	return map;
}

uint64_t map_publish(struct tl_vm *vm, struct map *map)
{
	struct map *old = atomic_load_explicit(&vm->map, memory_order_relaxed);
	uint64_t round;

	/* release: everything in the map is written before an exit can take the pointer (rule 2). */
	atomic_store_explicit(&vm->map, map, memory_order_release);
	atomic_fetch_add_explicit(&vm->publications, 1, memory_order_relaxed);
	round = grace_raise(vm);
	if (trace_is_on(TL_TRACE_COMMIT))
		trace_commit(map);
	old->retired_round = round;
	old->next = vm->retired;
	vm->retired = old;
	vm->nr_retired++;
	/* Whoever publishes under a debt has taken it over, or paid it. */
	vm->wrap_owed = false;
	return round;
}

/* Takes the next generation, unless a wrap is under way: then nothing is stamped and none is used (rule 7). */
static void advance_generation(struct tl_vm *vm, struct map *map, bool *wraps)
{
	*wraps = false;
	if (!map->stamping) {
		*wraps = vm->wrap_owed;
		return;
	}
	map->generation++;
	if (likely(vm_tag(vm, map->generation) != 0))
		return;
	*wraps = true;
	map->stamping = false;
	map_retag_all(vm, map);
}

static enum tl_status apply_all(struct map *map, struct tl_edit *edit)
{
	for (struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++) {
			enum tl_status status = map_apply(map, edit, &page->step[i]);

			if (status != TL_OK)
				return status;
		}
	if (edit->removes)
		map_free_slots(map, &edit->first);
	if (unlikely(map->ram_generation == 0)) {
		map->ram_generation = ++edit->vm->ram_generation;
		map_choose_ram_hint(map);
	}
	return TL_OK;
}

static void hand_out_ids(const struct tl_edit *edit)
{
	for (const struct edit_page *page = &edit->first; page; page = page->next)
		for (unsigned i = 0; i < page->nr_steps; i++)
			if (page->step[i].kind == EDIT_ADD && page->step[i].id_out)
				*page->step[i].id_out = page->step[i].id;
}

/* Puts a map that was never published back among those that may be reused at once. */
static void map_unmake(struct tl_vm *vm, struct map *map)
{
	map->retired_round = 0;
	map->next = vm->retired;
	vm->retired = map;
	vm->nr_retired++;
}

/* Under the lock: copy, apply, publish. Nothing here waits. */
static enum tl_status publish_edit(struct tl_vm *vm, struct tl_edit *edit)
{
	const struct map *now = atomic_load_explicit(&vm->map, memory_order_relaxed);
	uint32_t capacity = now->nr_slots + edit->nr_adds;
	enum tl_status status;
	struct map *map;
	bool again;

	if (capacity > MMIO_MAX_ID + 1)
		return TL_NO_MEMORY;
	map = map_copy(vm, now, capacity, &again);
	if (!map)
		return again ? TL_AGAIN : TL_NO_MEMORY;
	advance_generation(vm, map, &edit->wraps);
	edit->takes = edit->removes = edit->zaps = edit->unlogs = edit->settles = false;
	status = apply_all(map, edit);
	if (status != TL_OK) {
		map_unmake(vm, map);
		/* relaxed: under the lock it is ours. */
		if (edit->base != atomic_load_explicit(&vm->publications, memory_order_relaxed))
			return TL_CONFLICT;
		return status;
	}
	if (unlikely(vm->invalidate != TL_INVALIDATE_RANGE))
		map_retag_all(vm, map);
	if (edit->nr_adds)
		hand_out_ids(edit);
	edit->round = map_publish(vm, map);
	/* As a rule when no vCPU runs: then nothing has to be waited for. */
	edit->passed = edit->takes && grace_passed(vm, edit->round);
	vm->logs_going += edit->unlogs;
	vm->commits++;
	return TL_OK;
}

/* The same for tl_vm_invalidate_mmio(). */
static enum tl_status publish_invalidation(struct tl_vm *vm, uint64_t *round, bool *wraps)
{
	const struct map *now = atomic_load_explicit(&vm->map, memory_order_relaxed);
	struct map *map;
	bool again;

	map = map_copy(vm, now, now->nr_slots, &again);
	if (!map)
		return again ? TL_AGAIN : TL_NO_MEMORY;
	advance_generation(vm, map, wraps);
	map_retag_all(vm, map);
	*round = map_publish(vm, map);
	vm->invalidations++;
	return TL_OK;
}

/* Under a full list of retired maps a writer waits for the oldest, outside the lock. */
static void wait_for_retired(struct tl_vm *vm)
{
	uint64_t round = 0;

	vm_lock(vm);
	for (struct map *map = vm->retired; map; map = map->next)
		round = map->retired_round;
	vm_unlock(vm);
	grace_wait(vm, round, NULL);
}

void map_defer(struct grace_reader *reader, struct tl_edit *edit)
{
	struct tl_edit **link = &reader->pending;

	while (*link)
		link = &(*link)->next;
	*link = edit;
	reader->entry_round = GRACE_ATTENTION;
}

/* What has to wait is done here, or inside a callback left to the vCPU. */
static enum tl_status complete_or_defer(struct tl_edit *edit)
{
	struct grace_reader *self = grace_current();

	if (self) {
		map_defer(self, edit);
		/* Tables that memory does not need concern nobody but us. */
		return edit->takes || edit->wraps ? TL_PENDING : TL_OK;
	}
	map_complete(edit, NULL);
	return TL_OK;
}

/* Whether a writer that got TL_AGAIN has waited and may try again; inside a callback it may not wait. */
static bool waited_for_retired(struct tl_vm *vm)
{
	if (grace_current())
		return false;
	wait_for_retired(vm);
	return true;
}

/* Whether nothing of a published transaction is left to be done. */
static bool is_complete(struct tl_edit *edit)
{
	bool settled = !edit->settles || !map_settle(edit);

	return settled && !edit->wraps && !edit->zaps && (!edit->takes || (edit->passed && !edit->removes));
}

enum tl_status tl_map_commit(struct tl_edit *edit)
{
	struct tl_vm *vm = edit->vm;
	enum tl_status status;

	do {
		vm_lock(vm);
		status = publish_edit(vm, edit);
		vm_unlock(vm);
	} while (unlikely(status == TL_AGAIN) && waited_for_retired(vm));
	if (status == TL_OK && !is_complete(edit))
		return complete_or_defer(edit);
	tl_map_discard(edit);
	return status;
}

/* The wrap is finished by a transaction of no edits. Without memory for one, the next commit finishes it. */
static enum tl_status finish_wrap_later(struct tl_vm *vm, uint64_t round)
{
	struct tl_edit *edit = tl_map_edit(vm);

	if (!edit) {
		vm_lock(vm);
		vm->wrap_owed = true;
		vm_unlock(vm);
		return TL_OK;
	}
	edit->wraps = true;
	edit->round = round;
	return complete_or_defer(edit);
}

enum tl_status tl_vm_invalidate_mmio(struct tl_vm *vm)
{
	enum tl_status status;
	uint64_t round = 0;
	bool wraps = false;

	do {
		vm_lock(vm);
		status = publish_invalidation(vm, &round, &wraps);
		vm_unlock(vm);
	} while (unlikely(status == TL_AGAIN) && waited_for_retired(vm));
	if (likely(status != TL_OK || !wraps))
		return status;
	return finish_wrap_later(vm, round);
}
