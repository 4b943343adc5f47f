/* SPDX-License-Identifier: MIT */
/*
 * The machine's processors and I/O APICs, from ACPI's MADT. Pure C that reaches memory through a function, so it runs
 * hosted as well: nothing of what firmware wrote is trusted.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACPI_CPUS_MAX = 256, ACPI_IO_APICS_MAX = 16 };

/* `size` bytes at a physical address, or NULL where they cannot be read. They stay there until the call that got this
 * function returns. */
typedef const void *(*acpi_bytes_fn)(uint64_t physical, uint64_t size);

struct acpi_apics {
	uint32_t apic_id[ACPI_CPUS_MAX]; /* of the enabled ones, each once, in the order of the table */
	size_t count;
	size_t disabled; /* rows that firmware marks as not usable */
	size_t left_out; /* enabled ones beyond ACPI_CPUS_MAX */
	uint32_t
		io_apic[ACPI_IO_APICS_MAX]; /* where the registers of each are; those beyond that many are not listed */
	size_t nr_io_apics;
};

/*
 * Lists the processors that firmware has enabled. `rsdp` is the loader's copy of ACPI's root pointer, of rsdp_size
 * bytes; where there is none, or a broken one, it is searched for where PC firmware keeps it. false: there is no ACPI,
 * or none of its tables that say it can be believed, and `reason` holds one sentence, cut to `size` bytes;
 * apics->count is 0 then. Context: any.
 */
bool acpi_find_apics(acpi_bytes_fn at, const uint8_t *rsdp, size_t rsdp_size, struct acpi_apics *apics, char *reason,
		     size_t size);

#endif
