/* SPDX-License-Identifier: MIT */
/*
 * The dirty flags of a logged range's pages. The CPU sets one when it writes to the page (SDM vol. 3, 29.3.5), in
 * leaves of 4 KiB only, since larger ones of such a range must not be written through. A flag counts where every
 * pointer on the way to it is open: below a closed one it may be older than the log, and who opens that clears it
 * first.
 */
#ifndef MMU_EPT_DIRTY_H
#define MMU_EPT_DIRTY_H

#include "mmu/ept_table.h"

/*
 * Where to look, for the pages of which memory, and where to note what was written: bit n of `log` is page n from
 * `host` on. What stands there of other memory is left alone: it is of before a range came, or has come since one went.
 */
struct ept_harvest {
	gpa_t first, last;
	hpa_t host;
	uint64_t size;
	_Atomic uint64_t *log;
	ept_entry_t keep; /* the bits of a page's entry that stay: ~EPT_DIRTY; or without EPT_WRITE; or nothing */
};

/*
 * Marks the pages that were written, and takes their flags and perhaps more, of those as well that were not. Each is
 * one compare-and-exchange, so that a flag that the CPU sets meanwhile is seen or stays. Precondition: the table lock
 * is held. The caller flushes: until then a CPU may write to a page without setting its flag again.
 */
void ept_harvest(struct tl_vm *vm, const struct ept_harvest *harvest);

/* The entry of the page at `gpa` if the guest may write to it, or 0. Context: a reader. */
ept_entry_t ept_open_page(const struct tl_vm *vm, gpa_t gpa);

/* Takes the flag of the page at `gpa`. Precondition: the table lock is held. The caller flushes. */
void ept_clean(struct tl_vm *vm, gpa_t gpa);

#endif
