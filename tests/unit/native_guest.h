/* SPDX-License-Identifier: MIT */
/*
 * The same process as a guest of the engine: user code under an identity map, native_memory's addresses backed by the
 * mirror. Page 2 of it is a device, page 3 a device that the embedder completes, and the others are RAM.
 */
#ifndef UNIT_NATIVE_GUEST_H
#define UNIT_NATIVE_GUEST_H

#include "mmio/engine.h"
#include "tests/unit/native_case.h"
#include "tests/unit/native_xstate.h"

/* Group set-up and tear-down. */
int native_guest_start(void **state);
int native_guest_stop(void **state);

/* What Linux gives user code: SDM vol. 3, 3.4.5. Those and the kernel's are in the guest's GDT, as in Linux'. */
enum { USER_CODE_32 = 0x23, USER_DATA = 0x2b, USER_CODE_64 = 0x33 };

/* Executes c->insn from c's state; the rest of c is filled in. `image` is the XSAVE state before, and then after. */
void native_guest_run(struct native_case *c, struct native_image *image);

/* How often parts of an access went to the devices, and were completed by the embedder. */
extern unsigned long native_guest_calls, native_guest_completions;

#endif
