/* SPDX-License-Identifier: MIT */
#include "mmu/ept_pages.h"
#include "mmu/hooks.h"
#include "mmu/vm.h"

/* One page at least, and then as many as a CPU may keep; the first one that is refused ends it. False: there is none.
 */
static COLD bool refill(struct tl_vm *vm, struct ept_page_cache *cache)
{
	do {
		ept_slot_t *page = hooks->alloc_pages(1);

		if (!page)
			break;
		cache->page[cache->count++] = page;
	} while (cache->count < vm->ept_pages_at_hand);
	return cache->count != 0;
}

/* relaxed: a count and its limit, they order nothing. What is at hand is not counted: it is few. */
static bool count_one(struct tl_vm *vm)
{
	return atomic_fetch_add_explicit(&vm->nr_ept_pages, 1, memory_order_relaxed) <
	       atomic_load_explicit(&vm->max_ept_pages, memory_order_relaxed);
}

static ept_slot_t *refused(struct tl_vm *vm)
{
	atomic_fetch_sub_explicit(&vm->nr_ept_pages, 1, memory_order_relaxed);
	return NULL;
}

ept_slot_t *ept_page_take(struct tl_vm *vm)
{
	struct ept_page_cache *cache = &vm->page_cache[hooks->cpu_index()];

	if (count_one(vm) && (likely(cache->count) || refill(vm, cache)))
		return cache->page[--cache->count];
	return refused(vm);
}

ept_slot_t *ept_page_alloc(struct tl_vm *vm)
{
	ept_slot_t *page = count_one(vm) ? hooks->alloc_pages(1) : NULL;

	return page ? page : refused(vm);
}

void ept_page_put_back(struct tl_vm *vm, ept_slot_t *page, bool used)
{
	struct ept_page_cache *cache = &vm->page_cache[hooks->cpu_index()];

	if (cache->count >= vm->ept_pages_at_hand) {
		ept_page_free(vm, page);
		return;
	}
	if (used)
		__builtin_memset((void *)page, 0, PAGE_SIZE);
	cache->page[cache->count++] = page;
	atomic_fetch_sub_explicit(&vm->nr_ept_pages, 1, memory_order_relaxed);
}

void ept_page_free(struct tl_vm *vm, ept_slot_t *page)
{
	hooks->free_pages((void *)page, 1);
	atomic_fetch_sub_explicit(&vm->nr_ept_pages, 1, memory_order_relaxed);
}

void ept_pages_drain(struct tl_vm *vm)
{
	for (unsigned cpu = 0; cpu < TL_MAX_CPUS; cpu++) {
		struct ept_page_cache *cache = &vm->page_cache[cpu];

		while (cache->count)
			hooks->free_pages((void *)cache->page[--cache->count], 1);
	}
}
