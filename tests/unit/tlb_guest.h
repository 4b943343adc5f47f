/* SPDX-License-Identifier: MIT */
/*
 * The guest of the TLB test: what it may reach, vCPUs on CPUs that cache all they may (tlb.h), and what they do when
 * they are let. They are anywhere in their exits when a transaction comes: what goes on while it waits is played by the
 * kick hook.
 */
#ifndef UNIT_TLB_GUEST_H
#define UNIT_TLB_GUEST_H

#include "mmu/grace.h"
#include "mmu/mmu.h"
#include "tests/unit/tlb.h"

enum { NR_VCPUS = 3, NR_RANGES = 6, MOST_GOING = 64 };

enum error { NO_ERROR, STALE_ACCESS = 41, FREED_TABLE = 42, WRONG_LOG = 43 };

/* What is done wrong on purpose; a mutant is another process, which ends with the error that it found. */
enum mutation {
	NONE,
	NO_FLUSH,
	LATE_FLUSH,
	NO_ZAP,
	ZAP_BEFORE_GRACE,
	NO_GRACE,
	TABLES_NOT_FLUSHED,
	EARLY_FREE,
	LOG_NOT_FLUSHED,
	NR_MUTATIONS
};

extern enum mutation mutation;

struct memory {
	tl_range_id id; /* TL_HOLE: none */
	enum tl_range_kind kind;
	uint64_t start, size;
	hpa_t host;
};

/* The ranges that are, and those of which the removal, or a change, has not returned. */
extern struct memory ranges[NR_RANGES], going[MOST_GOING];
extern unsigned nr_going;

extern uint64_t nr_accesses;

/* The guest has written through a translation of `gpa` to `hpa`. */
extern void (*guest_wrote)(gpa_t gpa, hpa_t hpa);

/* A fetch of the log is under way. */
extern bool fetching;

/* Ends a mutant, or fails. */
void found_error(enum error error);

/* Adds the vCPUs to the fixture's VM and sets its hooks, takes them away. */
void guest_start(void);
void guest_stop(void);

/* So many times something happens on some vCPU. */
void guest_steps(unsigned count);

/* All CPUs in the guest access this and that. */
void guest_looks_around(void);

/* What a callback in the guest does now and then: a transaction of the test's. */
extern void (*guest_callback)(void);

#endif
