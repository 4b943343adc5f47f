/* SPDX-License-Identifier: MIT */
/* What the embedder does for the library: the table given to tl_init(), and short forms of its use. */
#ifndef MMU_HOOKS_H
#define MMU_HOOKS_H

#include "mmu/types.h"
#include <trapline.h>

/* NULL until hooks_set(); constant from then on. */
extern const struct tl_hooks *hooks;

/* Keeps the table, which must stay where it is. TL_INVALID_ARGUMENT: a hook is missing. Context: one CPU, first. */
enum tl_status hooks_set(const struct tl_hooks *table);

/* Precondition: `virtual` lies in the embedder's direct window. */
ALWAYS_INLINE hpa_t host_to_phys(const void *virtual)
{
	return (hpa_t)(uintptr_t) virtual - hooks->direct_offset;
}

/* Precondition: the embedder's direct window covers the address. */
ALWAYS_INLINE void *phys_to_host(hpa_t physical)
{
	return (void *)(uintptr_t)(physical + hooks->direct_offset);
}

/* `count` contiguous, zeroed 4 KiB pages, or NULL. */
ALWAYS_INLINE void *page_alloc(size_t count)
{
	return hooks->alloc_pages(count);
}

/* NULL is nothing to free. */
ALWAYS_INLINE void page_free(void *pages, size_t count)
{
	if (pages)
		hooks->free_pages(pages, count);
}

/* One line through the log hook. Conversions: those of struct tl_hooks' log. */
COLD void tl_log(enum tl_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A rule of the library's own was broken; `format` says which. */
COLD _Noreturn void tl_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
