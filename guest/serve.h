/* SPDX-License-Identifier: MIT */
/* What a vCPU leaves for: hypercalls, devices without a callback, and the guest's end. */
#ifndef GUEST_SERVE_H
#define GUEST_SERVE_H

#include "guest/platform.h"

/* Completes vcpu->exit; an access to MMIO is one that device_complete() has refused. False: the vCPU is not to run on
 * now: its turn is over, it halted, or the guest has ended. */
bool serve_exit(struct platform_vcpu *vcpu);

/* Ends the guest, unless another vCPU did already, and has every other vCPU leave its guest. */
void serve_end(struct platform_vcpu *vcpu, unsigned ending, const char *how);

#endif
