/* SPDX-License-Identifier: MIT */
/* The elements of a REP MOVS, STOS or LODS that stay on the pages of the one before: no walk, no search for each. */
#ifndef MMIO_STRING_BATCH_H
#define MMIO_STRING_BATCH_H

#include "mmio/engine.h"

/*
 * Does up to `most` elements after the one that op->span[] describes, and fewer than op->limit; *done says how many.
 * Ends where a page or a range ends, at a range that is neither RAM nor MMIO with a callback that takes every size, and
 * when the vCPU wants attention. RAX after LODS is in *cpu; rSI, rDI and rCX are the caller's. MMIO_DONE, or
 * MMIO_DEVICE_ERROR: the element after those was not completed.
 */
enum mmio_progress string_batch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
				uint64_t most, uint64_t *done);

#endif
