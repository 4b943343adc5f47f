/* SPDX-License-Identifier: MIT */
/* What a Multiboot 1 loader (here: ours, for guests) must know. Multiboot specification 0.6.96, sections 3.1 and 3.3.
 */
#ifndef GUEST_MULTIBOOT_H
#define GUEST_MULTIBOOT_H

#include <stdint.h>

#define MULTIBOOT_HEADER_MAGIC 0x1badb002u
#define MULTIBOOT_LOADER_MAGIC 0x2badb002u

enum {
	MULTIBOOT_HEADER_SEARCH = 8192, /* the header lies in so many first bytes of the image */

	/* Header flags. A loader must refuse those of bits 15:0 that it does not know. */
	MULTIBOOT_ALIGN_MODULES = 1u << 0,
	MULTIBOOT_WANT_MEMORY = 1u << 1,
	MULTIBOOT_UNKNOWN = 0xffff & ~(1 << 0 | 1 << 1),
	MULTIBOOT_ADDRESSES = 1u << 16,

	/* Information flags. */
	MULTIBOOT_INFO_MEMORY = 1u << 0,
	MULTIBOOT_INFO_COMMAND_LINE = 1u << 2,
	MULTIBOOT_INFO_MEMORY_MAP = 1u << 6,
	MULTIBOOT_INFO_LOADER_NAME = 1u << 9,

	MULTIBOOT_MEMORY_AVAILABLE = 1,
};

struct multiboot_header {
	uint32_t magic, flags, checksum;
};

struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
};

struct multiboot_memory {
	uint32_t size; /* of what follows */
	uint64_t address, length;
	uint32_t type;
} __attribute__((packed));

_Static_assert(sizeof(struct multiboot_info) == 68, "as far as boot_loader_name");
_Static_assert(sizeof(struct multiboot_memory) == 24, "20 bytes behind their size");

#endif
