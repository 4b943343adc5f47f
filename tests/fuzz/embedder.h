/* SPDX-License-Identifier: MIT */
/*
 * The embedder of fuzz_exit.c's guest: what its callbacks do is what the input says, and they check that they are asked
 * when they may be.
 */
#ifndef FUZZ_EMBEDDER_H
#define FUZZ_EMBEDDER_H

#include "tests/fuzz/fuzz.h"
#include <trapline.h>

enum {
	EMBEDDER_MOVED_AT = 0x110000,
	/* Of one exit: a REP on both sides, each element in two pieces; a cluster. */
	EMBEDDER_MOST_CALLBACKS = 4 * 4096 + 64,
};

extern struct fuzz_embedder {
	struct fuzz_input *input;
	struct tl_vm *vm;
	struct tl_vcpu *vcpu;
	tl_range_id moved; /* a range that may be moved */
	unsigned nr_callbacks;
	unsigned vector; /* acknowledged, and to be injected by the next entry; 0: none */
} fuzz_embedder;

/* A callback may change the map, kick, inject an event, set a deadline; or fail. */
enum tl_status embedder_callback(const struct tl_vcpu *asked);

extern const struct tl_processor embedder_processor;

/* A local APIC that holds what the input says, and whose registers the vCPU reads at each of its questions. */
extern struct tl_posted embedder_posted;
/* Offers it to a CPU that serves any part of it, where a device is as well. */
void embedder_offer_apic(void);

#endif
