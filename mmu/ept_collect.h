/* SPDX-License-Identifier: MIT */
/*
 * Tables that are not needed any more: unlinked at once, freed after a grace period and a flush (rule 6). Until then a
 * CPU may walk through them, and a vCPU may even link others below.
 */
#ifndef MMU_EPT_COLLECT_H
#define MMU_EPT_COLLECT_H

#include "mmu/ept.h"
#include <trapline.h>

enum { EPT_GARBAGE_MAX = 62 };

/* Unlinked tables, with all that hangs below them. */
struct ept_garbage {
	uint64_t nr;
	uint64_t table[EPT_GARBAGE_MAX]; /* its address, and in the low bits the level of its entries */
};

/* What to unlink. */
struct ept_collect {
	gpa_t first, last; /* looked at are the tables that meet this */
	gpa_t lowest,
		highest; /* around it, what one entry could say: a table of nothing else goes, whatever is in it */
	unsigned level;  /* the largest entry that could say it */
};

/*
 * Unlinks the tables of `what`, and on the way those that are empty. False: there is no room in `garbage`, so free that
 * and call again. Precondition: the table lock is held. The caller flushes, and frees after that.
 */
bool ept_collect(struct tl_vm *vm, const struct ept_collect *what, struct ept_garbage *garbage);

/*
 * Unlinks tables that hold MMIO entries or nothing, as many as there is room for: what they say is found again by a
 * search. Goes on where it ended the last time. Same precondition.
 */
void ept_collect_mmio(struct tl_vm *vm, struct ept_garbage *garbage);

/* Frees what was unlinked. Precondition: since then a grace period has passed, and every CPU has flushed. */
void ept_garbage_free(struct tl_vm *vm, struct ept_garbage *garbage);

#endif
