/* SPDX-License-Identifier: MIT */
/* What an input of fuzz_engine.c says: a processor, an instruction, and what goes wrong meanwhile. */
#ifndef FUZZ_ENGINE_STATE_H
#define FUZZ_ENGINE_STATE_H

#include "mmio/engine.h"
#include "tests/fuzz/fuzz.h"

enum { ENGINE_CODE_BYTES = 15 };

struct engine_case {
	struct mmio_cpu cpu;
	uint8_t code[ENGINE_CODE_BYTES];
	gpa_t exit_gpa;
	uint32_t limit; /* of a string instruction, for each run */
	bool fetched;   /* the instruction is read through the guest's page tables, or is .code */
};

/*
 * Reads the case, and what changes the guest: its tables and bytes before the instruction, its memory during it, the
 * devices' steps. Precondition: guest_begin().
 */
void engine_case_read(struct fuzz_input *input, struct engine_case *c);

#endif
