/* SPDX-License-Identifier: MIT */
#ifndef BOOT_TSC_H
#define BOOT_TSC_H

#include <stdint.h>

uint64_t tsc_read(void);

/*
 * Ticks of the TSC in a second: as measured for 10 ms against the PIT by the first call, 0 where no PIT answers; as
 * CPUID says, 0 where it does not; and the first of the two that is known, or 0. Context: the first CPU.
 */
uint64_t tsc_measured_hz(void);
uint64_t tsc_said_hz(void);
uint64_t tsc_hz(void);

/* Waits at least so long. Context: the first CPU. */
void tsc_delay(unsigned microseconds);

/*
 * What has been added to the calling CPU's TSC since its reset, which all CPUs' TSCs began with together; 0 where the
 * CPU does not say. Firmware may have written one of them: then the same is to be added on all (SDM vol. 3, 18.17.3).
 * Context: any.
 */
uint64_t tsc_adjustment(void);
void tsc_adjust(uint64_t adjustment);

#endif
