/* SPDX-License-Identifier: MIT */
/* For the image of the system tests: one more processor in ACPI's list, which no machine has. */
#include "boot/acpi.h"

void test_phantom_cpu(struct acpi_cpus *cpus);

enum { PHANTOM_APIC_ID = 200 };

void test_phantom_cpu(struct acpi_cpus *cpus)
{
	if (cpus->count < ACPI_CPUS_MAX)
		cpus->apic_id[cpus->count++] = PHANTOM_APIC_ID;
}
