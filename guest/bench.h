/* SPDX-License-Identifier: MIT */
/* Measurements, in ticks of the time-stamp counter, and a device that adds little to them. */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include <stdint.h>
#include <trapline.h>

struct platform;

/*
 * HC_SAMPLES: the four arguments as the guest gave them. Prints `bench: NAME minimum median 99th-percentile`.
 * Context: host.
 */
uint64_t bench_samples(struct platform *platform, const uint64_t argument[4]);

/* HC_TIME_EDIT: the four arguments as the guest gave them; HC_FAILED if the edit is refused. Context: host. */
uint64_t bench_time_edit(struct platform *platform, const uint64_t argument[4]);

/* The callback of devices of DEVICE_KIND_PLAIN: a file of registers, nothing checked or counted. */
enum tl_status bench_register(struct tl_mmio *access);

#endif
