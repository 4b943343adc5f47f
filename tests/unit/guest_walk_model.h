/* SPDX-License-Identifier: MIT */
/* The walk of a guest's page tables as the SDM tells it (vol. 3, chapter 4), written apart from mmu/guest_walk.c. */
#ifndef UNIT_GUEST_WALK_MODEL_H
#define UNIT_GUEST_WALK_MODEL_H

#include "mmu/guest_walk.h"
#include "tests/unit/guest_memory.h"

enum mode { MODE_NONE, MODE_32, MODE_PAE, MODE_4, MODE_5, NR_MODES };

struct model {
	enum guest_walk_status status;
	uint32_t error_code;
	uint64_t gpa;
	unsigned count, size;
	uint64_t at[5], entry[5];
	unsigned shift; /* of the leaf */
};

enum mode model_mode(const struct guest_paging *paging);

/* Where a guest-physical address is in the memory of guest_memory.h; NULL if it is neither RAM nor ROM. */
uint8_t *model_host(uint64_t gpa);

/* The entry of `size` bytes there. */
uint64_t model_peek(uint64_t gpa, unsigned size);

/* Fills in *model: the result, and the entries as they are. Changes nothing. */
void model_walk(struct model *model, const struct guest_paging *paging, uint64_t linear, unsigned access);

#endif
