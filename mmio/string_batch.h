/* SPDX-License-Identifier: MIT */
/* The elements of a REP MOVS, STOS or LODS that stay on the pages of the one before: no walk, no search for each. */
#ifndef MMIO_STRING_BATCH_H
#define MMIO_STRING_BATCH_H

#include "mmio/engine.h"

/*
 * Does up to `most` elements after the one that op->span[] describes, and fewer than op->limit; returns how many. Ends
 * where a page or a range ends, at a range that is neither RAM nor MMIO with a callback that takes every size, at an
 * error of a device (which the element's own way then meets again), and when the vCPU wants attention. RAX after LODS
 * is in *cpu; rSI, rDI and rCX are the caller's.
 */
uint64_t string_batch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
		      uint64_t most);

#endif
