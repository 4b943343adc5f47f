/* SPDX-License-Identifier: MIT */
/* What of UEFI lies in the loader's information. */
#ifndef BOOT_EFI_SPEC_H
#define BOOT_EFI_SPEC_H

#include <stdint.h>

/* UEFI 2.10, 7.2.3. */
struct efi_memory {
	uint32_t type, padding;
	uint64_t physical, virtual, pages, attributes;
};

enum {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL = 7,
	EFI_ACPI_RECLAIM = 9,
	EFI_MEMORY_WB = 1 << 3,
	EFI_PAGE = 4096,
};

#endif
