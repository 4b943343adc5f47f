/* SPDX-License-Identifier: MIT */
/* Ringing a doorbell. */
#ifndef MMIO_DOORBELL_H
#define MMIO_DOORBELL_H

#include "mmu/map.h"
#include <stdatomic.h>

/*
 * Signals one access at `offset` of a range of kind MAP_DOORBELL or MAP_DOORBELL_DECODED. `cpu` is the calling one. On
 * the path of each access: plain stores only.
 */
ALWAYS_INLINE void doorbell_ring(const struct map_range *range, uint64_t offset, struct tl_vcpu *vcpu, unsigned cpu)
{
	const struct tl_doorbell *bell = range->doorbell;

	switch (bell->signal) {
	case TL_SIGNAL_COUNT:
		/* Volatile, so that a reader on another CPU sees whole counts; nobody else writes this one. */
		*(volatile uint64_t *)&bell->counts[cpu].count = bell->counts[cpu].count + 1;
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
