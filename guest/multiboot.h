/* SPDX-License-Identifier: MIT */
/*
 * What a kernel and its loader say to each other, as the Multiboot specifications 0.6.96 and 2.0 lay it out: for the
 * host, which is loaded, and for the loader of its guests.
 */
#ifndef GUEST_MULTIBOOT_H
#define GUEST_MULTIBOOT_H

#include <stdint.h>

/* ---- The kernel's header ----------------------------------------------------------------------------------------- */

/* Multiboot 1, 3.1. */
#define MB1_HEADER_MAGIC 0x1BADB002u

enum {
	MB1_HEADER_SEARCH = 8192, /* it lies in so many first bytes of the image, */
	MB1_HEADER_ALIGN = 4,     /* on such a boundary */

	/* A loader must refuse those of bits 15:0 that it does not know. */
	MB1_ALIGN_MODULES = 1 << 0,
	MB1_WANT_MEMORY = 1 << 1,
	MB1_WANT_VIDEO = 1 << 2,
	MB1_UNKNOWN = 0xfff8,
	MB1_HAS_ADDRESSES = 1 << 16,

	MB1_VIDEO_GRAPHICS = 0,
};

struct mb1_header {
	uint32_t magic, flags, checksum;
	/* With MB1_HAS_ADDRESSES. */
	uint32_t header_address, load, load_end, bss_end, entry;
	/* With MB1_WANT_VIDEO. */
	uint32_t mode_type, width, height, depth;
};

/* Multiboot 2, 3.1. */
#define MB2_HEADER_MAGIC 0xE85250D6u
#define MB2_LOAD_FIRST   UINT32_MAX /* struct mb2_header_addresses: from the image's first byte on */

enum {
	MB2_HEADER_SEARCH = 32768,
	MB2_HEADER_ALIGN = 8,
	MB2_I386 = 0,

	MB2_TAG_END = 0,
	MB2_TAG_INFORMATION = 1,
	MB2_TAG_ADDRESSES = 2,
	MB2_TAG_ENTRY = 3,
	MB2_TAG_CONSOLE = 4,
	MB2_TAG_FRAMEBUFFER = 5,
	MB2_TAG_ALIGN_MODULES = 6,
	MB2_TAG_BOOT_SERVICES = 7, /* of UEFI, and where to enter then */
	MB2_TAG_ENTRY_EFI_32 = 8,
	MB2_TAG_ENTRY_EFI_64 = 9,
	MB2_TAG_RELOCATABLE = 10,
	MB2_TAG_OPTIONAL = 1 << 0, /* a flag */
};

struct mb2_header {
	uint32_t magic, architecture, length, checksum;
};

struct mb2_header_tag {
	uint16_t type, flags;
	uint32_t size;
};

struct mb2_header_addresses {
	uint32_t header_address, load, load_end, bss_end;
};

/* ---- The loader's information ------------------------------------------------------------------------------------ */

/* In EAX at the start. Multiboot 1, 3.2; Multiboot 2, 3.3. */
#define MULTIBOOT1_BOOTED 0x2BADB002u
#define MULTIBOOT2_BOOTED 0x36D76289u

/* Multiboot 1, 3.3. */
enum {
	MB1_HAS_MEMORY = 1 << 0,
	MB1_HAS_BOOT_DEVICE = 1 << 1,
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
	MB2_MEMORY = 4,
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

struct mb2_basic_memory {
	struct mb2_tag tag;
	uint32_t lower, upper; /* KiB from 0 and from 1 MiB */
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

#endif
