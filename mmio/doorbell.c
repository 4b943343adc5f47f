/* SPDX-License-Identifier: MIT */
#include "mmio/doorbell.h"

static bool matches(const struct tl_doorbell *bell, uint64_t offset, uint64_t data, unsigned size)
{
	for (size_t i = 0; i < bell->nr_matches; i++) {
		const struct tl_doorbell_match *match = &bell->matches[i];

		if (match->offset == offset && (match->size == 0 || match->size == size) &&
		    (data & match->mask) == match->value)
			return true;
	}
	return bell->nr_matches == 0;
}

/* Whole words where the guest's write is one, as a consumer on another CPU expects. */
static void store_shadow(uint8_t *at, uint64_t data, unsigned size)
{
	unsigned word = ((uintptr_t)at & (size - 1)) == 0 ? size : 1;

	switch (word) {
	case 2:
		__atomic_store_n((uint16_t *)(void *)at, (uint16_t)data, __ATOMIC_RELAXED);
		break;
	case 4:
		__atomic_store_n((uint32_t *)(void *)at, (uint32_t)data, __ATOMIC_RELAXED);
		break;
	case 8:
		__atomic_store_n((uint64_t *)(void *)at, data, __ATOMIC_RELAXED);
		break;
	default:
		for (unsigned i = 0; i < size; i++)
			__atomic_store_n(at + i, (uint8_t)(data >> (8 * i)), __ATOMIC_RELAXED);
	}
}

bool doorbell_write(const struct map_range *range, uint64_t offset, uint64_t data, unsigned size, struct tl_vcpu *vcpu,
		    unsigned cpu)
{
	const struct tl_doorbell *bell = range->doorbell;

	if (!matches(bell, offset, data, size))
		return false;
	if (bell->shadow)
		store_shadow(bell->shadow + offset, data, size);
	doorbell_ring(range, offset, vcpu, cpu);
	return true;
}
