/* SPDX-License-Identifier: MIT */
/* What CPUID says of a PC's processors beyond what the library's answer does. Pure C. */
#ifndef GUEST_PC_PC_CPUID_H
#define GUEST_PC_PC_CPUID_H

#include <stdbool.h>
#include <stdint.h>
#include <trapline.h>

/*
 * Changes the library's answer in *out to that of the processor with this APIC ID, of so many in one package. The TSC's
 * rate, 0 if unknown, is that of the APIC timers' clock as well, and is said so that no kernel need measure either.
 */
void pc_cpuid(unsigned apic_id, unsigned nr_cpus, bool apic_enabled, uint64_t tsc_hz, uint32_t leaf, uint32_t subleaf,
	      struct tl_cpuid *out);

#endif
