/* SPDX-License-Identifier: MIT */
/*
 * What firmware leaves in memory for a PC's kernel: the tables of ACPI and those of the MultiProcessor Specification,
 * in the last 64 KiB below 1 MiB, where kernels look for both. There is no firmware besides. Pure C.
 */
#ifndef GUEST_PC_FIRMWARE_H
#define GUEST_PC_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIRMWARE_AT = 0xf0000, FIRMWARE_SIZE = 0x10000, FIRMWARE_MOST_VIRTIO = 8, FIRMWARE_MOST_CPUS = 64 };

/* The interrupt that ACPI itself has, on PCs. */
enum { FIRMWARE_SCI = 9 };

/* A device on a page of MMIO, and the input of the I/O APIC that it drives. */
struct firmware_virtio {
	uint32_t address;
	uint8_t irq;
};

/* A PC, as far as a kernel has to be told. */
struct firmware {
	unsigned nr_cpus; /* their APIC IDs are 0 and up */
	uint32_t local_apic, io_apic;
	uint8_t io_apic_id;
	uint32_t hpet;    /* 0: there is none */
	uint32_t hpet_id; /* the low word of its capabilities */
	uint16_t power;   /* the first of the ports of guest/devices/acpi_pm.h */
	bool has_pci;     /* configuration mechanism 1 has a bus 0 */
	unsigned nr_virtio;
	struct firmware_virtio virtio[FIRMWARE_MOST_VIRTIO];
	uint32_t boot_disk; /* the address of one of these; 0: there is no disk */
};

/*
 * Writes all of it into `rom`, FIRMWARE_SIZE bytes that the guest has at FIRMWARE_AT. Returns the address of ACPI's
 * root pointer. Preconditions: no more CPUs and devices than above, for which there is room.
 */
uint32_t firmware_write(const struct firmware *firmware, uint8_t *rom);

/*
 * Writes what a BIOS keeps at 400h into `memory`, guest-physical 0, and the size of its other kibibyte at `ebda`.
 * Precondition: there is RAM up to there.
 */
void firmware_write_bios_data(uint8_t *memory, uint32_t ebda);

/* ---- The parts --------------------------------------------------------------------------------------------------- */

/* The differentiated system description, header included; returns its size. */
size_t firmware_write_dsdt(const struct firmware *firmware, uint8_t *bytes, size_t size);

/* The MP floating pointer and its table at `at` within the ROM; returns how many bytes they take. */
size_t firmware_write_mp(const struct firmware *firmware, uint8_t *rom, size_t at);

/* What is to be added to make the sum of all bytes 0. */
uint8_t firmware_checksum(const void *bytes, size_t size);

#endif
