/* SPDX-License-Identifier: MIT */
/* ACPI's tables as they lie in memory (ACPI 6.5, chapter 5), and that of the HPET. */
#ifndef GUEST_PC_ACPI_SPEC_H
#define GUEST_PC_ACPI_SPEC_H

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

struct acpi_address {
	uint8_t space, width, offset, access;
	uint64_t address;
} __attribute__((packed));

enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

/* Revision 5, which is the first with everything that is needed, minor fields of it zero. 5.2.9. */
struct acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t model, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length, gpe0_length, gpe1_length;
	uint8_t gpe1_base, cstate_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_architecture;
	uint8_t reserved;
	uint32_t flags;
	struct acpi_address reset;
	uint8_t reset_value;
	uint16_t arm_boot;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer,
		x_gpe0, x_gpe1, sleep_control, sleep_status;
} __attribute__((packed));

enum {
	FADT_HAS_LEGACY_DEVICES = 1 << 0,
	FADT_HAS_8042 = 1 << 1,
	FADT_WBINVD = 1 << 0,
	FADT_PROC_C1 = 1 << 2,
	FADT_NO_POWER_BUTTON = 1 << 4,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_RTC_NOT_FIXED = 1 << 6,
	FADT_RESET = 1 << 10,
	FADT_NO_LATENCY = 0xfff, /* no such state */
};

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));

/* Multiple APIC Description Table, 5.2.12: the header, these, and entries. */
struct acpi_madt {
	struct acpi_header header;
	uint32_t local_apic, flags;
} __attribute__((packed));

enum { MADT_HAS_PICS = 1 << 0 };

enum {
	MADT_LOCAL_APIC = 0,
	MADT_IO_APIC = 1,
	MADT_OVERRIDE = 2,
	MADT_LOCAL_NMI = 4,
	MADT_LOCAL_X2APIC = 9,
};
enum { MADT_ENABLED = 1 << 0 };

/* 5.2.12.2 */
struct madt_local_apic {
	uint8_t type, length, uid, id;
	uint32_t flags;
} __attribute__((packed));

/* 5.2.12.12 */
struct madt_local_x2apic {
	uint8_t type, length;
	uint16_t reserved;
	uint32_t id, flags, uid;
} __attribute__((packed));

struct madt_io_apic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_interrupt;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t interrupt;
	uint16_t flags;
} __attribute__((packed));

struct madt_local_nmi {
	uint8_t type, length, processor;
	uint16_t flags;
	uint8_t input;
} __attribute__((packed));

/* Of the MPS, which the MADT took over: polarity and trigger. */
enum { INTI_CONFORMS = 0, INTI_HIGH_EDGE = 0x5, INTI_HIGH_LEVEL = 0xd };

struct acpi_hpet {
	struct acpi_header header;
	uint32_t id;
	struct acpi_address address;
	uint8_t number;
	uint16_t least_tick;
	uint8_t protection;
} __attribute__((packed));

_Static_assert(sizeof(struct acpi_fadt) == 268 && sizeof(struct acpi_facs) == 64, "");
_Static_assert(sizeof(struct acpi_hpet) == 56, "");

#endif
