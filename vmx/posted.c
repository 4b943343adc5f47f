/* SPDX-License-Identifier: MIT */
#include "vmx/posted.h"

enum { REGISTER_IRR = 0x200, STRIDE = 16, WORDS = 4 };

static void add(void *registers, unsigned part, uint32_t requests)
{
	_Atomic uint32_t *word = (_Atomic uint32_t *)((uint8_t *)registers + REGISTER_IRR + part * STRIDE);

	/* relaxed: the page is this CPU's; others look at it, and see it before or after. */
	atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) | requests, memory_order_relaxed);
}

/* As the CPU does it (SDM vol. 3, 30.6, steps 3 and 5). */
void tl_posted_collect(struct tl_posted *posted, void *registers)
{
	/* seq_cst: after the exchange of in_run (rule 16); who set ON before that is seen. */
	if (!(atomic_load_explicit(posted_control(posted), memory_order_seq_cst) & POSTED_ON))
		return;
	/* acquire: the requests of all who found ON set, or set it (rule 15). */
	atomic_fetch_and_explicit(posted_control(posted), ~POSTED_ON, memory_order_acquire);
	for (unsigned i = 0; i < WORDS; i++) {
		/* acquire: what was stored before the request is there for who handles it (rule 14). */
		uint64_t taken = atomic_exchange_explicit(posted_requests(posted, i), 0, memory_order_acquire);

		if (!taken)
			continue;
		add(registers, 2 * i, (uint32_t)taken);
		add(registers, 2 * i + 1, (uint32_t)(taken >> 32));
	}
}

uint32_t tl_posted_requests(const struct tl_posted *posted, unsigned part)
{
	/* relaxed: it is a look, of before or after; who posts has it looked at again (rule 17). */
	return (uint32_t)(atomic_load_explicit(posted_requests(posted, part / 2), memory_order_relaxed) >>
			  32 * (part % 2));
}
