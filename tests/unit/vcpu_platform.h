/* SPDX-License-Identifier: MIT */
/* A guest's platform on CPUs that are threads. The guest is a function of the test's. */
#ifndef UNIT_VCPU_PLATFORM_H
#define UNIT_VCPU_PLATFORM_H

#include "tests/unit/mock/vmx/asm.h"

#include "guest/options.h"
#include "guest/platform.h"

extern struct platform *platform;

/* What a test may add to: it takes back what it adds. */
extern struct guest_services platform_services;

/* What a vCPU does from an entry to its next exit: fills in vcpu->exit, and says why it leaves. On any CPU's thread. */
extern enum tl_exit_reason (*guest_step)(struct platform_vcpu *vcpu);

/* Leaves for a hypercall; what it returned the guest finds in RAX when it is entered again. */
enum tl_exit_reason guest_call(struct platform_vcpu *vcpu, uint64_t number, uint64_t argument0, uint64_t argument1);
uint64_t guest_result(const struct platform_vcpu *vcpu);

/* `cpus` of them are up. Of the options only those that a test sets count. */
void platform_start(const struct guest_options *options, unsigned cpus);
/* Fails the test if something was left, or a host-side check has found something wrong. */
void platform_stop(void);

#endif
