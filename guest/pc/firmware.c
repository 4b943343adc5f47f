/* SPDX-License-Identifier: MIT */
#include "guest/pc/acpi_layout.h"

/* Kernels look for the root pointer and for the MP pointer at each multiple of 16. */
enum { FIRMWARE_ALIGN = 16, FIRMWARE_RESET = FIRMWARE_SIZE - 16 };

/* What a processor finds that begins at the reset vector, since there is no firmware: CLI; HLT; JMP to the HLT. */
static const uint8_t halt[] = {0xfa, 0xf4, 0xeb, 0xfd};

uint32_t firmware_write(const struct firmware *firmware, uint8_t *rom)
{
	struct acpi_layout acpi;
	size_t end;

	__builtin_memset(rom, 0, FIRMWARE_SIZE);
	acpi_lay_out(firmware, rom + ACPI_ALIGN, &acpi);
	acpi_place(&acpi, FIRMWARE_AT + ACPI_ALIGN);
	__builtin_memcpy(rom, &acpi.root, sizeof(acpi.root));
	end = (ACPI_ALIGN + acpi.length + FIRMWARE_ALIGN - 1) & ~(size_t)(FIRMWARE_ALIGN - 1);
	firmware_write_mp(firmware, rom, end);
	__builtin_memcpy(rom + FIRMWARE_RESET, halt, sizeof(halt));
	return FIRMWARE_AT;
}
