/* SPDX-License-Identifier: MIT */
#include "boot/tsc_rate.h"

enum { HZ_PER_MHZ = 1000000, BASE_MHZ = 0xffff /* of EAX */ };

uint64_t tsc_rate_of(struct cpuid ratio, struct cpuid frequencies)
{
	/* The crystal's rate, and how much faster the TSC is. */
	if (ratio.eax && ratio.ebx && ratio.ecx)
		return (uint64_t)ratio.ecx * ratio.ebx / ratio.eax;
	/* CPUs that do not say the crystal's rate count the TSC at the base frequency. */
	return (uint64_t)(frequencies.eax & BASE_MHZ) * HZ_PER_MHZ;
}
