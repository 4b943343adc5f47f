/* SPDX-License-Identifier: MIT */
/*
 * The differences that are allowed: what the SDM calls undefined, by name. The emulation does there what Intel's CPUs
 * do (mmio/alu.c lists it, test_alu checks it), this machine's CPU perhaps something else.
 */
#ifndef UNIT_NATIVE_UNDEFINED_H
#define UNIT_NATIVE_UNDEFINED_H

#include "tests/unit/native_case.h"

struct native_undefined {
	uint64_t flags;
	bool memory; /* the operand */
};

struct native_undefined native_undefined(const struct native_case *c);

/* Counts that these flags, of the undefined ones, differed. */
void native_undefined_note(const struct native_case *c, uint64_t flags);

/* Prints what differed, and how often. */
void native_undefined_report(void);

#endif
