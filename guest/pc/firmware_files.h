/* SPDX-License-Identifier: MIT */
/* What firmware that a guest brings reads of its machine, as files of fw_cfg, as QEMU names them. Pure C. */
#ifndef GUEST_PC_FIRMWARE_FILES_H
#define GUEST_PC_FIRMWARE_FILES_H

#include "guest/devices/fw_cfg.h"
#include "guest/pc/acpi_layout.h"

enum { FIRMWARE_BOOT_ORDER = 64 };

struct firmware_files {
	struct acpi_layout acpi;
	uint8_t tables[ACPI_TABLES_ROOM], script[ACPI_SCRIPT_ROOM];
	char boot_order[FIRMWARE_BOOT_ORDER];
	uint8_t boot_fail_wait[4], console_port[2]; /* little-endian */
};

/*
 * Adds them: ACPI's tables, root and script, the order of what to boot, and how long to wait where nothing can be
 * booted. *files is what fw_cfg reads from then on. False, and why: as for fw_cfg_add().
 */
bool firmware_add_files(const struct firmware *firmware, struct firmware_files *files, struct fw_cfg *fw_cfg);

#endif
