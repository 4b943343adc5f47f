/* SPDX-License-Identifier: MIT */
/* The hypercalls of abi.h. */
#ifndef GUEST_CALLS_H
#define GUEST_CALLS_H

#include "guest/platform.h"
#include <trapline.h>

/*
 * Serves one hypercall but HC_EXIT and sets call->result; a number that is none gets HC_FAILED. Addresses are
 * guest-physical; what lies outside RAM gets HC_FAILED. Only the first vCPU may use those that edit the devices, or
 * measure: they are one at a time. Context: host, several vCPUs at once.
 */
void calls_serve(struct platform_vcpu *vcpu, struct tl_exit_vmcall *call);

/* After a TL_EXIT_STEP: writes it down for HC_STEP, and asks for the next one. False: it cannot. Context: host. */
bool calls_stepped(struct platform_vcpu *vcpu);

/*
 * HC_TRACE and HC_TRACE_TAKE. Context: as above, the first vCPU.
 */
uint64_t calls_trace(struct platform_vcpu *vcpu, uint64_t events);
uint64_t calls_trace_take(struct platform_vcpu *vcpu, uint64_t gpa, uint64_t count);

#endif
