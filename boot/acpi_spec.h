/* SPDX-License-Identifier: MIT */
/* What the host reads of ACPI's tables beyond what it writes for its guests. */
#ifndef BOOT_ACPI_SPEC_H
#define BOOT_ACPI_SPEC_H

#include "guest/pc/acpi_spec.h"

/* Where firmware of a PC keeps it, 5.2.5.1: in the first KiB of the extended BIOS data area, or in the BIOS' ROM. */
enum {
	ACPI_EBDA_SEGMENT_AT = 0x40E,
	ACPI_EBDA_SIZE = 1024,
	ACPI_BIOS_START = 0xE0000,
	ACPI_BIOS_END = 0x100000,
	ACPI_RSDP_ALIGNMENT = 16,
};

/* What each entry of a MADT begins with. */
struct madt_entry {
	uint8_t type, length;
} __attribute__((packed));

#endif
