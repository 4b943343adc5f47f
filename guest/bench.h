/* SPDX-License-Identifier: MIT */
/* Measurements: `bench: NAME minimum median 99th-percentile` lines, in ticks. */
#ifndef GUEST_BENCH_H
#define GUEST_BENCH_H

#include <stdint.h>

struct platform;

/* HC_SAMPLES: the four arguments as the guest gave them. Context: host. */
uint64_t bench_samples(struct platform *platform, const uint64_t argument[4]);

/* HC_TIME_INVALIDATE. HC_FAILED if the VM has another number of MMIO entries. Context: host. */
uint64_t bench_time_invalidate(struct platform *platform, uint64_t live);

/* HC_TIME_COMMITS. Adds and removes the device SPARE, which must be absent. Context: host. */
uint64_t bench_time_commits(struct platform *platform);

#endif
