/* SPDX-License-Identifier: MIT */
#ifndef BOOT_TSC_H
#define BOOT_TSC_H

#include <stdint.h>

uint64_t tsc_read(void);

/* Ticks of the TSC in a second, measured for 10 ms against the PIT by the first call; 0 where no PIT answers. Context:
 * the first CPU. */
uint64_t tsc_hz(void);

/* Waits at least so long. Context: the first CPU. */
void tsc_delay(unsigned microseconds);

#endif
