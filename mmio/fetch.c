/* SPDX-License-Identifier: MIT */
#include "mmio/fetch.h"

static enum fetch_status fetch_failed(struct fetch *fetch, enum guest_walk_status status, const struct guest_walk *walk)
{
	fetch->gpa = walk->gpa;
	fetch->error_code = walk->error_code;
	switch (status) {
	case GUEST_WALK_FAULT:
		return FETCH_PAGE_FAULT;
	case GUEST_WALK_NON_CANONICAL:
		return FETCH_PROTECTION;
	case GUEST_WALK_TABLE_NOT_RAM:
		return FETCH_TABLE_NOT_RAM;
	case GUEST_WALK_NOT_RAM:
		return FETCH_NOT_RAM;
	default:
		return FETCH_RETRY;
	}
}

static enum fetch_status fetch_decoded(enum decode_status status)
{
	switch (status) {
	case DECODE_OK:
		return FETCH_OK;
	case DECODE_INVALID:
		return FETCH_INVALID;
	case DECODE_UNSUPPORTED:
		return FETCH_UNSUPPORTED;
	default:
		/* Too long, or more is needed than the code segment has. */
		return FETCH_PROTECTION;
	}
}

enum fetch_status insn_fetch(const struct map *map, const struct guest_paging *paging, gva_t linear, unsigned limit,
			     unsigned code_bits, struct fetch *fetch, struct insn *insn)
{
	struct guest_code *code = &fetch->code;
	enum decode_status decoded;

	code->available = 0;
	for (fetch->nr_walks = 0;;) {
		struct guest_walk *walk = &fetch->walk[fetch->nr_walks];
		enum guest_walk_status status;

		fetch->linear = linear + code->available;
		if (code_bits != 64)
			fetch->linear = (uint32_t)fetch->linear;
		status = guest_fetch(map, paging, fetch->linear, limit, code, walk);
		if (unlikely(status != GUEST_WALK_OK))
			return fetch_failed(fetch, status, walk);
		fetch->nr_walks++;
		decoded = insn_decode(code->bytes, code->available, code_bits, insn);
		/* Two pages hold any instruction, and 15 bytes are enough to say; with a limit there may be no more. */
		if (likely(decoded != DECODE_MORE) || code->available >= limit)
			return fetch_decoded(decoded);
	}
}
