/* SPDX-License-Identifier: MIT */
#include "guest/pc/firmware_files.h"
#include "guest/text.h"

enum { COM1 = 0x3F8 };

static bool add_acpi(const struct firmware *firmware, struct firmware_files *files, struct fw_cfg *fw_cfg)
{
	uint32_t script;

	acpi_lay_out(firmware, files->tables, &files->acpi);
	script = acpi_write_script(&files->acpi, files->script);
	return fw_cfg_add_file(fw_cfg, ACPI_ROOT_FILE, &files->acpi.root, sizeof(files->acpi.root)) &&
	       fw_cfg_add_file(fw_cfg, ACPI_TABLES_FILE, files->tables, (uint32_t)files->acpi.length) &&
	       fw_cfg_add_file(fw_cfg, ACPI_SCRIPT_FILE, files->script, script);
}

/* The disk, by its path in a device tree, ended by a zero. */
static bool add_boot_order(const struct firmware *firmware, struct firmware_files *files, struct fw_cfg *fw_cfg)
{
	uint32_t length = 0;

	if (!firmware->boot_disk)
		return true;
	text_format(files->boot_order, sizeof(files->boot_order), "/virtio-mmio@%016x/disk@0,0", firmware->boot_disk);
	while (files->boot_order[length])
		length++;
	return fw_cfg_add_file(fw_cfg, "bootorder", files->boot_order, length + 1);
}

bool firmware_add_files(const struct firmware *firmware, struct firmware_files *files, struct fw_cfg *fw_cfg)
{
	files->console_port[0] = COM1 & 0xFF;
	files->console_port[1] = COM1 >> 8;
	/* No wait: a guest that finds nothing to boot is reset at once, and has ended. */
	return add_acpi(firmware, files, fw_cfg) && add_boot_order(firmware, files, fw_cfg) &&
	       fw_cfg_add_file(fw_cfg, "etc/boot-fail-wait", files->boot_fail_wait, sizeof(files->boot_fail_wait)) &&
	       fw_cfg_add_file(fw_cfg, "etc/sercon-port", files->console_port, sizeof(files->console_port));
}
