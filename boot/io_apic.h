/* SPDX-License-Identifier: MIT */
/* The host's I/O APICs, which the host has no use for. */
#ifndef BOOT_IO_APIC_H
#define BOOT_IO_APIC_H

#include "boot/acpi.h"

/*
 * Masks the pins that firmware's drivers have left open (UEFI's timer is one), so that their devices interrupt nobody,
 * and says how many on the console. Pins of SMIs are firmware's business and stay. Precondition: paging_init().
 * Context: the first CPU, once.
 */
void io_apics_silence(const struct acpi_apics *apics);

#endif
