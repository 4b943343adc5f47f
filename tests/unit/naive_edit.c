/* SPDX-License-Identifier: MIT */
#include "tests/unit/hosted.h"
#include "tests/unit/naive_map.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

uint8_t naive_released[NAIVE_MAX_TOKENS];
unsigned naive_nr_tokens;

static void count_release(void *context)
{
	naive_released[(uintptr_t)context]++;
}

static enum tl_status serve(struct tl_mmio *access)
{
	(void)access;
	return TL_OK;
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
	range.start = naive_random_address();
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
					 .callback = range.access != NULL,
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
		step->value = random_below(50) ? naive_random_address() : random_next();
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
