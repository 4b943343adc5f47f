/* SPDX-License-Identifier: MIT */
#include "tests/unit/naive_map.h"
#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

uint64_t naive_zone(unsigned zone)
{
	uint64_t end = BIT(mmu_cpu.maxphyaddr < 48 ? mmu_cpu.maxphyaddr : 48);
	uint64_t size = NAIVE_ZONE_PAGES * PAGE_SIZE;

	return zone == 0 ? 0 : zone == 1 ? BIT(30) - size / 2 : end - size;
}

uint64_t naive_large_zone(unsigned level)
{
	return EPT_SPAN(3) * 16 * level;
}

tl_range_id naive_owner(const struct naive_map *map, uint64_t gpa)
{
	for (tl_range_id id = 0; id < NAIVE_MAX_IDS; id++)
		if (map->range[id].used && gpa >= map->range[id].start && gpa <= map->range[id].last)
			return id;
	return TL_HOLE;
}

static bool is_free(const struct naive_map *map, uint64_t start, uint64_t last, tl_range_id self)
{
	for (tl_range_id id = 0; id < NAIVE_MAX_IDS; id++)
		if (id != self && map->range[id].used && start <= map->range[id].last && last >= map->range[id].start)
			return false;
	return true;
}

bool naive_is_one_range(const struct naive_map *map, uint64_t first, uint64_t last)
{
	tl_range_id id = naive_owner(map, first);

	return id == TL_HOLE ? is_free(map, first, last, TL_HOLE) : last <= map->range[id].last;
}

uint64_t naive_random_address(void)
{
	return naive_zone((unsigned)random_below(NAIVE_NR_ZONES)) + random_below(NAIVE_ZONE_PAGES * PAGE_SIZE);
}

/* A range on a page that is not all its own makes the shared pages' entries stale. */
static void touch(struct naive_map *map, tl_range_id id, const struct naive_range *range)
{
	map->touched |= BIT(id);
	if (range->start % PAGE_SIZE || (range->last + 1) % PAGE_SIZE)
		map->touched |= BIT(MAP_SHARED_ID);
}

static enum tl_status check_place(const struct naive_map *map, tl_range_id id, uint64_t start, uint64_t size)
{
	const struct naive_range *range = &map->range[id];

	if (range->kind != TL_RANGE_MMIO && (start % PAGE_SIZE || size % PAGE_SIZE))
		return TL_UNALIGNED;
	if (start + (size - 1) < start)
		return TL_WRAPS;
	if (start + (size - 1) >= naive_zone(2) + NAIVE_ZONE_PAGES * PAGE_SIZE)
		return TL_TOO_HIGH;
	return is_free(map, start, start + (size - 1), id) ? TL_OK : TL_OVERLAP;
}

static enum tl_status apply_step(struct naive_map *map, struct naive_map *added, const struct naive_step *step)
{
	struct naive_range *range = &map->range[step->id < NAIVE_MAX_IDS ? step->id : 0];
	uint64_t start, size;
	enum tl_status status;

	if (step->kind == NAIVE_ADD) {
		if (!is_free(map, step->new.start, step->new.last, TL_HOLE) ||
		    !is_free(added, step->new.start, step->new.last, TL_HOLE))
			return TL_OVERLAP;
		added->range[++added->nr_ranges] = step->new; /* 0 is the hole */
		touch(map, TL_HOLE, &step->new);
		return TL_OK;
	}
	if (!range->used)
		return TL_NO_RANGE;
	if (step->kind == NAIVE_REMOVE) {
		touch(map, step->id, range);
		range->used = false;
		map->nr_ranges--;
		return TL_OK;
	}
	start = step->kind == NAIVE_MOVE ? step->value : range->start;
	size = step->kind == NAIVE_RESIZE ? step->value : range->last - range->start + 1;
	status = check_place(map, step->id, start, size);
	if (status == TL_OK && !is_free(added, start, start + (size - 1), TL_HOLE))
		status = TL_OVERLAP;
	if (status == TL_OK && step->kind == NAIVE_RESIZE && range->kind != TL_RANGE_MMIO &&
	    host_to_phys(range->host) + size > BIT(mmu_cpu.maxphyaddr) - BIT(32))
		status = TL_RAM_AT_L1TF_TARGET;
	if (status != TL_OK)
		return status;
	if (step->kind == NAIVE_MOVE || start + (size - 1) > range->last)
		map->touched |= BIT(TL_HOLE);
	touch(map, step->id, range);
	range->start = start;
	range->last = start + (size - 1);
	touch(map, step->id, range);
	return TL_OK;
}

enum tl_status naive_apply(struct naive_map *map, const struct naive_edit *edit)
{
	struct naive_map added = {.nr_ranges = 0};

	for (unsigned i = 0; i < edit->nr_steps; i++) {
		enum tl_status status = apply_step(map, &added, &edit->step[i]);

		if (status != TL_OK)
			return status;
	}
	return TL_OK;
}

bool naive_takes(const struct naive_map *map, const struct naive_edit *edit)
{
	for (unsigned i = 0; i < edit->nr_steps; i++) {
		const struct naive_step *step = &edit->step[i];

		if (step->kind == NAIVE_REMOVE || step->kind == NAIVE_MOVE)
			return true;
		if (step->kind == NAIVE_RESIZE &&
		    step->value < map->range[step->id].last - map->range[step->id].start + 1)
			return true;
	}
	return false;
}

void naive_place_additions(struct naive_map *map, const struct naive_edit *edit)
{
	for (unsigned i = 0; i < edit->nr_steps; i++) {
		const struct naive_step *step = &edit->step[i];

		if (step->kind != NAIVE_ADD)
			continue;
		assert_in_range(step->id, MAP_FIRST_ID, NAIVE_MAX_IDS - 1);
		assert_false(map->range[step->id].used);
		map->range[step->id] = step->new;
		map->touched |= BIT(step->id);
		map->nr_ranges++;
	}
}

static void compare_extent(const struct naive_map *naive, const struct map *map, uint64_t gpa)
{
	tl_range_id owner = naive_owner(naive, gpa);
	gpa_t first, last, expected_first = 0, expected_last = map->ranges[MAP_HOLE_ID].last;

	assert_int_equal(map_find_extent(map, gpa, &first, &last)->id, owner);
	for (tl_range_id id = 0; id < NAIVE_MAX_IDS; id++) {
		const struct naive_range *range = &naive->range[id];

		if (!range->used || owner != TL_HOLE)
			continue;
		if (range->last < gpa && range->last >= expected_first)
			expected_first = range->last + 1;
		if (range->start > gpa && range->start <= expected_last)
			expected_last = range->start - 1;
	}
	if (owner != TL_HOLE) {
		expected_first = naive->range[owner].start;
		expected_last = naive->range[owner].last;
	}
	assert_int_equal(first, expected_first);
	assert_int_equal(last, expected_last);
}

static void compare_at(const struct naive_map *naive, const struct map *map, uint64_t gpa)
{
	tl_range_id id = naive_owner(naive, gpa);
	const struct naive_range *range = &naive->range[id];
	uint8_t *host = id && range->kind != TL_RANGE_MMIO ? range->host + (gpa - range->start) : NULL;

	if (map_find(map, gpa)->id != id)
		fail_msg("%lx is found in %u, not in %u", (unsigned long)gpa, map_find(map, gpa)->id, id);
	if (map_host(map, gpa) != host)
		fail_msg("%lx has another host address", (unsigned long)gpa);
	if (!(gpa >> mmu_cpu.maxphyaddr))
		compare_extent(naive, map, gpa);
}

static void compare_range(const struct naive_map *naive, const struct map *map, tl_range_id id)
{
	static const enum map_kind kinds[][2] = {[TL_RANGE_RAM] = {MAP_RAM, MAP_RAM},
						 [TL_RANGE_ROM] = {MAP_ROM, MAP_ROM},
						 [TL_RANGE_MMIO] = {MAP_EMBEDDER, MAP_MMIO}};
	const struct naive_range *range = &naive->range[id];
	const struct map_range *slot = &map->ranges[id];

	assert_true(id < map->nr_slots);
	assert_int_equal(slot->id, id);
	assert_int_equal(slot->kind, kinds[range->kind][range->callback]);
	assert_int_equal(slot->start, range->start);
	assert_int_equal(slot->last, range->last);
	assert_int_equal(slot->context, range->token);
	if (range->start)
		compare_at(naive, map, range->start - 1);
	compare_at(naive, map, range->start);
	compare_at(naive, map, range->last);
	compare_at(naive, map, range->last + 1);
}

void naive_compare(const struct naive_map *naive, const struct map *map)
{
	for (tl_range_id id = MAP_FIRST_ID; id < NAIVE_MAX_IDS; id++)
		if (naive->range[id].used)
			compare_range(naive, map, id);
		else if (id < map->nr_slots)
			assert_int_equal(map->ranges[id].kind, MAP_FREE);
	assert_int_equal(map->nr_places, naive->nr_ranges + 1);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t gpa =
			i < 6 ? naive_random_address() : naive_large_zone(i - 4) + random_below(11 * EPT_SPAN(i - 4));

		compare_at(naive, map, gpa);
	}
	compare_at(naive, map, BIT(mmu_cpu.maxphyaddr));
	compare_at(naive, map, ~0ull);
}

void naive_check_released(const struct naive_map *before, const struct naive_map *now)
{
	for (tl_range_id id = MAP_FIRST_ID; id < NAIVE_MAX_IDS; id++) {
		const struct naive_range *was = &before->range[id], *is = &now->range[id];

		if (is->used)
			assert_int_equal(naive_released[is->token], 0);
		if (was->used && !(is->used && is->token == was->token))
			assert_int_equal(naive_released[was->token], 1);
	}
}

void naive_choose_probes(gpa_t *probes, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (i < count * 3 / 4)
			probes[i] = naive_zone(i % NAIVE_NR_ZONES) + random_below(NAIVE_ZONE_PAGES * PAGE_SIZE);
		else
			probes[i] = naive_large_zone(2 + i % 2) + random_below(12 * EPT_SPAN(2 + i % 2));
}
