/* SPDX-License-Identifier: MIT */
/*
 * The access of one instruction, in the general way: the operand may straddle two pages and any number of ranges, be
 * MMIO here and RAM there, and be interrupted by the embedder's completing a part of it. It is kept in the vCPU as
 * values only, so that it outlives any map.
 */
#ifndef MMIO_OPERATION_H
#define MMIO_OPERATION_H

#include "mmio/engine.h"
#include "mmu/map.h"
#include <trapline.h>

struct mmio_move {
	struct insn insn;
	gpa_t gpa[2];    /* of the operand's first byte, and of the first byte on its second page */
	uint64_t data;   /* a write: what is stored; a read: what has been read so far */
	uint8_t first;   /* bytes on the first page */
	uint8_t next;    /* the first byte that is not done */
	uint8_t pending; /* bytes from `next` on that the embedder is completing */
};

/*
 * Takes the operand's translation: its first `first` bytes (1 to insn->memory_size) are at gpa0, the rest, if any, at
 * gpa1. What a store stores is taken from `gpr` now.
 */
void mmio_operation_start(struct mmio_move *op, const struct insn *insn, const uint64_t gpr[INSN_NR_GPRS], gpa_t gpa0,
			  unsigned first, gpa_t gpa1);

/*
 * Does what is left, in ascending order of addresses, each range getting its own bytes in one access. The map is the
 * one snapshot of this instruction, except that after an embedder's completion the caller passes the current one.
 * Context: the vCPU's own CPU, no lock held: callbacks run here and may commit.
 */
enum mmio_progress mmio_operation_run(struct mmio_move *op, const struct mmio_environment *env);

/* Takes over what the embedder did; `data` counts for reads only. Does nothing unless MMIO_EMBEDDER was returned. */
void mmio_operation_complete(struct mmio_move *op, uint64_t data);

/* The registers after MMIO_DONE. */
void mmio_operation_finish(const struct mmio_move *op, uint64_t gpr[INSN_NR_GPRS]);

#endif
