/* SPDX-License-Identifier: MIT */
#ifndef BOOT_TSC_H
#define BOOT_TSC_H

#include <stdint.h>

/* Ticks of the TSC in a second, measured for 10 ms against the PIT; 0 where no PIT answers. Context: one CPU. */
uint64_t tsc_measure(void);

#endif
