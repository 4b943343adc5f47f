/* SPDX-License-Identifier: MIT */
/* The posted-interrupt descriptor (SDM vol. 3, 30.6; docs/rules.md, rules 14 to 18), which CPUs change as well. */
#ifndef VMX_POSTED_H
#define VMX_POSTED_H

#include "mmu/types.h"
#include <stdatomic.h>
#include <trapline.h>

_Static_assert(sizeof(struct tl_posted) == 64, "the descriptor has 64 bytes");

/* Outstanding notification. */
#define POSTED_ON BIT(0)

/* The PIR's vectors from 64 * `word` on. */
static inline _Atomic uint64_t *posted_requests(const struct tl_posted *posted, unsigned word)
{
	return (_Atomic uint64_t *)&posted->requests[word];
}

static inline _Atomic uint64_t *posted_control(const struct tl_posted *posted)
{
	return (_Atomic uint64_t *)&posted->control;
}

#endif
