/* SPDX-License-Identifier: MIT */
/*
 * Pages for the EPT's tables. Each CPU keeps a few at hand, so that a fault takes one without asking the embedder,
 * whose allocator may have a lock; the hook is called when a CPU has none left, for several at once.
 */
#ifndef MMU_EPT_PAGES_H
#define MMU_EPT_PAGES_H

#include "mmu/ept.h"
#include <trapline.h>

enum { EPT_PAGES_AT_HAND = 7 };

/* Zeroed pages. Touched by its own CPU only, with interrupts off. */
struct ept_page_cache {
	ept_slot_t *page[EPT_PAGES_AT_HAND];
	uint64_t count;
};

_Static_assert(sizeof(struct ept_page_cache) == 64, "no two CPUs share a cache line");

/*
 * A zeroed page for a table, NULL if the VM has as many as it may or the embedder has none. Context: a vCPU's exit, or
 * a VM that nobody else uses. Concurrency: lockless.
 */
ept_slot_t *ept_page_take(struct tl_vm *vm);

/* The same straight from the embedder, whoever calls; what is not linked goes to ept_page_free(). */
ept_slot_t *ept_page_alloc(struct tl_vm *vm);

/* Puts back a page of ept_page_take() that was never linked; `used`: it is not zeroed any more. Same context. */
void ept_page_put_back(struct tl_vm *vm, ept_slot_t *page, bool used);

/* Gives a table that no CPU can reach to the embedder. Context: any. */
void ept_page_free(struct tl_vm *vm, ept_slot_t *page);

/* Gives back what the CPUs have at hand. Precondition: no vCPU of the VM is left. */
void ept_pages_drain(struct tl_vm *vm);

#endif
