/* SPDX-License-Identifier: MIT */
#include "mmu/map.h"

const struct map_range *map_find(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = &map->ranges[map->places[map_place_of(map, gpa)].id];

	return gpa <= range->last ? range : &map->ranges[MAP_HOLE_ID];
}

const struct map_range *map_find_extent(const struct map *map, gpa_t gpa, gpa_t *first, gpa_t *last)
{
	uint32_t place = map_place_of(map, gpa);
	const struct map_range *range = &map->ranges[map->places[place].id];
	const struct map_range *hole = &map->ranges[MAP_HOLE_ID];

	*first = range->start;
	*last = range->last;
	if (place && gpa <= range->last)
		return range;
	/* The hole begins where the range before it ends, and ends where the next one begins. */
	if (place)
		*first = range->last + 1;
	*last = place + 1 < map->nr_places ? map->places[place + 1].start - 1 : hole->last;
	return hole;
}

COLD const uint8_t *map_host_execute_only(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = map_find(map, gpa);

	return range->kind == MAP_EXECUTE_ONLY ? range->host + (gpa - range->start) : NULL;
}

COLD uint8_t *map_host_search(const struct map *map, gpa_t gpa)
{
	const struct map_range *range = map_find(map, gpa);

	if (range->kind != MAP_RAM && range->kind != MAP_ROM)
		return NULL;
	return range->host + (gpa - range->start);
}
