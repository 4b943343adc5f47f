/* SPDX-License-Identifier: MIT */
/* What must hold after each step of an instruction, whatever the guest did. */
#ifndef FUZZ_ENGINE_CHECK_H
#define FUZZ_ENGINE_CHECK_H

#include "mmio/engine.h"

/* Remembers the processor before an instruction. The guest's memory is remembered by hostile.shadow. */
void engine_check_begin(const struct mmio_cpu *cpu);

/* After mmio_run() ended in `progress`. */
void engine_check(const struct mmio_operation *op, const struct mmio_cpu *cpu, enum mmio_progress progress);

#endif
