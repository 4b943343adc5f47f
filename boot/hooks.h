/* SPDX-License-Identifier: MIT */
#ifndef BOOT_HOOKS_H
#define BOOT_HOOKS_H

#include <stdbool.h>
#include <trapline.h>

/* What this embedder lends to the library. Precondition for its use: memory_init(), paging_init(). */
extern const struct tl_hooks host_hooks;

/* Keeps the library's TL_LOG_INFO lines off the console. */
void hooks_set_quiet(bool quiet);

#endif
