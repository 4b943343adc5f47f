/* SPDX-License-Identifier: MIT */
/* Instruction bytes, read through the guest's own page tables. */
#ifndef MMU_GUEST_FETCH_H
#define MMU_GUEST_FETCH_H

#include "mmu/guest_walk.h"

enum { GUEST_CODE_MAX = 15 };

/* Instruction bytes, read once. */
struct guest_code {
	uint8_t bytes[GUEST_CODE_MAX];
	uint8_t available;
	const uint8_t *host; /* where the first of them stand in guest RAM or ROM; good to the end of that page */
};

/*
 * Appends to `code` what the page of `linear` holds from there on, up to `limit` bytes in all (more than
 * code->available; at most GUEST_CODE_MAX, less where the code segment ends earlier). `linear` is the address of the
 * first byte appended. Start with available = 0; when the decoder needs more and `limit` is not reached, call again
 * for the next page, with another `walk` if the first is to be kept.
 */
enum guest_walk_status guest_fetch(const struct map *map, const struct guest_paging *paging, gva_t linear,
				   unsigned limit, struct guest_code *code, struct guest_walk *walk);

#endif
