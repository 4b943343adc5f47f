/* SPDX-License-Identifier: MIT */
/* The time of a device under test. */
#ifndef UNIT_DEVICE_CLOCK_H
#define UNIT_DEVICE_CLOCK_H

#include "guest/devices/clock.h"

extern struct clock bench_clock;
extern uint64_t bench_time;

/* Begins at a time that is not 0. */
void bench_clock_start(uint64_t hz);

/* Lets time pass; timers expire when they are due, under the lock of device_fixture.h. Returns how many expiries there
 * were. */
unsigned bench_pass(uint64_t ticks);

#endif
