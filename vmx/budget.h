/* SPDX-License-Identifier: MIT */
/* A guest's time budget, for exits and for who loads a vCPU: tl_vcpu_set_budget(). */
#ifndef VMX_BUDGET_H
#define VMX_BUDGET_H

#include "vmx/exit.h"

/* Has the embedder's timer interrupt this CPU when the vCPU's budget ends, if it is that timer that ends it. */
COLD void budget_arm(const struct tl_vcpu *vcpu);

/* After an interrupt that may have been that timer's. If it came too early the timer is armed for the rest. */
COLD bool budget_is_spent(struct tl_vcpu *vcpu);

COLD enum vcpu_action exit_preemption_timer(struct tl_vcpu *vcpu);

#endif
