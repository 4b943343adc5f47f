/* SPDX-License-Identifier: MIT */
/*
 * ACPI's tables, laid out once for two who place them: their pointers hold offsets, their checksums are 0, and lists
 * say where both are. acpi_place() does what the lists say where there is no firmware; firmware does it by the script
 * that acpi_write_script() makes of them. Pure C.
 */
#ifndef GUEST_PC_ACPI_LAYOUT_H
#define GUEST_PC_ACPI_LAYOUT_H

#include "guest/pc/acpi_spec.h"
#include "guest/pc/firmware.h"

enum {
	ACPI_ALIGN = 64 /* the FACS has to be */,
	ACPI_TABLES_ROOM = 4096,
	ACPI_MOST_POINTERS = 16,
	ACPI_MOST_SUMS = 12
};

enum acpi_part { ACPI_ROOT, ACPI_TABLES };

/* A field that holds an offset into the tables, to which their address is to be added. */
struct acpi_pointer {
	enum acpi_part part;
	uint8_t size;
	uint32_t at;
};

/* A byte that is to make the sum of others 0, itself among them. */
struct acpi_sum {
	enum acpi_part part;
	uint32_t at, start, length;
};

/* Sums are made in their order, behind all pointers. */
struct acpi_layout {
	struct acpi_rsdp root;
	uint8_t *tables; /* of ACPI_TABLES_ROOM bytes, on an address that is as aligned as they are */
	size_t length;   /* so many of them are used */
	unsigned nr_pointers, nr_sums;
	struct acpi_pointer pointer[ACPI_MOST_POINTERS];
	struct acpi_sum sum[ACPI_MOST_SUMS];
};

/* Lays out the tables of *firmware in `bytes`, ACPI_TABLES_ROOM of them. Preconditions: those of firmware_write(). */
void acpi_lay_out(const struct firmware *firmware, uint8_t *bytes, struct acpi_layout *layout);

/* Makes the tables and their root those that are right where the guest has the tables at `address`. */
void acpi_place(struct acpi_layout *layout, uint32_t address);

/*
 * The script of QEMU's linker and loader (hw/acpi/bios-linker-loader.c of QEMU): has firmware allocate both parts, from
 * the files of these names, and place them. Returns its size, at most ACPI_SCRIPT_ROOM.
 */
enum { ACPI_ORDER_SIZE = 128, ACPI_SCRIPT_ROOM = (2 + ACPI_MOST_POINTERS + ACPI_MOST_SUMS) * ACPI_ORDER_SIZE };
#define ACPI_ROOT_FILE   "etc/acpi/rsdp"
#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_SCRIPT_FILE "etc/table-loader"

uint32_t acpi_write_script(const struct acpi_layout *layout, uint8_t *script);

#endif
