/* SPDX-License-Identifier: MIT */
/* What a program starts from: where its operands are, its registers, the memory. */
#ifndef GUEST_STUBS_INSNS_SEED_H
#define GUEST_STUBS_INSNS_SEED_H

#include "guest/stubs/insns/rows.h"

enum { SEED_KINDS = 4 }; /* of places, see seed.c; 0 is a plain one */

struct seed {
	const struct row *row;
	const struct machine_mode *mode;
	unsigned round, kind;
	uint32_t operand, source, stack; /* offsets in the window */
	bool operand_in_ram, source_in_ram;
	uint32_t code_at;
	struct machine_state state;
};

/* Chooses all of it, and writes to the window's memory (fill.h) what the program needs there. */
void seed_make(struct seed *seed);

/* Random registers of x87, MMX and vectors. */
void seed_xsave(const struct seed *seed, uint8_t xsave[MACHINE_XSAVE_BYTES]);

#endif
