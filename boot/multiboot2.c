/* SPDX-License-Identifier: MIT */
#include "boot/efi_spec.h"
#include "boot/multiboot_parser.h"
#include "guest/multiboot.h"

static bool mb2_read_map(const struct boot_parser *p, uint64_t at, uint32_t size)
{
	struct mb2_map map;
	struct mb2_memory entry;

	if (size < sizeof(map))
		return refuse(&p->why, "the loader's memory map has %u bytes; use another boot loader.", size);
	if (!boot_fetch(p, at, &map, sizeof(map), "memory map"))
		return false;
	if (map.entry_size < sizeof(entry) || map.entry_size % 8 || (size - sizeof(map)) % map.entry_size)
		return refuse(&p->why, "the loader's memory map has entries of %u bytes; use another boot loader.",
			      map.entry_size);
	for (uint32_t i = sizeof(map); i < size; i += map.entry_size) {
		if (!boot_fetch(p, at + i, &entry, sizeof(entry), "memory map"))
			return false;
		if (!boot_add_memory(p, entry.base, entry.length, entry.type))
			return false;
	}
	return true;
}

/* What a page may be used for once the loader has left boot services. SDM vol. 3, 12.3: the host's pages are WB. */
static uint32_t efi_memory_type(const struct efi_memory *entry)
{
	switch (entry->type) {
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
	case EFI_BOOT_SERVICES_CODE:
	case EFI_BOOT_SERVICES_DATA:
	case EFI_CONVENTIONAL:
		return entry->attributes & EFI_MEMORY_WB ? BOOT_MEMORY_USABLE : BOOT_MEMORY_RESERVED;
	case EFI_ACPI_RECLAIM:
		return BOOT_MEMORY_ACPI;
	default:
		return BOOT_MEMORY_RESERVED;
	}
}

/*
 * UEFI's own map, which counts where the loader gave none of its own: the loader's leaves out what its user took out of
 * use (GRUB's badram).
 */
static bool mb2_read_efi_map(const struct boot_parser *p, uint64_t at)
{
	struct mb2_efi_map map;
	struct efi_memory entry;
	uint32_t size;

	if (!boot_fetch(p, at, &map, sizeof(map), "memory map of UEFI"))
		return false;
	size = map.tag.size;
	if (size < sizeof(map) || map.entry_size < sizeof(entry) || (size - sizeof(map)) % map.entry_size)
		return refuse(&p->why,
			      "the loader's memory map of UEFI has entries of %u bytes in %u; use another boot loader.",
			      map.entry_size, size);
	for (uint32_t i = sizeof(map); i < size; i += map.entry_size) {
		if (!boot_fetch(p, at + i, &entry, sizeof(entry), "memory map of UEFI"))
			return false;
		if (entry.pages > UINT64_MAX / EFI_PAGE)
			return refuse(&p->why,
				      "UEFI's memory map has a range at 0x%llx of 0x%llx pages, which wraps around; "
				      "update the firmware.",
				      (unsigned long long)entry.physical, (unsigned long long)entry.pages);
		if (!boot_add_memory(p, entry.physical, entry.pages * EFI_PAGE, efi_memory_type(&entry)))
			return false;
	}
	return true;
}

static bool mb2_read_framebuffer(const struct boot_parser *p, uint64_t at, uint32_t size)
{
	struct mb2_framebuffer given;
	uint32_t least = sizeof(given);

	if (size >= least && !boot_fetch(p, at, &given, sizeof(given), "description of the screen"))
		return false;
	if (size >= least && given.body.type == MB_FRAMEBUFFER_RGB)
		least += sizeof(struct mb_colors);
	if (size < least)
		return refuse(&p->why, "the loader describes the screen in %u bytes; use another boot loader.", size);
	return boot_fetch_framebuffer(p, at + sizeof(struct mb2_tag), at + sizeof(given));
}

static bool mb2_read_module(const struct boot_parser *p, uint64_t at, uint32_t size)
{
	struct mb2_module given;
	struct boot_module *module;

	if (size < sizeof(given))
		return refuse(&p->why, "the loader describes a module in %u bytes; use another boot loader.", size);
	if (!boot_fetch(p, at, &given, sizeof(given), "list of modules"))
		return false;
	module = boot_add_module(p, given.start, given.end);
	return module && boot_fetch_string(p, at + sizeof(given), size - sizeof(given), module->line,
					   sizeof(module->line), "command line of a module");
}

/* The newer form of the RSDP holds the older: it wins, in whatever order they come. */
static bool mb2_read_rsdp(const struct boot_parser *p, uint64_t at, uint32_t size)
{
	struct boot_info *info = p->info;

	if (size > BOOT_RSDP_MAX)
		size = BOOT_RSDP_MAX;
	if (size <= info->rsdp_size)
		return true;
	info->rsdp_size = size;
	return boot_fetch(p, at, info->rsdp, size, "ACPI root pointer");
}

/* `efi_map` gets the place of UEFI's map, which is read when it is known whether there is another one. */
static bool mb2_read_tag(const struct boot_parser *p, uint64_t at, const struct mb2_tag *tag, uint64_t *efi_map)
{
	struct boot_info *info = p->info;
	uint64_t body = at + sizeof(*tag);
	uint32_t size = tag->size - (uint32_t)sizeof(*tag);

	switch (tag->type) {
	case MB2_LINE:
		return boot_fetch_string(p, body, size, info->line, sizeof(info->line), "command line");
	case MB2_LOADER:
		return boot_fetch_loader(p, body, size);
	case MB2_MODULE:
		return mb2_read_module(p, at, tag->size);
	case MB2_MAP:
		return mb2_read_map(p, at, tag->size);
	case MB2_FRAMEBUFFER:
		return mb2_read_framebuffer(p, at, tag->size);
	case MB2_EFI_MAP:
		*efi_map = at;
		info->efi = true;
		return true;
	case MB2_EFI_32:
	case MB2_EFI_64:
		info->efi = true;
		return true;
	case MB2_ACPI_OLD:
	case MB2_ACPI_NEW:
		return mb2_read_rsdp(p, body, size);
	default:
		return true;
	}
}

bool mb2_parse(const struct boot_parser *p, uint32_t address)
{
	struct mb2_info mb;
	struct mb2_tag tag;
	uint64_t at = sizeof(mb), efi_map = 0;

	p->info->protocol = "Multiboot 2";
	if (!boot_fetch(p, address, &mb, sizeof(mb), "information"))
		return false;
	for (;;) {
		if (at > mb.total_size || mb.total_size - at < sizeof(tag))
			return refuse(&p->why, "the loader's list of tags has no end; use another boot loader.");
		if (!boot_fetch(p, address + at, &tag, sizeof(tag), "list of tags"))
			return false;
		if (tag.size < sizeof(tag) || tag.size > mb.total_size - at)
			return refuse(&p->why, "the loader's tag of type %u has %u bytes; use another boot loader.",
				      tag.type, tag.size);
		if (tag.type == MB2_END)
			return p->info->nr_map || !efi_map || mb2_read_efi_map(p, efi_map);
		if (!mb2_read_tag(p, address + at, &tag, &efi_map))
			return false;
		at += ((uint64_t)tag.size + 7) & ~7ull;
	}
}
