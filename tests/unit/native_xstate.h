/* SPDX-License-Identifier: MIT */
/* XSAVE images: random ones, and what two of them say. */
#ifndef UNIT_NATIVE_XSTATE_H
#define UNIT_NATIVE_XSTATE_H

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

/* Whether an exception of the x87 waits to be raised: only then do all CPUs keep the last pointers. */
bool native_image_pending(const struct native_image *image);

#endif
