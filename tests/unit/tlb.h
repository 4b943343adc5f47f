/* SPDX-License-Identifier: MIT */
/*
 * A CPU that caches whatever SDM vol. 3, 29.4.2 allows it to cache of the fixture's EPT, and forgets nothing until it
 * is flushed: guest-physical mappings, and the paging-structure entries on the way to them. What is misconfigured or
 * not present is not cached (29.4.2, last paragraph but one).
 */
#ifndef UNIT_TLB_H
#define UNIT_TLB_H

#include "mmu/ept.h"

enum { TLB_CPUS = 4 };

/* A translation that a CPU may use for an access to `gpa`. */
typedef void (*tlb_fn)(gpa_t gpa, hpa_t hpa, ept_entry_t rights);

/* A CPU goes on to a table that has been freed. */
typedef void (*tlb_freed_fn)(gpa_t gpa, unsigned level);

/* Calls `found` for every translation of `gpa` that this CPU may use, and keeps what it meets on every way to one. */
void tlb_access(unsigned cpu, gpa_t gpa, tlb_fn found, tlb_freed_fn freed);

/*
 * A write, by one of the translations that the CPU may use; where it is and `sets_flags`, which sets the dirty flag in
 * the EPT unless the translation says that it is set.
 */
enum tlb_write { TLB_VIOLATION, TLB_WRITTEN, TLB_FLAGGED };
enum tlb_write tlb_write(unsigned cpu, gpa_t gpa, bool sets_flags, hpa_t *hpa);

/* How many translations were used, by the level of the leaf, 1 to 3. */
extern uint64_t tlb_used[EPT_LEVELS];

/* INVEPT for the fixture's VM. */
void tlb_flush(unsigned cpu);

#endif
