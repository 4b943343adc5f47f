/* SPDX-License-Identifier: MIT */
/* An instruction read through the guest's page tables and decoded: the second page only if the instruction needs it. */
#ifndef MMIO_FETCH_H
#define MMIO_FETCH_H

#include "mmio/decode.h"
#include "mmu/guest_fetch.h"

enum fetch_status {
	FETCH_OK,
	FETCH_PAGE_FAULT,    /* #PF with .error_code, CR2 is .linear */
	FETCH_PROTECTION,    /* #GP(0): longer than 15 bytes, beyond the code segment's limit, or not canonical */
	FETCH_INVALID,       /* #UD */
	FETCH_UNSUPPORTED,   /* has no memory operand, or is not emulated; code holds the bytes */
	FETCH_TABLE_NOT_RAM, /* a page table lies in MMIO or in the hole, at .gpa */
	FETCH_NOT_RAM,       /* the code lies there, at .gpa */
	FETCH_RETRY,         /* another CPU changed the tables meanwhile: let the guest try again */
};

struct fetch {
	struct guest_code code;
	unsigned nr_walks; /* pages read: 1 or 2 */
	struct guest_walk walk[2];
	gva_t linear;
	gpa_t gpa;
	uint32_t error_code;
};

/*
 * Reads and decodes the instruction at `linear`, of which the code segment holds `limit` bytes from there on (1 or
 * more; what exceeds 15 does not matter). code_bits is 16, 32 or 64; only with 64 do addresses pass 2^32.
 * fetch->code, and the walks done, are filled in whatever the status is.
 */
enum fetch_status insn_fetch(const struct map *map, const struct guest_paging *paging, gva_t linear, unsigned limit,
			     unsigned code_bits, struct fetch *fetch, struct insn *insn);

#endif
