/* SPDX-License-Identifier: MIT */
/* Ringing a doorbell. */
#ifndef MMIO_DOORBELL_H
#define MMIO_DOORBELL_H

#include "mmu/map.h"
#include <stdatomic.h>

/* Counts one access to a doorbell of TL_SIGNAL_COUNT. `cpu` is the calling one. */
ALWAYS_INLINE void doorbell_count(const struct map_range *range, unsigned cpu)
{
	/* Nobody else writes this one. */
	range->doorbell->counts[cpu].count++;
}

/* The same for every way of signalling. */
ALWAYS_INLINE void doorbell_ring(const struct map_range *range, uint64_t offset, struct tl_vcpu *vcpu, unsigned cpu)
{
	const struct tl_doorbell *bell = range->doorbell;

	switch (bell->signal) {
	case TL_SIGNAL_COUNT:
		doorbell_count(range, cpu);
		break;
	case TL_SIGNAL_FLAG:
		/* release: a shadow's data is there before the flag. */
		__atomic_store_n(&bell->flags[offset >> bell->stride_shift], 1, __ATOMIC_RELEASE);
		break;
	default:
		bell->call(range->context, offset, vcpu);
	}
}

/* A decoded write of `size` bytes: rings if it matches; false: it is for the range's callback or the embedder. */
bool doorbell_write(const struct map_range *range, uint64_t offset, uint64_t data, unsigned size, struct tl_vcpu *vcpu,
		    unsigned cpu);

#endif
