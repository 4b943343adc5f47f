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
};

struct mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, line, nr_modules, modules;
	uint32_t symbols[4];
	uint32_t map_size, map;
	uint32_t drives_size, drives, config_table, loader;
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
	MB2_ACPI_OLD = 14,
	MB2_ACPI_NEW = 15,
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

#endif
