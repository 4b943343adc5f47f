/* SPDX-License-Identifier: MIT */
/*
 * Taking the right to write from whole stretches of memory at once, and giving it back page by page.
 *
 * The CPU may write through a path only where every entry on it allows it. So it is taken from the few entries nearest
 * to the root that cover a stretch, whatever hangs below; a pointer to a table without the right is called closed.
 * Whoever opens it again first takes the right from all entries of that table, so the next level is closed instead.
 */
#ifndef MMU_EPT_PROTECT_H
#define MMU_EPT_PROTECT_H

#include "mmu/ept_table.h"

/* In a pointer to a table: somebody is opening it. Ignored by the CPU. */
#define EPT_OPENING BIT(52)

/*
 * Closes [first, last], pages only where writes are logged by protection. Precondition: the table lock is held. The
 * caller flushes.
 */
void ept_close(struct tl_vm *vm, gpa_t first, gpa_t last, enum dirty_by by);

enum ept_open {
	EPT_WAS_OPEN,
	EPT_OPENED,
	EPT_BUSY, /* somebody else is at it: let the guest try again */
};

/* Opens the pointers on the way to `gpa`. Context: a reader that holds a map. */
enum ept_open ept_open(struct tl_vm *vm, gpa_t gpa);

#endif
