/* SPDX-License-Identifier: MIT */
/* What Linux' boot protocol says of the setup header and of the parameters ("zero page") around it. */
#ifndef GUEST_PC_LINUX_PARAMS_H
#define GUEST_PC_LINUX_PARAMS_H

#include <stddef.h>
#include <stdint.h>

enum {
	LINUX_MAGIC = 0x53726448, /* "HdrS" */
	LINUX_BOOT_FLAG = 0xaa55,
	LINUX_VERSION_LEAST = 0x20c, /* the first with xloadflags */
	LINUX_LOADED_HIGH = 1 << 0,
	LINUX_XLF_64 = 1 << 0,
	LINUX_HIGH = 0x100000,
};

/* Offsets in the parameters. */
enum {
	LINUX_VIDEO_MODE_AT = 0x06,
	LINUX_VIDEO_COLUMNS_AT = 0x07,
	LINUX_VIDEO_LINES_AT = 0x0e,
	LINUX_VIDEO_IS_VGA_AT = 0x0f,
	LINUX_VIDEO_POINTS_AT = 0x10,
	LINUX_RSDP_AT = 0x070,
	LINUX_E820_COUNT_AT = 0x1e8,
	LINUX_HEADER_AT = 0x1f1,
	LINUX_E820_AT = 0x2d0,
	LINUX_E820_MOST = 128,
};

struct linux_e820 {
	uint64_t start, size;
	uint32_t type;
} __attribute__((packed));

struct linux_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize;
	uint16_t ram_size, vid_mode, root_dev, boot_flag;
	uint16_t jump;
	uint32_t magic;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys, kernel_version;
	uint8_t type_of_loader, loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
	uint8_t relocatable, min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size, hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data, pref_address;
	uint32_t init_size, handover_offset;
} __attribute__((packed));

_Static_assert(offsetof(struct linux_header, magic) == 0x202 - LINUX_HEADER_AT, "");
_Static_assert(offsetof(struct linux_header, xloadflags) == 0x236 - LINUX_HEADER_AT, "");
_Static_assert(offsetof(struct linux_header, handover_offset) == 0x264 - LINUX_HEADER_AT, "");

#endif
