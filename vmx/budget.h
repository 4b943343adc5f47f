/* SPDX-License-Identifier: MIT */
/* A guest's time budget and deadline, for exits and for who loads a vCPU: tl_vcpu_set_budget(), tl_vcpu_set_deadline().
 */
#ifndef VMX_BUDGET_H
#define VMX_BUDGET_H

#include "vmx/exit.h"

/* Has the embedder's timer interrupt this CPU at the end of the vCPU's budget or at its deadline, if it does either. */
COLD void budget_arm(struct tl_vcpu *vcpu);

/* After an interrupt that may have been that timer's. If it came too early the timer is armed for the rest. */
COLD bool budget_is_spent(struct tl_vcpu *vcpu);

/* Precondition: it has a deadline. True: and has it no more. */
COLD bool deadline_is_over(struct tl_vcpu *vcpu);

COLD enum vcpu_action exit_preemption_timer(struct tl_vcpu *vcpu);

#endif
