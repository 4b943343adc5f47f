/* SPDX-License-Identifier: MIT */
#include "mmio/doorbell.h"

#include "mmio/memory.h"

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

bool doorbell_write(const struct map_range *range, uint64_t offset, uint64_t data, unsigned size, struct tl_vcpu *vcpu,
		    unsigned cpu)
{
	const struct tl_doorbell *bell = range->doorbell;

	if (!matches(bell, offset, data, size))
		return false;
	if (bell->shadow)
		memory_store(bell->shadow + offset, data, size);
	doorbell_ring(range, offset, vcpu, cpu);
	return true;
}
