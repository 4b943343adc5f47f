/* SPDX-License-Identifier: MIT */
/* Features of the CPU that the embedder has Trapline do without: tl_features_off(). */
#ifndef VMX_FEATURE_H
#define VMX_FEATURE_H

#include "vmx/capability.h"

/*
 * Takes what is turned off out of a CPU's capabilities. TL_UNSUPPORTED: a control that the CPU fixes to 1 stands for
 * one of them; the log names it.
 */
enum tl_status features_hide(struct vmx_capability *capability);

/* Whether a feature is to be used whatever a probe says of it: tl_features_trusted(). */
bool features_trusted(enum tl_feature feature);

#endif
