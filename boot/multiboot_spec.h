/* SPDX-License-Identifier: MIT */
/* The loader's structures in memory, as the Multiboot specifications 0.6.96 and 2.0 lay them out. */
#ifndef BOOT_MULTIBOOT_SPEC_H
#define BOOT_MULTIBOOT_SPEC_H

#include <stdint.h>

/* In EAX at the start. Multiboot 1, 3.2; Multiboot 2, 3.3. */
#define MULTIBOOT1_BOOTED 0x2BADB002u
#define MULTIBOOT2_BOOTED 0x36D76289u

/* Multiboot 1, 3.3. */
enum {
	MB1_HAS_LINE = 1 << 2,
	MB1_HAS_MODULES = 1 << 3,
	MB1_HAS_MAP = 1 << 6,
	MB1_HAS_LOADER = 1 << 9,
	MB1_HAS_FRAMEBUFFER = 1 << 12,
};

struct mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, line, nr_modules, modules;
	uint32_t symbols[4];
	uint32_t map_size, map;
	uint32_t drives_size, drives, config_table, loader;
};

/* Where it is within the information, which ends before it if the flag is clear. */
enum { MB1_FRAMEBUFFER_AT = 88 };

/* Both forms have it: in Multiboot 1 without the two reserved bytes, which are in the tag. */
struct mb_framebuffer {
	uint64_t base;
	uint32_t pitch, width, height;
	uint8_t bits, type;
} __attribute__((packed));

enum { MB_FRAMEBUFFER_INDEXED = 0, MB_FRAMEBUFFER_RGB = 1, MB_FRAMEBUFFER_TEXT = 2 };

struct mb_colors {
	uint8_t red_position, red_size, green_position, green_size, blue_position, blue_size;
};

struct mb1_module {
	uint32_t start, end, line, reserved;
};

/* `size` does not count itself. */
struct mb1_memory {
	uint32_t size;
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

/* Multiboot 2, 3.4. */
enum {
	MB2_END = 0,
	MB2_LINE = 1,
	MB2_LOADER = 2,
	MB2_MODULE = 3,
	MB2_MAP = 6,
	MB2_FRAMEBUFFER = 8,
	MB2_EFI_32 = 11,
	MB2_EFI_64 = 12,
	MB2_ACPI_OLD = 14,
	MB2_ACPI_NEW = 15,
	MB2_EFI_MAP = 17,
};

struct mb2_info {
	uint32_t total_size, reserved;
};

struct mb2_tag {
	uint32_t type, size;
};

struct mb2_map {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
};

struct mb2_module {
	struct mb2_tag tag;
	uint32_t start, end;
};

struct mb2_memory {
	uint64_t base, length;
	uint32_t type, reserved;
};

struct mb2_framebuffer {
	struct mb2_tag tag;
	struct mb_framebuffer body;
	uint16_t reserved;
};

/* The entries follow; they may be longer than what is known of them here. */
struct mb2_efi_map {
	struct mb2_tag tag;
	uint32_t entry_size, entry_version;
};

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
