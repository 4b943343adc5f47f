/* SPDX-License-Identifier: MIT */
/* The platform of the bundled guests, as who looks at it from outside sees it. */
#ifndef GUEST_PLATFORM_VIEW_H
#define GUEST_PLATFORM_VIEW_H

#include "guest/platform.h"

/* Fills in platform->view. Precondition: the platform is built. */
void platform_view_init(struct platform *platform, const struct guest_options *options, uint64_t began);

/* Has the embedder look after what goes on beside guests, if it does. Context: host, no vCPU of this CPU is running. */
static inline void platform_attend(const struct platform *platform)
{
	if (platform->services->attend)
		platform->services->attend(&platform->view);
}

#endif
