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
 * Around schedule_run(): where there is a CPU more than the guest uses that one attends meanwhile, which costs the
 * guest nothing. One that is measured is left alone.
 */
void schedule_watch(struct platform *platform);
void schedule_unwatch(struct platform *platform);

/*
 * HC_START: readies vCPU `index` with the caller's state, but RIP, RSP and RDI. Precondition: the caller is at a
 * hypercall. Context: host.
 */
uint64_t schedule_start(struct platform_vcpu *caller, uint64_t index, uint64_t rip, uint64_t rsp, uint64_t rdi);

/* HC_YIELD: notes what the vCPU wants; it leaves its CPU when the hypercall is done. Context: host. */
uint64_t schedule_yield(struct platform_vcpu *vcpu, uint64_t how);

/* Gives a vCPU back that the caller took to RUNNING: it waits for a CPU, or for HC_START. Context: host. */
void schedule_put(struct platform_vcpu *vcpu);

/* From now on no CPU takes it, and one that runs it leaves its guest; or that is over. Context: host. */
void schedule_hold(struct platform_vcpu *vcpu, bool held);

/* After platform->ended was set: has the CPUs that found nothing to run come back from it. Context: host. */
void schedule_wake_all(struct platform *platform);

#endif
