/* SPDX-License-Identifier: MIT */
/* What a range does with one access of up to 8 bytes: memory, callback, embedder, coalescing ring, doorbell, hole. */
#ifndef MMIO_DISPATCH_H
#define MMIO_DISPATCH_H

#include "mmio/engine.h"

/* Whether a device of these sizes takes `count` bytes, 1, 2, 4 or 8, at `gpa`. */
ALWAYS_INLINE bool mmio_size_is_taken(unsigned sizes, gpa_t gpa, unsigned count)
{
	return sizes & count && ALIGNED(gpa, count);
}

/* How many of up to `most` (1 to 8) bytes from `gpa` on `range` takes in one access: to its end, and by its sizes. */
unsigned mmio_piece(const struct map *map, const struct map_range *range, gpa_t gpa, unsigned most);

/*
 * Does `count` bytes, as mmio_piece() gave them. *data: what is written, or gets what was read, zero-extended.
 * MMIO_DONE, MMIO_EMBEDDER, MMIO_DRAIN or MMIO_DEVICE_ERROR, all with *env->access filled in where a device is asked.
 */
enum mmio_progress mmio_dispatch(const struct mmio_environment *env, const struct map_range *range, gpa_t gpa,
				 unsigned count, bool write, uint64_t *data);

#endif
