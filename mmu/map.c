/* SPDX-License-Identifier: MIT */
#include "mmu/map.h"

uint32_t map_place_of(const struct map *map, gpa_t gpa)
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

const struct map_range *map_find(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = &map->ranges[map->places[map_place_of(map, gpa)].id];

	return gpa <= range->last ? range : &map->ranges[MAP_HOLE_ID];
}

bool map_span_is_one_range(const struct map *map, gpa_t first, gpa_t last, const struct map_range **range)
{
	const struct map_range *end;

	*range = map_find(map, first);
	if ((*range)->id != MAP_HOLE_ID)
		return last <= (*range)->last;
	/* In the hole: whatever begins last at or below the span's end must end before the span. */
	end = &map->ranges[map->places[map_place_of(map, last)].id];
	return end->id == MAP_HOLE_ID || end->last < first;
}

COLD uint8_t *map_host_search(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = map_find(map, gpa);

	if (range->kind != MAP_RAM && range->kind != MAP_ROM)
		return NULL;
	return range->host + (gpa - range->start);
}
