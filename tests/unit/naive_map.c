/* SPDX-License-Identifier: MIT */
#include "tests/unit/naive_map.h"
#include "mmu/hooks.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

uint8_t naive_released[NAIVE_MAX_TOKENS];
unsigned naive_nr_tokens;

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

static void count_release(void *context)
{
	naive_released[(uintptr_t)context]++;
}

static enum tl_status serve(struct tl_mmio *access)
{
	(void)access;
	return TL_OK;
}

static uint64_t random_address(void)
{
	return naive_zone((unsigned)random_below(NAIVE_NR_ZONES)) + random_below(NAIVE_ZONE_PAGES * PAGE_SIZE);
}

/* Sizes that meet often: some bytes, some pages, rarely so many that little else fits. */
static uint64_t random_size(bool pages)
{
	if (pages || random_below(3) == 0)
		return PAGE_SIZE * (1 + random_below(random_below(8) ? 4 : 40));
	return random_below(2) ? 1 + random_below(64) : 1 + random_below(3 * PAGE_SIZE);
}

static tl_range_id random_id(const struct naive_map *map)
{
	/* Now and then one that is no range's. */
	if (random_below(40) == 0 || !map->nr_ranges)
		return (tl_range_id)(random_below(2) ? random_below(NAIVE_MAX_IDS) : random_next());
	for (;;) {
		tl_range_id id = (tl_range_id)random_below(NAIVE_MAX_IDS);

		if (map->range[id].used)
			return id;
	}
}

/* About some spans of a large entry: exactly, or a page more or less. */
static void make_large(struct tl_range *range)
{
	unsigned level = 2 + (unsigned)random_below(2);

	range->start = naive_large_zone(level) + EPT_SPAN(level) * random_below(NAIVE_LARGE_SPANS);
	range->size = EPT_SPAN(level) * (1 + random_below(3));
	if (random_below(3) == 0)
		range->start += PAGE_SIZE * random_below(3);
	if (random_below(3) == 0)
		range->size -= PAGE_SIZE * random_below(3);
	if (range->kind == TL_RANGE_MMIO && random_below(3) == 0)
		range->size -= random_below(PAGE_SIZE);
}

/* What tl_map_add() says to a range of itself. */
static enum tl_status expected_of(const struct tl_range *range)
{
	uint64_t last = range->start + (range->size - 1);

	if (range->size == 0)
		return TL_INVALID_ARGUMENT;
	if (last < range->start)
		return TL_WRAPS;
	if (last >= naive_zone(2) + NAIVE_ZONE_PAGES * PAGE_SIZE)
		return TL_TOO_HIGH;
	if (range->kind == TL_RANGE_MMIO)
		return TL_OK;
	return range->start % PAGE_SIZE || range->size % PAGE_SIZE ? TL_UNALIGNED : TL_OK;
}

static void make_wrong(struct tl_range *range)
{
	switch (random_below(4)) {
	case 0:
		range->size = 0;
		break;
	case 1:
		range->start = 0 - PAGE_SIZE * random_below(2);
		range->size = PAGE_SIZE * (2 + random_below(3));
		break;
	case 2:
		range->start = naive_zone(2) + PAGE_SIZE * (NAIVE_ZONE_PAGES - random_below(3));
		range->size = PAGE_SIZE * 4;
		break;
	default:
		range->start += 1 + random_below(PAGE_SIZE - 1);
	}
}

static bool note_addition(struct naive_edit *edit, struct naive_step *step)
{
	enum tl_range_kind kind = (enum tl_range_kind)random_below(5);
	struct tl_range range = {.kind = kind > TL_RANGE_MMIO ? TL_RANGE_MMIO : kind, .release = count_release};
	enum tl_status status;

	range.size = random_size(range.kind != TL_RANGE_MMIO);
	range.start = random_address();
	if (range.kind != TL_RANGE_MMIO) {
		range.start &= ~(PAGE_SIZE - 1);
		range.host = hosted_memory(PAGE_SIZE * random_below(1 << 16));
	} else if (random_below(2)) {
		range.start &= ~(PAGE_SIZE - 1);
	}
	if (range.kind == TL_RANGE_MMIO && random_below(2))
		range.access = serve;
	if (random_below(6) == 0)
		make_large(&range);
	if (random_below(30) == 0)
		make_wrong(&range);
	assert_true(naive_nr_tokens < NAIVE_MAX_TOKENS);
	range.context = (void *)(uintptr_t)naive_nr_tokens;
	status = tl_map_add(edit->edit, &range, &step->id);
	assert_int_equal(status, expected_of(&range));
	if (status != TL_OK)
		return false;
	step->kind = NAIVE_ADD;
	step->new = (struct naive_range){.used = true,
					 .kind = range.kind,
					 .start = range.start,
					 .last = range.start + (range.size - 1),
					 .host = range.host,
					 .token = naive_nr_tokens++};
	return true;
}

static bool note_change(const struct naive_map *map, struct naive_edit *edit, struct naive_step *step)
{
	enum tl_status status, expected;

	step->id = random_id(map);
	step->kind = (enum naive_kind)(NAIVE_REMOVE + random_below(3));
	switch (step->kind) {
	case NAIVE_REMOVE:
		status = tl_map_remove(edit->edit, step->id);
		break;
	case NAIVE_MOVE:
		step->value = random_below(50) ? random_address() : random_next();
		if (random_below(4))
			step->value &= ~(PAGE_SIZE - 1);
		status = tl_map_move(edit->edit, step->id, step->value);
		break;
	default:
		step->value = random_below(50) ? random_size(random_below(4)) : random_next() << random_below(64);
		status = tl_map_resize(edit->edit, step->id, step->value);
	}
	expected = step->kind == NAIVE_RESIZE && step->value == 0 ? TL_INVALID_ARGUMENT
		   : step->id < MAP_FIRST_ID                      ? TL_NO_RANGE
								  : TL_OK;
	assert_int_equal(status, expected);
	return status == TL_OK;
}

void naive_random_edit(const struct naive_map *map, struct tl_vm *vm, struct naive_edit *edit)
{
	unsigned nr_steps = random_below(3) ? 1 : 1 + (unsigned)random_below(NAIVE_MAX_STEPS);

	edit->edit = tl_map_edit(vm);
	assert_non_null(edit->edit);
	edit->nr_steps = 0;
	for (unsigned i = 0; i < nr_steps; i++) {
		struct naive_step *step = &edit->step[edit->nr_steps];
		bool adds = random_below(NAIVE_MAX_RANGES) > map->nr_ranges;

		edit->nr_steps += adds ? note_addition(edit, step) : note_change(map, edit, step);
	}
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
	static const enum map_kind kinds[] = {
		[TL_RANGE_RAM] = MAP_RAM, [TL_RANGE_ROM] = MAP_ROM, [TL_RANGE_MMIO] = MAP_MMIO};
	const struct naive_range *range = &naive->range[id];
	const struct map_range *slot = &map->ranges[id];

	assert_true(id < map->nr_slots);
	assert_int_equal(slot->id, id);
	assert_int_equal(slot->kind, kinds[range->kind]);
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
		uint64_t gpa = i < 6 ? random_address() : naive_large_zone(i - 4) + random_below(11 * EPT_SPAN(i - 4));

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
