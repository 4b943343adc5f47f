/* SPDX-License-Identifier: MIT */
/* A vCPU that goes on as another one, as it does when its machine is restored from a snapshot or moved to a new host.
 */
#ifndef GUEST_REBIRTH_H
#define GUEST_REBIRTH_H

#include "guest/platform.h"

/*
 * A new vCPU takes the whole state of this one, and its place. Once for each. Precondition: the caller has taken it to
 * RUNNING; it is behind a hypercall whose result is in its exit. Context: host.
 */
enum tl_status rebirth(struct platform_vcpu *vcpu);

#endif
