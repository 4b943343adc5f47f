/* SPDX-License-Identifier: MIT */
/*
 * The plainest interrupt controller that there is, and a timer, for a bundled guest's vCPU that asks for them: vectors
 * that are requested, the highest first, and acknowledged for good. A tl_processor as the smallest example of one.
 */
#ifndef GUEST_CONTROLLER_H
#define GUEST_CONTROLLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct platform_vcpu;

enum { CONTROLLER_WORDS = 4 };

struct controller {
	bool on;
	_Atomic uint64_t requested[CONTROLLER_WORDS]; /* a bit for each vector */
	uint8_t alarm;                                /* the vector that the timer requests */
};

/* HC_CONTROLLER, HC_INTERRUPT and HC_ALARM (guest/abi.h). Context: host. */
uint64_t controller_turn_on(struct platform_vcpu *vcpu);
uint64_t controller_interrupt(struct platform_vcpu *vcpu, uint64_t index, uint64_t vector);
uint64_t controller_set_alarm(struct platform_vcpu *vcpu, uint64_t ticks, uint64_t vector);

/* TL_EXIT_DEADLINE. Context: host. */
void controller_alarm(struct platform_vcpu *vcpu);

#endif
