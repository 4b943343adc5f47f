/* SPDX-License-Identifier: MIT */
/*
 * The memory map once more, as simple as it can be: a table of ranges by id, searched from one end to the other. Tests
 * compare the library's map with it. Random transactions come from here, too.
 */
#ifndef UNIT_NAIVE_MAP_H
#define UNIT_NAIVE_MAP_H

#include "mmu/map.h"
#include "mmu/vm.h"
#include <trapline.h>

enum { NAIVE_MAX_IDS = 64, NAIVE_MAX_RANGES = 20, NAIVE_MAX_STEPS = 6, NAIVE_MAX_TOKENS = 1 << 21 };

struct naive_range {
	bool used;
	enum tl_range_kind kind;
	bool callback;
	uint64_t start, last;
	uint8_t *host;
	unsigned token; /* which call of tl_map_add() it comes from */
};

struct naive_map {
	struct naive_range range[NAIVE_MAX_IDS]; /* by id */
	unsigned nr_ranges;
	uint64_t touched; /* the ids, a bit each, whose entries the edits since it was cleared made stale */
};

enum naive_kind { NAIVE_ADD, NAIVE_REMOVE, NAIVE_MOVE, NAIVE_RESIZE };

struct naive_step {
	enum naive_kind kind;
	tl_range_id id;         /* what it changes; for an addition where the range went, once it is committed */
	uint64_t value;         /* of a move or resize */
	struct naive_range new; /* of an addition */
};

struct naive_edit {
	struct tl_edit *edit;
	unsigned nr_steps;
	struct naive_step step[NAIVE_MAX_STEPS];
};

/* How often the release hook of each token was called. */
extern uint8_t naive_released[NAIVE_MAX_TOKENS];
extern unsigned naive_nr_tokens;

/*
 * Where naive_random_edit() puts its ranges: on pages from 0, around 1 GiB, and below the end; and some large ones on
 * spans of an EPT entry at level 2 and 3.
 */
enum { NAIVE_ZONE_PAGES = 48, NAIVE_NR_ZONES = 3, NAIVE_LARGE_SPANS = 8 };
uint64_t naive_zone(unsigned zone);
uint64_t naive_large_zone(unsigned level);
uint64_t naive_random_address(void); /* in one of the zones of pages */

/* The id of the range that holds `gpa`, TL_HOLE if none does. */
tl_range_id naive_owner(const struct naive_map *map, uint64_t gpa);

/* Whether one range, or the hole, holds all of [first, last]. */
bool naive_is_one_range(const struct naive_map *map, uint64_t first, uint64_t last);

/* naive_edit.c */
/*
 * Notes a random transaction against `map`, wrong edits among the right ones, and checks the status of those that are
 * wrong by themselves.
 */
void naive_random_edit(const struct naive_map *map, struct tl_vm *vm, struct naive_edit *edit);

/* Does what `edit` says, in order. The status of the first step that does not fit; then *map is to be thrown away. */
enum tl_status naive_apply(struct naive_map *map, const struct naive_edit *edit);

/* Whether an edit of one step takes an address from a range of `map`; of several: whether one may. */
bool naive_takes(const struct naive_map *map, const struct naive_edit *edit);

/* Puts the additions of a committed edit where the library put them. Checks that the ids were free. */
void naive_place_additions(struct naive_map *map, const struct naive_edit *edit);

/* Compares every slot, every boundary and some random addresses with their extents; fails the test at a difference. */
void naive_compare(const struct naive_map *naive, const struct map *map);

/* Fails the test unless exactly the ranges of `before` that are not in `now` have been released, each once. */
void naive_check_released(const struct naive_map *before, const struct naive_map *now);

/* Addresses to access: three quarters of them in the zones, the others in the large ones. */
void naive_choose_probes(gpa_t *probes, unsigned count);

#endif
