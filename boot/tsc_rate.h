/* SPDX-License-Identifier: MIT */
/* What CPUID says of the TSC's rate (SDM vol. 2, CPUID, leaves 15H and 16H). Pure C. */
#ifndef BOOT_TSC_RATE_H
#define BOOT_TSC_RATE_H

#include <stdint.h>

#include "boot/cpu.h"

/* In Hz, of leaves 15h and 16h, which are all 0 where the CPU has none; 0: they do not say. */
uint64_t tsc_rate_of(struct cpuid ratio, struct cpuid frequencies);

#endif
