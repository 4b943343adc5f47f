/* SPDX-License-Identifier: MIT */
/* A guest's vCPUs on the host's CPUs: each ready one runs on whatever CPU is free, in turn where they are too many. */
#ifndef GUEST_SCHEDULE_H
#define GUEST_SCHEDULE_H

#include "guest/platform.h"

/*
 * Runs the vCPUs that are ready, and those that they start, until one of them ends the guest; fills in platform->end.
 * Context: host, the first CPU.
 */
void schedule_run(struct platform *platform);

/*
 * HC_START: readies vCPU `index` with the caller's state, but RIP, RSP and RDI. Precondition: the caller is at a
 * hypercall. Context: host.
 */
uint64_t schedule_start(struct platform_vcpu *caller, uint64_t index, uint64_t rip, uint64_t rsp, uint64_t rdi);

/* HC_YIELD: notes what the vCPU wants; it leaves its CPU when the hypercall is done. Context: host. */
uint64_t schedule_yield(struct platform_vcpu *vcpu, uint64_t how);

#endif
