/* SPDX-License-Identifier: MIT */
/* From linear addresses to guest-physical ones: every fault that an access can have, before anything is done. */
#ifndef MMIO_TRANSLATE_H
#define MMIO_TRANSLATE_H

#include "mmio/engine.h"

/*
 * Walks to each page of each span that is accessed. MMIO_DONE; MMIO_FAULT (#PF, #AC); MMIO_RACED, MMIO_TABLE_NOT_RAM;
 * or MMIO_ELSEWHERE if op->exit_gpa is asked for and in none of the spans.
 */
enum mmio_progress mmio_translate(struct mmio_operation *op, const struct mmio_cpu *cpu,
				  const struct mmio_environment *env);

/* The same for the pages of span i alone, wherever op->exit_gpa is. */
enum mmio_progress mmio_translate_span(struct mmio_operation *op, const struct mmio_cpu *cpu,
				       const struct mmio_environment *env, unsigned i);

#endif
