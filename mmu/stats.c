/* SPDX-License-Identifier: MIT */
#include "mmu/stats.h"
#include "mmu/ept_table.h"
#include "mmu/vm.h"

static void add(struct tl_stats *sum, const struct vcpu_stats *part)
{
	sum->fresh += stats_read(&part->fresh);
	sum->stale += stats_read(&part->stale);
	sum->retried += stats_read(&part->retried);
	sum->bugs += stats_read(&part->bugs);
	sum->hole_reads += stats_read(&part->hole_reads);
	sum->hole_writes += stats_read(&part->hole_writes);
	sum->rom_writes += stats_read(&part->rom_writes);
	sum->coalesced += stats_read(&part->coalesced);
	sum->clustered += stats_read(&part->clustered);
	sum->refused_sizes += stats_read(&part->refused_sizes);
	sum->exits += stats_read(&part->exits);
}

void vm_keep_stats(struct tl_vm *vm, const struct vcpu_stats *stats)
{
	vm_lock(vm);
	add(&vm->past, stats);
	vm_unlock(vm);
}

void tl_stats_without_walk(struct tl_vm *vm, struct tl_stats *stats)
{
	vm_lock(vm);
	*stats = vm->past;
	for (const struct grace_reader *reader = vm->readers; reader; reader = reader->next)
		add(stats, &reader->stats);
	stats->commits = vm->commits;
	stats->invalidations = vm->invalidations;
	stats->wraps = vm->wraps;
	stats->generation = atomic_load_explicit(&vm->map, memory_order_relaxed)->generation;
	vm_unlock(vm);
	/* relaxed: counts, they order nothing. */
	stats->zapped = atomic_load_explicit(&vm->zapped, memory_order_relaxed) +
			atomic_load_explicit(&vm->unlinked, memory_order_relaxed);
	stats->ept_pages = atomic_load_explicit(&vm->nr_ept_pages, memory_order_relaxed);
	stats->ept_pages_freed = atomic_load_explicit(&vm->tables_freed, memory_order_relaxed);
	stats->live_mmio_entries = 0;
}

void tl_stats(struct tl_vm *vm, struct tl_stats *stats)
{
	tl_stats_without_walk(vm, stats);
	vm_lock_tables(vm);
	stats->live_mmio_entries = ept_count_mmio(vm);
	vm_unlock_tables(vm);
}
