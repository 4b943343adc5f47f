/* SPDX-License-Identifier: MIT */
/* Where a PC has its time from; a test has its own. */
#include "guest/pc/pc.h"

uint64_t pc_host_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}
