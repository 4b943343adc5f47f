/* SPDX-License-Identifier: MIT */
/* The tables of ACPI that tell the processors, as the ACPI Specification 6.5 lays them out. */
#ifndef BOOT_ACPI_SPEC_H
#define BOOT_ACPI_SPEC_H

#include <stdint.h>

/* Root System Description Pointer, 5.2.5.3. The first form ends behind `rsdt`. */
struct acpi_rsdp {
	char signature[8]; /* "RSD PTR " */
	uint8_t checksum;  /* makes the sum of the first 20 bytes 0 */
	char oem[6];
	uint8_t revision; /* 0: the first form */
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* makes the sum of all 36 bytes 0 */
	uint8_t reserved[3];
} __attribute__((packed));

enum { ACPI_RSDP_SIZE = 20, ACPI_RSDP_EXTENDED_SIZE = 36 };

_Static_assert(sizeof(struct acpi_rsdp) == ACPI_RSDP_EXTENDED_SIZE, "the RSDP as ACPI has it");

/* Where firmware of a PC keeps it, 5.2.5.1: in the first KiB of the extended BIOS data area, or in the BIOS' ROM. */
enum {
	ACPI_EBDA_SEGMENT_AT = 0x40E,
	ACPI_EBDA_SIZE = 1024,
	ACPI_BIOS_START = 0xE0000,
	ACPI_BIOS_END = 0x100000,
	ACPI_RSDP_ALIGNMENT = 16,
};

/* What every other table begins with, 5.2.6. `length` counts all of it, and the checksum makes the sum of it 0. */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_header) == 36, "the header as ACPI has it");

/* Multiple APIC Description Table, 5.2.12: the header, these, and entries. */
struct acpi_madt {
	struct acpi_header header;
	uint32_t local_apic, flags;
} __attribute__((packed));

enum { MADT_LOCAL_APIC = 0, MADT_LOCAL_X2APIC = 9 };
enum { MADT_ENABLED = 1 << 0 };

struct madt_entry {
	uint8_t type, length;
} __attribute__((packed));

/* 5.2.12.2 */
struct madt_local_apic {
	struct madt_entry entry;
	uint8_t uid, id;
	uint32_t flags;
} __attribute__((packed));

/* 5.2.12.12 */
struct madt_local_x2apic {
	struct madt_entry entry;
	uint16_t reserved;
	uint32_t id, flags, uid;
} __attribute__((packed));

#endif
