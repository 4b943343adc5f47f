/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a RAM range were written. A logged range has a bit for each page; the EPT lets a page be written only
 * once its bit is set. See docs/how-it-works.md, "Dirty logging".
 */
#ifndef MMU_DIRTY_H
#define MMU_DIRTY_H

#include "mmu/map.h"

/* The writes' log of a range, NULL if it has none. */
ALWAYS_INLINE _Atomic uint64_t *dirty_log(const struct map_range *range)
{
	return range->kind == MAP_RAM ? range->log : NULL;
}

/* Marks the page at `offset` of a logged range. */
void dirty_mark(_Atomic uint64_t *log, uint64_t offset);

/*
 * The library is about to write `size` bytes at `gpa` of the range itself. Context: an exit of a vCPU, or under the
 * writer lock: either way a fetch that takes the mark returns after the write.
 */
ALWAYS_INLINE void dirty_write(const struct map_range *range, gpa_t gpa, uint64_t size)
{
	_Atomic uint64_t *log = dirty_log(range);

	if (unlikely(log)) {
		dirty_mark(log, gpa - range->start);
		dirty_mark(log, gpa + (size - 1) - range->start);
	}
}

#endif
