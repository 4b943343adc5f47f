/* SPDX-License-Identifier: MIT */
/* EPT misconfigurations that the slot cache does not serve, and EPT violations. */
#include "mmu/dirty.h"
#include "mmu/mmu.h"
#include "mmu/trace.h"
#include "vmx/exit.h"
#include "vmx/exit_reason.h"
#include "vmx/pml.h"

/* Exit qualification of an EPT violation (SDM vol. 3, table 28-7). */
#define VIOLATION_WRITE         BIT(1)
#define VIOLATION_FETCH         BIT(2)
#define VIOLATION_LINEAR_VALID  BIT(7)
#define VIOLATION_TRANSLATED    BIT(8) /* of the address itself; clear: of a paging-structure entry on the way to it */
#define VIOLATION_NMI_UNBLOCKED BIT(12)

/* Beyond what a 4-level EPT walk reaches there are no entries (and no ranges). */
#define EPT_REACH BIT(48)

/*
 * Whether this is the exit of before with nothing changed since (rule 9): the same address, the same entry, and the
 * same round, which each new map and each flush raises.
 */
static bool same_again(struct tl_vcpu *vcpu, gpa_t gpa, ept_entry_t entry)
{
	struct last_retry *last = &vcpu->last_retry;
	/* relaxed: any change that matters raised it before the exit. */
	uint64_t round = atomic_load_explicit(&vcpu->vm->round, memory_order_relaxed);
	bool same = last->exits + 1 == vcpu_nr_exits(vcpu) && last->gpa == gpa && last->entry == entry &&
		    last->round == round;

	*last = (struct last_retry){.exits = vcpu_nr_exits(vcpu), .gpa = gpa, .entry = entry, .round = round};
	return same;
}

static void cache_slot(struct tl_vcpu *vcpu, gpa_t gpa, const struct ept_walk *walk)
{
	vcpu->slots[gpa >> PAGE_SHIFT & (SLOT_CACHE_SIZE - 1)] =
		(struct ept_slot_cache){.gfn = gpa >> PAGE_SHIFT, .slot = walk->slot, .level = walk->level};
}

static void found(struct tl_vcpu *vcpu, const struct map *map, const struct map_range *range)
{
	vcpu->exit_map = map;
	vcpu->exit_range = range;
}

static enum vcpu_action stop_bug(struct tl_vcpu *vcpu, const struct ept_walk *walk)
{
	counter_add(&vcpu->reader.stats.bugs, 1);
	return exit_stop(vcpu, TL_STOP_BUG, walk->entry);
}

/* Verdict RETRY. The SDM promises that cached mappings are dropped for violations only, so this one flushes. */
static enum vcpu_action retry(struct tl_vcpu *vcpu, gpa_t gpa, const struct ept_walk *walk)
{
	counter_add(&vcpu->reader.stats.retried, 1);
	if (same_again(vcpu, gpa, walk->entry))
		return exit_stop(vcpu, TL_STOP_SPURIOUS, walk->entry);
	mmu_cpu.flush(vcpu->vm);
	return vcpu_before_entry(vcpu);
}

enum { MOST_RECLAIMS = 8 /* for one access; others may take what is freed */ };

/* There was no page for a table. Tables that can be made again make room, or else the embedder. */
static enum vcpu_action reclaim_tables(struct tl_vcpu *vcpu, gpa_t gpa)
{
	struct last_reclaim *last = &vcpu->last_reclaim;
	bool again = last->exits + 1 == vcpu_nr_exits(vcpu) && last->gpa == gpa;

	last->exits = vcpu_nr_exits(vcpu);
	last->gpa = gpa;
	last->times = again ? last->times + 1 : 0;
	if (last->times < MOST_RECLAIMS && vm_reclaim(vcpu->vm, &vcpu->reader))
		return vcpu_before_entry(vcpu);
	last->times = 0;
	return exit_leave(vcpu, TL_EXIT_NO_MEMORY);
}

/* What a fault ended in other than an access to serve. */
static COLD enum vcpu_action fault_without_access(struct tl_vcpu *vcpu, enum mmu_fault fault, gpa_t gpa,
						  const struct ept_walk *walk)
{
	switch (fault) {
	case MMU_MAPPED:
		return vcpu_before_entry(vcpu);
	case MMU_SPURIOUS:
		if (same_again(vcpu, gpa, walk->entry))
			return exit_stop(vcpu, TL_STOP_SPURIOUS, walk->entry);
		return vcpu_before_entry(vcpu);
	case MMU_NO_MEMORY:
		return reclaim_tables(vcpu, gpa);
	default:
		return stop_bug(vcpu, walk);
	}
}

/* The entry is stale, or there is none: search the map. What was found is left in the EPT. VCPU_MMIO: to be served. */
ALWAYS_INLINE enum vcpu_action handle_mmio_page_fault(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa,
						      enum mmu_access access, struct ept_walk *walk)
{
	const struct map_range *range;
	enum mmu_fault fault = mmu_fault(vcpu->vm, map, gpa, access, walk, &range);

	if (trace_is_on(TL_TRACE_HANDLE_MMIO_PAGE_FAULT))
		trace_spte(TL_TRACE_HANDLE_MMIO_PAGE_FAULT, map, gpa, walk->entry, fault);
	if (unlikely(fault != MMU_SERVE)) {
		if (fault == MMU_MAPPED)
			vcpu->last_mapped = range->id;
		return fault_without_access(vcpu, fault, gpa, walk);
	}
	if (likely(!map_is_memory(range)))
		counter_add(&vcpu->reader.stats.stale, 1);
	/* Of a page that is not all the range's, or of memory, the access is searched for: it may reach out of it. */
	if (unlikely(map_is_memory(range)) || unlikely(range->start > (gpa & ~(PAGE_SIZE - 1))) ||
	    unlikely(range->last < (gpa | (PAGE_SIZE - 1))))
		range = &map->ranges[MAP_SHARED_ID];
	found(vcpu, map, range);
	return VCPU_MMIO;
}

/* What serves the access of a misconfiguration once its range is known. */
ALWAYS_INLINE enum vcpu_action serve_misconfig(struct tl_vcpu *vcpu, enum vcpu_action action)
{
	if (unlikely(action != VCPU_MMIO) || likely(!map_is_doorbell(vcpu->exit_range)))
		return action;
	vcpu_trace_ring(vcpu, vcpu->exit_range, vcpu->exit_gpa);
	return exit_doorbell(vcpu, vcpu->exit_map, vcpu->exit_range, vcpu->exit_gpa);
}

HOT enum vcpu_action exit_ept_misconfig_uncached(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa)
{
	struct ept_slot_cache *cached = &vcpu->slots[gpa >> PAGE_SHIFT & (SLOT_CACHE_SIZE - 1)];
	const struct map_range *range;
	struct ept_walk walk;

	ept_descend(vcpu->vm, gpa, &walk);
	if (unlikely(check_mmio_spte(map, walk.entry, &range) != MMIO_EMULATE) || unlikely(vcpu->exits_traced))
		return exit_ept_misconfig_slow(vcpu, map, gpa);
	cached->gfn = gpa >> PAGE_SHIFT;
	cached->slot = walk.slot;
	cached->level = walk.level;
	counter_add(&vcpu->reader.stats.fresh, 1);
	if (map_is_doorbell(range))
		return exit_doorbell(vcpu, map, range, gpa);
	vcpu->exit_gpa = gpa;
	found(vcpu, map, range);
	return VCPU_MMIO;
}

enum vcpu_action exit_ept_misconfig_stale(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa,
					  const struct ept_slot_cache *cached, ept_entry_t entry)
{
	struct ept_walk walk = {.slot = cached->slot, .entry = entry, .level = cached->level};

	vcpu->exit_gpa = gpa;
	if (trace_is_on(TL_TRACE_CHECK_MMIO_SPTE))
		trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map, gpa, entry, MMIO_INVALID);
	return serve_misconfig(vcpu, handle_mmio_page_fault(vcpu, map, gpa, MMU_READ, &walk));
}

/* The whole check: the walk, the four verdicts. Called with the callee-saved registers in the CPU. */
enum vcpu_action exit_ept_misconfig_slow(struct tl_vcpu *vcpu, const struct map *map, gpa_t gpa)
{
	bool delivering = vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & EVENT_INFO_VALID;
	const struct map_range *range = NULL;
	enum vcpu_action action;
	enum mmio_verdict verdict;
	struct ept_walk walk;

	vcpu->exit_gpa = gpa;
	ept_walk(vcpu->vm, gpa & (EPT_REACH - 1), &walk);
	verdict = mmu_examine(map, &walk, &range);
	if (trace_is_on(TL_TRACE_CHECK_MMIO_SPTE))
		trace_spte(TL_TRACE_CHECK_MMIO_SPTE, map, gpa, walk.entry, verdict);
	if (delivering)
		exit_deliver_again(vcpu);
	switch (verdict) {
	case MMIO_EMULATE:
		counter_add(&vcpu->reader.stats.fresh, 1);
		cache_slot(vcpu, gpa, &walk);
		found(vcpu, map, range);
		break;
	case MMIO_INVALID:
		action = handle_mmio_page_fault(vcpu, map, gpa, MMU_READ, &walk);
		if (action != VCPU_MMIO)
			return action;
		cache_slot(vcpu, gpa, &walk);
		break;
	case MMIO_RETRY:
		return retry(vcpu, gpa, &walk);
	default:
		return stop_bug(vcpu, &walk);
	}
	return delivering ? exit_stop(vcpu, TL_STOP_EVENT, 0) : serve_misconfig(vcpu, VCPU_MMIO);
}

static enum mmu_access access_of(uint64_t qualification)
{
	if (qualification & VIOLATION_FETCH)
		return MMU_FETCH;
	return qualification & VIOLATION_WRITE ? MMU_WRITE : MMU_READ;
}

/* IRET unblocked NMIs and then faulted on its way: it will run again, with NMIs blocked (SDM vol. 3, 28.2.3). */
static void block_nmi_again(uint64_t qualification)
{
	if (qualification & VIOLATION_NMI_UNBLOCKED && !(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & EVENT_INFO_VALID))
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
}

static bool is_page_walk(uint64_t qualification)
{
	return qualification & VIOLATION_LINEAR_VALID && !(qualification & VIOLATION_TRANSLATED);
}

/*
 * A page walk through memory that must not be written: with flags on it counts as a write whatever it was (SDM vol. 3,
 * 29.3.5), so what it is shows once they are off.
 */
static bool walk_counted_as_write(struct tl_vcpu *vcpu, uint64_t qualification)
{
	return vcpu->flags_on && qualification & VIOLATION_WRITE && is_page_walk(qualification) &&
	       map_is_memory(map_find(vcpu->exit_map, vcpu->exit_gpa));
}

/* An access that no memory answers. The qualification tells what a misconfiguration does not: who made it. */
static enum vcpu_action serve_violation(struct tl_vcpu *vcpu, uint64_t qualification)
{
	if (unlikely(walk_counted_as_write(vcpu, qualification)))
		return dirty_give_up_flags(vcpu->vm, &vcpu->reader) ? vcpu_before_entry(vcpu)
								    : exit_leave(vcpu, TL_EXIT_NO_MEMORY);
	if (vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & EVENT_INFO_VALID)
		return exit_stop(vcpu, TL_STOP_EVENT, 0);
	if (is_page_walk(qualification))
		return exit_stop(vcpu, TL_STOP_PAGE_TABLE, 0);
	if (qualification & VIOLATION_FETCH)
		return exit_stop(vcpu, TL_STOP_FETCH, 0);
	/* Called with all registers saved: they are loaded again whatever has changed. */
	return (unlikely(vcpu->exits_traced) ? exit_mmio_traced(vcpu) : exit_mmio(vcpu)) & ~VCPU_RELOAD;
}

enum vcpu_action exit_ept_violation(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	gpa_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	/* acquire: rule 2. Rule 1: the only load of this exit. */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);
	enum vcpu_action action;
	struct ept_walk walk;

	vcpu->exit_gpa = gpa;
	block_nmi_again(qualification);
	if (unlikely(gpa >= EPT_REACH)) {
		counter_add(&vcpu->reader.stats.stale, 1);
		found(vcpu, map, &map->ranges[MAP_HOLE_ID]);
		return serve_violation(vcpu, qualification);
	}
	ept_walk(vcpu->vm, gpa, &walk);
	action = handle_mmio_page_fault(vcpu, map, gpa, access_of(qualification), &walk);
	if (action != VCPU_MMIO)
		return action;
	cache_slot(vcpu, gpa, &walk);
	return serve_violation(vcpu, qualification);
}

/*
 * One on RAM that is not mapped yet, with the callee-saved registers still in the CPU. What else there is to do about a
 * violation is left to the one above, which begins anew.
 */
HOT enum vcpu_action exit_ept_violation_fast(struct tl_vcpu *vcpu)
{
	uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	gpa_t gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	/* acquire: rule 2. Rule 1: its exit ends here, or with nothing done. */
	const struct map *map = atomic_load_explicit(&vcpu->vm->map, memory_order_acquire);

	if (unlikely(qualification & VIOLATION_NMI_UNBLOCKED) ||
	    unlikely(vmcs_read(VMCS_IDT_VECTORING_INFORMATION) & EVENT_INFO_VALID) ||
	    unlikely(trace_is_on(TL_TRACE_HANDLE_MMIO_PAGE_FAULT)) ||
	    unlikely(!mmu_map_ram(vcpu->vm, map, gpa, qualification & VIOLATION_FETCH, vcpu->last_mapped)))
		return VCPU_FULL;
	counter_add(&vcpu->exits_by_reason[EXIT_REASON_EPT_VIOLATION], 1);
	return vcpu_before_entry(vcpu);
}

/* The log is full, and the write that found it so has not happened yet. */
enum vcpu_action exit_pml_full(struct tl_vcpu *vcpu)
{
	block_nmi_again(vmcs_read(VMCS_EXIT_QUALIFICATION));
	pml_drain(vcpu);
	return vcpu_before_entry(vcpu);
}
