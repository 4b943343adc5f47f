/* SPDX-License-Identifier: MIT */
/* What a loader says of the firmware: the screen that it set up, and UEFI's memory map. */
#include "boot/efi_spec.h"
#include "guest/multiboot.h"
#include "tests/unit/boot_loader.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct mb_framebuffer pixels = {0x4000000000, 4096, 1024, 768, 32, MB_FRAMEBUFFER_RGB};
static const struct mb_colors colors = {16, 8, 8, 9, 0, 10};

/* Information of Multiboot 2 with one tag more, which stands before the others. */
static uint32_t tell2_with(uint32_t type, const void *head, size_t head_size, const void *body, size_t size)
{
	struct mb2_info mb = {0};
	uint32_t address, rest;

	loader_clear(NULL);
	address = loader_put(&mb, sizeof(mb));
	loader_put_tag(type, head, head_size, body, size);
	/* What loader_tell2() begins with, its own information, is written over by an empty tag of an unknown type. */
	rest = loader_tell2(&loader_ordinary);
	memcpy(loader_at(rest), &(struct mb2_tag){0x7777, sizeof(struct mb2_tag)}, sizeof(struct mb2_tag));
	mb.total_size = LOADER_WINDOW + loader.used - address;
	memcpy(loader_at(address), &mb, sizeof(mb));
	return address;
}

static uint32_t tell2_screen(const struct mb_framebuffer *screen, const void *more, size_t size)
{
	uint8_t head[sizeof(*screen) + 2] = {0};

	memcpy(head, screen, sizeof(*screen));
	return tell2_with(MB2_FRAMEBUFFER, head, sizeof(head), more, size);
}

/* Multiboot 1: the description stands in the information itself. */
static uint32_t tell1_screen(const struct mb_framebuffer *screen)
{
	uint32_t address;
	struct mb1_info *mb;

	loader_clear(NULL);
	address = loader_tell1(&loader_ordinary);
	mb = loader_at(address);
	mb->flags |= MB1_HAS_FRAMEBUFFER;
	assert_true(address + sizeof(*mb) <= address + MB1_FRAMEBUFFER_AT);
	loader.used = address - LOADER_WINDOW + MB1_FRAMEBUFFER_AT;
	loader_put(screen, sizeof(*screen));
	loader_put(&colors, sizeof(colors));
	return address;
}

static void check_pixels(void)
{
	const struct boot_framebuffer *f = &loader.info.framebuffer;

	assert_int_equal(f->kind, BOOT_SCREEN_PIXELS);
	assert_true(f->base == pixels.base);
	assert_int_equal(f->pitch, 4096);
	assert_int_equal(f->width, 1024);
	assert_int_equal(f->height, 768);
	assert_int_equal(f->bits, 32);
	assert_int_equal(f->red.position, 16);
	assert_int_equal(f->red.size, 8);
	assert_int_equal(f->green.position, 8);
	assert_int_equal(f->green.size, 9);
	assert_int_equal(f->blue.position, 0);
	assert_int_equal(f->blue.size, 10);
}

static void reads_screens(void **context)
{
	struct mb_framebuffer other = pixels;

	(void)context;
	assert_true(loader_parse_machine(2, &loader_ordinary));
	assert_int_equal(loader.info.framebuffer.kind, BOOT_SCREEN_UNSAID);
	assert_true(loader_parse(1, tell1_screen(&pixels)));
	check_pixels();
	assert_true(loader_parse(2, tell2_screen(&pixels, &colors, sizeof(colors))));
	check_pixels();
	other.type = MB_FRAMEBUFFER_TEXT;
	assert_true(loader_parse(2, tell2_screen(&other, NULL, 0)));
	assert_int_equal(loader.info.framebuffer.kind, BOOT_SCREEN_TEXT);
	assert_true(loader_parse(1, tell1_screen(&other)));
	assert_int_equal(loader.info.framebuffer.kind, BOOT_SCREEN_TEXT);
	/* A palette, and a type that does not exist. */
	for (other.type = 0; other.type != 3; other.type = other.type ? 3 : 77) {
		assert_true(loader_parse(2, tell2_screen(&other, NULL, 0)));
		assert_int_equal(loader.info.framebuffer.kind, BOOT_SCREEN_OTHER);
		assert_int_equal(loader.info.framebuffer.type, other.type);
	}
}

static void refuses_short_screens(void **context)
{
	(void)context;
	assert_refused(loader_parse(2, tell2_screen(&pixels, &colors, sizeof(colors) - 1)), "the screen in 37 bytes");
	assert_refused(loader_parse(2, tell2_with(MB2_FRAMEBUFFER, &pixels, sizeof(pixels) - 1, NULL, 0)),
		       "the screen in 29 bytes");
}

/* Usable memory is from 0 to 0x9FC00 and from 1 MiB to 0x3FF0000. */
static void finds_screens_in_memory(void **context)
{
	static const struct {
		uint64_t base;
		bool good;
	} rows[] = {
		{0x4000000, true},
		{0x3FEFFFF, false},
		{0x3FF0000, true},
		{0x100000, false},
		{0x9F000, false},
		{0xA0000, false},
		{UINT64_MAX - 4096 * 768, true},
		{UINT64_MAX, true},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mb_framebuffer screen = pixels;

		screen.base = rows[i].base;
		assert_true(loader_parse(2, tell2_screen(&screen, &colors, sizeof(colors))));
		assert_int_equal(loader.info.framebuffer.kind, rows[i].good ? BOOT_SCREEN_PIXELS : BOOT_SCREEN_BROKEN);
	}
}

/* A refusal is to be shown: the screen is known though the run ends. */
static void knows_the_screen_of_a_refusal(void **context)
{
	uint32_t address;

	(void)context;
	address = tell2_screen(&pixels, &colors, sizeof(colors));
	loader.limit = 0;
	assert_refused(loader_parse(2, address), "no usable memory");
	check_pixels();
}

enum { EFI_ENTRIES = 8, EFI_MOST = 400 };

struct efi_row {
	uint32_t type;
	uint64_t physical, pages, attributes;
};

/* Only UEFI's map; its entries are longer than what is known of them, as firmware has them. */
static uint32_t tell_efi(const struct efi_row *rows, unsigned count, uint32_t entry_size)
{
	static uint8_t entries[EFI_MOST * 48];
	uint32_t shape[2] = {entry_size, 1};
	struct mb2_info mb = {0};
	uint32_t address;

	memset(entries, 0xEE, sizeof(entries));
	for (unsigned i = 0; i < count; i++) {
		struct efi_memory entry = {.type = rows[i].type,
					   .physical = rows[i].physical,
					   .pages = rows[i].pages,
					   .attributes = rows[i].attributes};

		memcpy(entries + (size_t)i * entry_size, &entry, sizeof(entry));
	}
	loader_clear(NULL);
	address = loader_put(&mb, sizeof(mb));
	loader_put_tag(MB2_EFI_MAP, shape, sizeof(shape), entries, (size_t)count * entry_size);
	loader_put_tag(MB2_END, NULL, 0, NULL, 0);
	mb.total_size = LOADER_WINDOW + loader.used - address;
	memcpy(loader_at(address), &mb, sizeof(mb));
	return address;
}

static const struct efi_row efi_rows[EFI_ENTRIES] = {
	{EFI_CONVENTIONAL, 0, 0xA0, EFI_MEMORY_WB | 7},
	{EFI_CONVENTIONAL, 0x100000, 0x700, EFI_MEMORY_WB},
	{EFI_BOOT_SERVICES_DATA, 0x800000, 0x100, EFI_MEMORY_WB}, /* free by now, and one with the one before */
	{EFI_ACPI_RECLAIM, 0x900000, 0x10, EFI_MEMORY_WB},
	{5, 0x910000, 0x10, EFI_MEMORY_WB | 1ull << 63}, /* code of runtime services */
	{EFI_CONVENTIONAL, 0x920000, 0x10, 1},           /* uncached only */
	{EFI_LOADER_DATA, 0x930000, 0x10, EFI_MEMORY_WB},
	{11, 0xFEE00000, 1, 1}, /* registers */
};

static void reads_the_map_of_uefi(void **context)
{
	const struct boot_info *info = &loader.info;

	(void)context;
	assert_true(loader_parse(2, tell_efi(efi_rows, EFI_ENTRIES, 48)));
	assert_true(info->efi);
	assert_int_equal(info->nr_memory, 3);
	assert_int_equal(info->memory[0].end, 0xA0000);
	assert_int_equal(info->memory[1].start, 0x100000);
	assert_int_equal(info->memory[1].end, 0x900000);
	assert_int_equal(info->memory[2].start, 0x930000);
	assert_int_equal(info->memory[2].end, 0x940000);
	assert_int_equal(info->map[2].type, BOOT_MEMORY_ACPI);
	assert_int_equal(info->map[3].type, BOOT_MEMORY_RESERVED);
	assert_int_equal(info->nr_map, 6); /* runtime code and what is uncached are reserved, and one */
}

/* The loader's own map counts where there are both. */
static void prefers_the_map_of_the_loader(void **context)
{
	uint32_t shape[2] = {sizeof(struct efi_memory), 1};
	struct efi_memory all = {.type = EFI_CONVENTIONAL, .pages = 1 << 20, .attributes = EFI_MEMORY_WB};
	uint64_t size;

	(void)context;
	assert_true(loader_parse_machine(2, &loader_ordinary));
	assert_false(loader.info.efi);
	size = loader.info.memory_size;
	assert_true(loader_parse(2, tell2_with(MB2_EFI_MAP, shape, sizeof(shape), &all, sizeof(all))));
	assert_true(loader.info.efi);
	assert_true(loader.info.memory_size == size);
}

static void refuses_bad_maps_of_uefi(void **context)
{
	struct efi_row rows[EFI_ENTRIES];

	(void)context;
	assert_refused(loader_parse(2, tell_efi(efi_rows, EFI_ENTRIES, 39)), "entries of 39 bytes in 328");
	assert_refused(loader_parse(2, tell_efi(efi_rows, 0, 0)), "entries of 0 bytes in 16");
	memcpy(rows, efi_rows, sizeof(rows));
	rows[7].pages = 1ull << 52;
	assert_refused(loader_parse(2, tell_efi(rows, EFI_ENTRIES, 48)), "0x10000000000000 pages, which wraps around");
	rows[7].pages = (1ull << 52) - 1;
	assert_refused(loader_parse(2, tell_efi(rows, EFI_ENTRIES, 48)), "wraps around");
	memcpy(rows, efi_rows, sizeof(rows));
	rows[3].physical -= 0x1000;
	assert_refused(loader_parse(2, tell_efi(rows, EFI_ENTRIES, 48)), "overlap");
}

/* Firmware divides memory into hundreds of pieces that are alike. */
static void merges_pieces_of_uefi(void **context)
{
	static struct efi_row rows[300];

	(void)context;
	for (unsigned i = 0; i < 300; i++)
		rows[i] = (struct efi_row){i % 3 ? EFI_BOOT_SERVICES_DATA : EFI_CONVENTIONAL, 0x100000 + i * 0x1000ull,
					   1, EFI_MEMORY_WB};
	assert_true(loader_parse(2, tell_efi(rows, 300, 48)));
	assert_int_equal(loader.info.nr_map, 1);
	assert_int_equal(loader.info.memory_size, 300 * 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_screens, loader_clear),
		cmocka_unit_test_setup(refuses_short_screens, loader_clear),
		cmocka_unit_test_setup(finds_screens_in_memory, loader_clear),
		cmocka_unit_test_setup(knows_the_screen_of_a_refusal, loader_clear),
		cmocka_unit_test_setup(reads_the_map_of_uefi, loader_clear),
		cmocka_unit_test_setup(prefers_the_map_of_the_loader, loader_clear),
		cmocka_unit_test_setup(refuses_bad_maps_of_uefi, loader_clear),
		cmocka_unit_test_setup(merges_pieces_of_uefi, loader_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
