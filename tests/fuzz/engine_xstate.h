/* SPDX-License-Identifier: MIT */
/* The XSAVE area of fuzz_engine.c. */
#ifndef FUZZ_ENGINE_XSTATE_H
#define FUZZ_ENGINE_XSTATE_H

#include "mmio/xstate.h"
#include "tests/fuzz/fuzz.h"

/* Fills an area that ends where its memory does, for CPUs with FXSAVE alone, SSE, AVX or AVX-512. */
void engine_xstate_read(struct fuzz_input *input, struct xstate *xstate);

/* Keeps what is in the area, and asks whether it is still that. */
void engine_xstate_keep(const struct xstate *xstate);
bool engine_xstate_is_kept(const struct xstate *xstate);

#endif
