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

/* Now, with no measured code on the wrong side. */
uint64_t bench_ticks(void);
/* The ticks of two readings with nothing in between, and a sample less those. */
uint32_t bench_empty_pair(void);
uint32_t bench_less(uint32_t sample, uint64_t base);

/* The callback of devices of DEVICE_KIND_PLAIN: a file of registers, nothing checked or counted. */
enum tl_status bench_register(struct tl_mmio *access);

#endif
