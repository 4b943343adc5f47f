/* SPDX-License-Identifier: MIT */
/* XSAVE images: random ones, and what two of them say. */
#ifndef UNIT_NATIVE_XSTATE_H
#define UNIT_NATIVE_XSTATE_H

#include "mmio/insn.h"
#include "mmio/xstate.h"
#include "tests/unit/native.h"

struct native_image {
	_Alignas(64) uint8_t bytes[NATIVE_XSAVE_BYTES];
};

/* The library's view of an image, with this CPU's components. */
struct xstate native_xstate(struct native_image *image);

/*
 * Registers, masks and control words at random; some components in their initial configuration. Of the x87 the
 * exceptions that are flagged are masked, but in a few images, in which a waiting instruction raises #MF.
 */
void native_image_random(struct native_image *image);

/*
 * The name of the first component in which they differ, NULL: none does. A component in its initial configuration is
 * the same as one that holds these values. The x87's last pointers and opcode are compared if `pointers` is set.
 */
const char *native_image_difference(const struct native_image *a, const struct native_image *b, bool pointers);

/*
 * Whether the x87's last pointers after `insn` say something: only while an exception waits to be raised do all CPUs
 * keep them when the process is switched. FLDCW sets none itself, so those that it leaves may have been lost before.
 */
bool native_image_has_pointers(const struct native_image *after, const struct insn *insn);

#endif
