/* SPDX-License-Identifier: MIT */
#include "tests/unit/boot_loader.h"
#include "guest/multiboot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct loader loader;

static const void *at(uint64_t physical, uint64_t size)
{
	if (physical < LOADER_WINDOW || physical > LOADER_WINDOW + LOADER_WINDOW_SIZE ||
	    size > LOADER_WINDOW + LOADER_WINDOW_SIZE - physical)
		return NULL;
	return loader.window + (physical - LOADER_WINDOW);
}

void *loader_at(uint32_t physical)
{
	assert_in_range(physical, LOADER_WINDOW, LOADER_WINDOW + LOADER_WINDOW_SIZE - 1);
	return loader.window + (physical - LOADER_WINDOW);
}

bool loader_parse(int form, uint32_t address)
{
	const struct boot_view view = {
		.at = at,
		.image = {LOADER_IMAGE_START, LOADER_IMAGE_END},
		.limit = loader.limit,
	};
	static const uint32_t magics[] = {0x1234, MULTIBOOT1_BOOTED, MULTIBOOT2_BOOTED};

	loader.reason[0] = '\0';
	return boot_parse(magics[form], address, &view, &loader.info, loader.reason, sizeof(loader.reason));
}

int loader_clear(void **context)
{
	(void)context;
	memset(loader.window, 0, sizeof(loader.window));
	loader.used = 0;
	loader.limit = 1ull << 39;
	return 0;
}

uint32_t loader_put(const void *bytes, size_t size)
{
	uint32_t address = LOADER_WINDOW + loader.used;

	assert_true(loader.used + size <= LOADER_WINDOW_SIZE);
	memcpy(loader.window + loader.used, bytes, size);
	loader.used += (uint32_t)size;
	return address;
}

static uint32_t put_text(const char *text)
{
	return loader_put(text, strlen(text) + 1);
}

const struct loader_machine loader_ordinary = {
	.name = "GRUB 2.06",
	.line = "quiet guest=hammer",
	.map =
		{
			{0, 0x9FC00, 1},
			{0x9FC00, 0xA0000, 2},
			{0xF0000, 0x100000, 2},
			{0x100000, 0x3FF0000, 1},
		},
	.nr_map = 4,
	.modules =
		{
			{0x200000, 0x200123, "hammer manual"},
			{0x201000, 0x203000, "remap"},
		},
	.nr_modules = 2,
};
uint32_t loader_tell1(const struct loader_machine *machine)
{
	struct mb1_info mb = {.flags = MB1_HAS_LINE | MB1_HAS_MODULES | MB1_HAS_MAP | MB1_HAS_LOADER};
	struct mb1_module modules[BOOT_MODULES_MAX + 1];

	for (unsigned i = 0; i < machine->nr_modules; i++)
		modules[i] = (struct mb1_module){(uint32_t)machine->modules[i].start, (uint32_t)machine->modules[i].end,
						 put_text(machine->modules[i].line), 0};
	mb.nr_modules = machine->nr_modules;
	mb.modules = loader_put(modules, machine->nr_modules * sizeof(modules[0]));
	mb.map = LOADER_WINDOW + loader.used;
	for (unsigned i = 0; i < machine->nr_map; i++) {
		struct mb1_memory entry = {20, machine->map[i].start, machine->map[i].end - machine->map[i].start,
					   machine->map[i].type};

		loader_put(&entry, sizeof(entry));
	}
	mb.map_size = LOADER_WINDOW + loader.used - mb.map;
	mb.line = put_text(machine->line);
	mb.loader = put_text(machine->name);
	loader.used = (loader.used + 3) & ~3u;
	return loader_put(&mb, sizeof(mb));
}

void loader_put_tag(uint32_t type, const void *head, size_t head_size, const void *body, size_t size)
{
	struct mb2_tag tag = {type, (uint32_t)(sizeof(tag) + head_size + size)};

	loader_put(&tag, sizeof(tag));
	if (head_size)
		loader_put(head, head_size);
	if (size)
		loader_put(body, size);
	loader.used = (loader.used + 7) & ~7u;
}

uint32_t loader_tell2(const struct loader_machine *machine)
{
	struct mb2_info mb = {0};
	uint32_t address;
	uint32_t shape[2] = {sizeof(struct mb2_memory), 0};
	struct mb2_memory entries[300];
	uint8_t rsdp[BOOT_RSDP_MAX];

	loader.used = (loader.used + 7) & ~7u;
	address = loader_put(&mb, sizeof(mb));
	loader_put_tag(MB2_LINE, NULL, 0, machine->line, strlen(machine->line) + 1);
	loader_put_tag(MB2_LOADER, NULL, 0, machine->name, strlen(machine->name) + 1);
	for (unsigned i = 0; i < machine->nr_modules; i++) {
		uint32_t where[2] = {(uint32_t)machine->modules[i].start, (uint32_t)machine->modules[i].end};

		loader_put_tag(MB2_MODULE, where, sizeof(where), machine->modules[i].line,
			       strlen(machine->modules[i].line) + 1);
	}
	for (unsigned i = 0; i < machine->nr_map; i++)
		entries[i] = (struct mb2_memory){machine->map[i].start, machine->map[i].end - machine->map[i].start,
						 machine->map[i].type, 0};
	loader_put_tag(MB2_MAP, shape, sizeof(shape), entries, machine->nr_map * sizeof(entries[0]));
	memset(rsdp, 0xAC, sizeof(rsdp));
	loader_put_tag(MB2_ACPI_NEW, NULL, 0, rsdp, sizeof(rsdp));
	loader_put_tag(MB2_ACPI_OLD, NULL, 0, rsdp, 20);
	loader_put_tag(MB2_END, NULL, 0, NULL, 0);
	mb.total_size = LOADER_WINDOW + loader.used - address;
	memcpy(loader_at(address), &mb, sizeof(mb));
	return address;
}

bool loader_parse_machine(int form, const struct loader_machine *machine)
{
	loader_clear(NULL);
	return loader_parse(form, form == 1 ? loader_tell1(machine) : loader_tell2(machine));
}
