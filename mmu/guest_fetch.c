/* SPDX-License-Identifier: MIT */
#include "mmu/guest_fetch.h"

struct unaligned {
	uint64_t value;
} __attribute__((packed, may_alias));

enum guest_walk_status guest_fetch(const struct map *map, const struct guest_paging *paging, gva_t linear,
				   unsigned limit, struct guest_code *code, struct guest_walk *walk)
{
	enum guest_walk_status status = guest_walk(map, paging, linear, GUEST_FETCH, walk);
	unsigned left = (unsigned)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
	const uint8_t *host;

	if (unlikely(status != GUEST_WALK_OK))
		return status;
	host = map_host(map, walk->gpa);
	if (unlikely(!host))
		host = map_host_execute_only(map, walk->gpa);
	if (unlikely(!host))
		return GUEST_WALK_NOT_RAM;
	if (code->available == 0)
		code->host = host;
	if (likely(code->available == 0 && limit >= GUEST_CODE_MAX && left >= GUEST_CODE_MAX)) {
		uint64_t low = ((const volatile struct unaligned *)host)->value;
		uint64_t high = ((const volatile struct unaligned *)(host + 7))->value;

		__builtin_memcpy(code->bytes, &low, 8);
		__builtin_memcpy(code->bytes + 7, &high, 8);
		code->available = GUEST_CODE_MAX;
		return GUEST_WALK_OK;
	}
	for (; left && code->available < limit && code->available < GUEST_CODE_MAX; left--)
		code->bytes[code->available++] = *(const volatile uint8_t *)host++;
	return GUEST_WALK_OK;
}
