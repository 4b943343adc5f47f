/* SPDX-License-Identifier: MIT */
/*
 * The firmware of a PC. Without one of its own a guest finds its tables, as if there had been one. An image that a
 * guest brings lies at the end of the first 4 GiB, where a processor begins, and the end of it below 1 MiB, as on
 * QEMU's machines.
 */
#include "guest/pc/pc.h"
#include "guest/text.h"

enum {
	FIRMWARE_PAGE = 4096,
	FIRMWARE_UNIT = 64 << 10,
	FIRMWARE_MOST = 8 << 20, /* above the local APICs, and testdev's memory */
	FIRMWARE_SHADOW = 128 << 10,
};

#define FIRMWARE_END (4ull << 30)

bool pc_firmware_check(const struct load_image *image, char *why, size_t size)
{
	if (image->size && image->size <= FIRMWARE_MOST && image->size % FIRMWARE_UNIT == 0)
		return true;
	text_format(why, size,
		    "firmware has a multiple of 64 KiB, at most 8192 KiB, and this file has %lu bytes: give a flat "
		    "image such as SeaBIOS' bios-256k.bin",
		    image->size);
	return false;
}

/* What lies below 1 MiB is a copy, since firmware writes there. */
bool pc_firmware_allocate(struct pc *pc)
{
	const struct load_image *image = &pc->firmware;
	size_t shadow = image->size < FIRMWARE_SHADOW ? image->size : FIRMWARE_SHADOW;

	if (!image->size) {
		__builtin_memset(pc->ram + PC_ROM, 0xff, FIRMWARE_AT - PC_ROM);
		return true;
	}
	pc->rom_pages = image->size / FIRMWARE_PAGE;
	pc->rom = pc->services->alloc_pages(pc->rom_pages);
	if (!pc->rom)
		return false;
	__builtin_memcpy(pc->rom, image->data, image->size);
	__builtin_memcpy(pc->ram + PC_HIGH_RAM - shadow, (const uint8_t *)image->data + image->size - shadow, shadow);
	return true;
}

struct tl_range pc_firmware_range(const struct pc *pc)
{
	return (struct tl_range){.kind = TL_RANGE_ROM,
				 .start = FIRMWARE_END - pc->firmware.size,
				 .size = pc->firmware.size,
				 .host = pc->rom};
}

bool pc_firmware_init(struct pc *pc)
{
	struct fw_cfg *fw_cfg = &pc->machine.fw_cfg;
	struct firmware firmware;

	for (unsigned i = 0; i < pc->memory.nr_map; i++)
		if (!fw_cfg_add_memory(fw_cfg, pc->map[i].start, pc->map[i].size, pc->map[i].type))
			return false;
	machine_firmware(&pc->machine, pc->nr_vcpus, &firmware);
	if (!pc->firmware.size) {
		pc->rsdp = firmware_write(&firmware, pc->ram + FIRMWARE_AT);
		firmware_write_bios_data(pc->ram, PC_EBDA);
	}
	return firmware_add_files(&firmware, &pc->files, fw_cfg);
}

bool pc_firmware_add_modules(struct pc *pc, const struct guest_module *module, char *why, size_t size)
{
	for (unsigned i = 0; i < module->nr_modules; i++) {
		const struct load_image *image = &module->modules[i].image;
		const char *line = module->modules[i].line;
		char word[16], name[FW_CFG_NAME + 1] = "";

		if (!text_next_word(&line, word, sizeof(word)) || !text_equal(word, "fw_cfg"))
			continue;
		/* One that does not end within the directory's room for it is cut to one that is too long. */
		if (!text_next_word(&line, name, sizeof(name)) || name[FW_CFG_NAME - 1])
			text_format(why, size,
				    "a module +fw_cfg has no name of at most %u characters behind that word, such as "
				    "opt/file: give it one",
				    FW_CFG_NAME - 1);
		else if (!fw_cfg_add_file(&pc->machine.fw_cfg, name, image->data, (uint32_t)image->size))
			text_format(why, size, "there is no room for %s in fw_cfg: give fewer modules +fw_cfg", name);
		else
			continue;
		return false;
	}
	return true;
}
