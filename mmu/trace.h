/* SPDX-License-Identifier: MIT */
/*
 * Trace records, in a ring per CPU (include/trapline_trace.h). A ring has one writer, its CPU with interrupts off, and
 * one reader; neither waits for the other. Off, an event costs one load and one predictable branch, and the fast exits
 * cost nothing: they are traced by handlers of their own (vmx/exit_traced.c).
 */
#ifndef MMU_TRACE_H
#define MMU_TRACE_H

#include "mmu/map.h"
#include "mmu/vm.h"

extern _Atomic uint32_t trace_events;            /* mask of 1 << enum tl_trace_event */
extern _Atomic uint64_t trace_switches;          /* how often that was changed */
extern _Atomic uint64_t trace_first, trace_last; /* the addresses whose entries and accesses are traced */

/* Of a CPU. */
struct trace_ring {
	/* The CPU's own: the next record, and the one before which it has to look: for room, at half and at the end. */
	struct tl_trace_record *next, *stop;
	struct tl_trace_record *records;                    /* made when there is a first one */
	_Atomic uint64_t head;                              /* records ever written; by the CPU */
	_Atomic uint64_t lost;                              /* by the CPU */
	_Atomic uint64_t tail __attribute__((aligned(64))); /* records ever taken; by the reader */
	uint64_t told;                                      /* of the lost; by the reader */
};

extern struct trace_ring trace_rings[TL_MAX_CPUS];

/* What is traced by handlers of its own. */
#define TRACE_OF_EXITS (BIT(TL_TRACE_EXIT) | BIT(TL_TRACE_ENTRY) | BIT(TL_TRACE_CHECK_MMIO_SPTE) | BIT(TL_TRACE_MMIO))

ALWAYS_INLINE bool trace_is_any_on(uint64_t events)
{
	/* relaxed: a record more or less around the switch does not matter. */
	return unlikely(atomic_load_explicit(&trace_events, memory_order_relaxed) & events);
}

ALWAYS_INLINE bool trace_is_on(enum tl_trace_event event)
{
	return trace_is_any_on(BIT(event));
}

ALWAYS_INLINE bool trace_leaves_out(gpa_t gpa)
{
	/* relaxed: as above. */
	return unlikely(gpa < atomic_load_explicit(&trace_first, memory_order_relaxed)) ||
	       unlikely(gpa > atomic_load_explicit(&trace_last, memory_order_relaxed));
}

/* Whether the next record of `cpu`, the calling one, can be written without a look at the ring. */
ALWAYS_INLINE bool trace_is_ready(unsigned cpu)
{
	return likely(trace_rings[cpu].next != trace_rings[cpu].stop);
}

/*
 * Looks, and makes it ready; false: there is no room, which is counted. `reader`: that the CPU runs, or NULL. Context:
 * interrupts off, or a CPU whose interrupts trace nothing.
 */
COLD bool trace_make_ready(unsigned cpu, struct grace_reader *reader);

/* Writes and publishes a record. tsc and vcpu of `what` are filled in. Precondition: the ring is ready. */
ALWAYS_INLINE void trace_write(unsigned cpu, unsigned vcpu, struct tl_trace_record what)
{
	struct trace_ring *ring = &trace_rings[cpu];
	struct tl_trace_record *record = ring->next++;

	record->tsc = __builtin_ia32_rdtsc();
	record->event = what.event;
	record->detail = what.detail;
	record->size = what.size;
	record->vcpu = (uint16_t)vcpu;
	record->gpa = what.gpa;
	record->data = what.data;
	record->rip = what.rip;
	record->other = what.other;
	record->range = what.range;
	/* relaxed: the CPU's own. release: the record is whole before it is there. */
	atomic_store_explicit(&ring->head, atomic_load_explicit(&ring->head, memory_order_relaxed) + 1,
			      memory_order_release);
}

/* The same on whatever CPU it is, and only if it is of an address that is traced. */
COLD void trace_record(const struct tl_trace_record *what);

/* A record about an EPT entry. */
COLD void trace_spte(enum tl_trace_event event, const struct map *map, gpa_t gpa, ept_entry_t entry, unsigned detail);

/* A record of two numbers. */
COLD void trace_numbers(enum tl_trace_event event, uint64_t gpa, uint64_t data);

/* A record of an access. */
COLD void trace_access(enum tl_trace_access how, const struct map_range *range, gpa_t gpa, unsigned size, uint64_t data,
		       uint64_t begin);

/* A record of the map that was published. */
COLD void trace_commit(const struct map *map);

ALWAYS_INLINE void trace_mark_mmio_spte(const struct map *map, gpa_t gpa, ept_entry_t entry)
{
	if (trace_is_on(TL_TRACE_MARK_MMIO_SPTE))
		trace_spte(TL_TRACE_MARK_MMIO_SPTE, map, gpa, entry, 0);
}

#endif
