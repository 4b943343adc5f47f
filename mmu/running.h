/* SPDX-License-Identifier: MIT */
/* A reader enters and leaves tl_vcpu_run(): what an embedder that completes accesses pays for each of them. */
#ifndef MMU_RUNNING_H
#define MMU_RUNNING_H

#include "mmu/vm.h"

/* Each is written and read by its own CPU only. */
extern struct grace_reader *grace_current_reader[TL_MAX_CPUS];

/* The same where this CPU is behind the flush number: flushes first. */
COLD void grace_flush_and_announce(struct grace_reader *reader, unsigned cpu);

/* grace_announce() on `cpu`, the calling one. */
ALWAYS_INLINE void grace_announce_on(struct grace_reader *reader, unsigned cpu)
{
	struct tl_vm *of = reader->vm;
	/* seq_cst for the first load after in_run was set, acquire for the others: the maps published before it. */
	uint64_t round = atomic_load_explicit(&of->round, memory_order_seq_cst);

	/* acquire, after the round: a writer raises the flush number first, so who sees the round sees the number. */
	if (unlikely(of->flushed[cpu] != atomic_load_explicit(&of->flush_number, memory_order_acquire))) {
		grace_flush_and_announce(reader, cpu);
		return;
	}
	/* What a kick left unfinished is to be looked at again before the next entry. */
	reader->entry_round = reader->pending ? GRACE_ATTENTION : round;
	/* release: the flush, and every use of an older map, come before the announcement. */
	atomic_store_explicit(&reader->word, round, memory_order_release);
}

/*
 * Begins and ends a time in which the reader may hold maps. `cpu` is the calling one. Precondition: it runs no other
 * reader.
 */
ALWAYS_INLINE void grace_enter(struct grace_reader *reader, unsigned cpu)
{
	grace_current_reader[cpu] = reader;
	atomic_store_explicit(&reader->cpu, cpu, memory_order_relaxed);
	/* The exchange is the fence that a reader pays once per tl_vcpu_run(): a writer either sees in_run, or raised
	 * the round before the load in grace_announce_on() and this reader sees its map. */
	atomic_exchange_explicit(&reader->in_run, 1, memory_order_seq_cst);
	grace_announce_on(reader, cpu);
}

ALWAYS_INLINE void grace_leave(struct grace_reader *reader, unsigned cpu)
{
	reader->entry_round = GRACE_ATTENTION;
	/* release: whatever was read from a map comes before a writer may reuse it. */
	atomic_store_explicit(&reader->in_run, 0, memory_order_release);
	grace_current_reader[cpu] = NULL;
}

#endif
