/* SPDX-License-Identifier: MIT */
/*
 * Grace periods and flushes: one mechanism, without a fence on the vCPU's way (docs/rules.md, "Rounds").
 *
 * A writer publishes, raises the VM's round and waits until every vCPU that is running has announced that round. A
 * vCPU announces where it holds no map: before it enters its guest and while it waits itself. "In guest mode" is no
 * announcement: without a fence the store that says so may still be in the store buffer when a map is read.
 */
#ifndef MMU_GRACE_H
#define MMU_GRACE_H

#include "mmu/stats.h"
#include "mmu/types.h"
#include <stdatomic.h>
#include <trapline.h>

/* Round numbers begin above it: an entry_round of this is behind every round. */
#define GRACE_ATTENTION   0ull
#define GRACE_FIRST_ROUND 1ull

/* A vCPU as writers see it. */
struct grace_reader {
	/* The owner's copy of `word`, or GRACE_ATTENTION when something wants to be looked at before the next entry:
	 * one compare with the VM's round serves both. */
	uint64_t entry_round;
	_Atomic uint64_t word;   /* the round announced last */
	_Atomic uint32_t in_run; /* inside tl_vcpu_run(): may hold a map */
	_Atomic uint32_t kicked;
	_Atomic uint32_t cpu; /* where it runs or last ran */
	uint16_t number;      /* names it in trace records */
	struct tl_vm *vm;
	struct tl_edit *pending; /* commits made in callbacks of this vCPU, to be completed by it; oldest first */
	struct grace_reader *next;
	struct vcpu_stats stats;
};

/* Adds a reader to its VM, takes it away. Precondition: not running. Context: host. */
void grace_reader_add(struct grace_reader *reader, struct tl_vm *vm);
void grace_reader_remove(struct grace_reader *reader);

/* The reader that the calling CPU runs, NULL outside tl_vcpu_run(): inside it a commit must not wait. */
struct grace_reader *grace_current(void);

/*
 * Announces that this reader holds no map, after flushing if its CPU is behind the VM's flush number (correction:
 * flush first, then announce, also while waiting). Precondition: it holds none.
 */
void grace_announce(struct grace_reader *reader);

/* Raises the VM's round; returns the new one. Everything stored before is seen by who announces it. */
uint64_t grace_raise(struct tl_vm *vm);

/* Whether every reader of the VM has announced `round` or is outside. Precondition: the writer lock is held. */
bool grace_passed(struct tl_vm *vm, uint64_t round);

/*
 * Waits until grace_passed(), kicking who is late. `self` is the waiting reader (which holds no map) or NULL; it goes
 * on announcing. False if `self` was kicked meanwhile. Precondition: the writer lock is not held.
 */
bool grace_wait(struct tl_vm *vm, uint64_t round, struct grace_reader *self);

#endif
