/* SPDX-License-Identifier: MIT */
/*
 * Multiboot kernels of all kinds: by their own addresses, of either protocol, with modules. What a kernel is told is
 * read back as a kernel reads it; what it asks for in vain is refused by name.
 */
#include "guest/kernel.h"
#include "guest/multiboot.h"
#include "tests/unit/loader_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LOAD_AT = 0x110000, FILE_AT = 0x100, HEADER_2_AT = 0x800 };

static unsigned tag_at;

/* A header with addresses, that is no ELF file: the image is loaded from FILE_AT on. */
static void put_addresses(uint32_t load, uint32_t load_end, uint32_t bss_end, uint32_t entry)
{
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		image[i] = (uint8_t)(i * 5 + 3);
	image_put_multiboot(3 | MB1_HAS_ADDRESSES);
	image_put32(HEADER_AT + 12, LOAD_AT + HEADER_AT - FILE_AT);
	image_put32(HEADER_AT + 16, load);
	image_put32(HEADER_AT + 20, load_end);
	image_put32(HEADER_AT + 24, bss_end);
	image_put32(HEADER_AT + 28, entry);
}

static void loads_by_its_addresses(void **context)
{
	(void)context;
	put_addresses(LOAD_AT, LOAD_AT + 0x2000, LOAD_AT + 0x3000, LOAD_AT + 0x24);
	memset(high, 0xaa, HIGH_SIZE);
	assert_true(image_load(IMAGE_SIZE));
	assert_memory_equal(high + LOAD_AT - HIGH_START, image + FILE_AT, 0x2000);
	for (unsigned i = 0x2000; i < 0x3000; i++)
		assert_int_equal(high[LOAD_AT - HIGH_START + i], 0);
	assert_int_equal(high[LOAD_AT - HIGH_START + 0x3000], 0xaa);
	assert_int_equal(high[LOAD_AT - HIGH_START - 1], 0xaa);
	assert_int_equal(state.rip, LOAD_AT + 0x24);
	assert_int_equal(state.rflags, 2);
}

/* Without ends all of the file is loaded, and nothing comes behind it. */
static void loads_all_of_the_file(void **context)
{
	(void)context;
	put_addresses(LOAD_AT, 0, 0, LOAD_AT);
	memset(high, 0xaa, HIGH_SIZE);
	assert_true(image_load(IMAGE_SIZE));
	assert_memory_equal(high + LOAD_AT - HIGH_START, image + FILE_AT, IMAGE_SIZE - FILE_AT);
	assert_int_equal(high[LOAD_AT - HIGH_START + IMAGE_SIZE - FILE_AT], 0xaa);
}

static void refuses_wrong_addresses(void **context)
{
	(void)context;
	put_addresses(LOAD_AT + HEADER_AT, 0, 0, LOAD_AT);
	assert_refused(IMAGE_SIZE, "load address is not one of the image");
	put_addresses(LOAD_AT - FILE_AT - 1, 0, 0, LOAD_AT);
	assert_refused(IMAGE_SIZE, "load address is not one of the image");
	put_addresses(LOAD_AT, LOAD_AT, 0, LOAD_AT);
	assert_refused(IMAGE_SIZE, "end of loading");
	put_addresses(LOAD_AT, LOAD_AT + IMAGE_SIZE - FILE_AT + 1, 0, LOAD_AT);
	assert_refused(IMAGE_SIZE, "end of loading");
	put_addresses(LOAD_AT, LOAD_AT + 0x2000, LOAD_AT + 0x1fff, LOAD_AT);
	assert_refused(IMAGE_SIZE, "memory ends before");
	put_addresses(LOAD_AT, LOAD_AT + 0x2000, 0, LOAD_AT + 0x2000);
	assert_refused(IMAGE_SIZE, "entry point");
	put_addresses(LOAD_AT, 0, HIGH_START + HIGH_SIZE + 1, LOAD_AT);
	assert_refused(IMAGE_SIZE, "outside guest memory");
	put_addresses(LOAD_AT, 0, 0, LOAD_AT);
	assert_refused(HEADER_AT + 31, "ends inside the Multiboot header");
}

static void text_is_shown_and_graphics_refused(void **context)
{
	(void)context;
	image_good32();
	image_put_multiboot(3 | MB1_WANT_VIDEO);
	image_put32(HEADER_AT + 32, 1);
	assert_true(image_load(IMAGE_SIZE));
	loader_teardown(context);
	loader_setup(context);
	image_put32(HEADER_AT + 32, 0);
	image_put32(HEADER_AT + 36, 1024);
	image_put32(HEADER_AT + 40, 768);
	image_put32(HEADER_AT + 44, 32);
	assert_refused(IMAGE_SIZE, "graphics of 1024x768x32");
}

/* ---- Multiboot 2 ---- */

static void put_tag(uint16_t type, uint16_t flags, uint32_t size)
{
	image_put16(tag_at, type);
	image_put16(tag_at + 2, flags);
	image_put32(tag_at + 4, size);
	tag_at += (size + 7) & ~7u;
}

static void put_words(unsigned count, const uint32_t *words)
{
	for (unsigned i = 0; i < count; i++)
		image_put32(tag_at + 8 + i * 4, words[i]);
}

/* The image of image_good32() with a header of Multiboot 2 instead; end_tags() is to follow. */
static void begin_tags(void)
{
	image_good32();
	image_put32(HEADER_AT, 0);
	tag_at = HEADER_2_AT + (unsigned)sizeof(struct mb2_header);
}

static void put_header_2(uint32_t architecture, uint32_t length)
{
	image_put32(HEADER_2_AT, MB2_HEADER_MAGIC);
	image_put32(HEADER_2_AT + 4, architecture);
	image_put32(HEADER_2_AT + 8, length);
	image_put32(HEADER_2_AT + 12, 0u - MB2_HEADER_MAGIC - architecture - length);
}

static void end_tags(void)
{
	put_tag(MB2_TAG_END, 0, 8);
	put_header_2(MB2_I386, tag_at - HEADER_2_AT);
}

static void loads_multiboot_2(void **context)
{
	static const uint32_t wanted[] = {MB2_LINE, MB2_MODULE, MB2_MAP};

	(void)context;
	begin_tags();
	put_words(3, wanted);
	put_tag(MB2_TAG_INFORMATION, 0, 8 + sizeof(wanted));
	put_words(1, (const uint32_t[]){MB2_ACPI_NEW});
	put_tag(MB2_TAG_INFORMATION, MB2_TAG_OPTIONAL, 12);
	put_tag(MB2_TAG_FRAMEBUFFER, MB2_TAG_OPTIONAL, 20);
	put_tag(MB2_TAG_ALIGN_MODULES, 0, 8);
	put_words(1, (const uint32_t[]){0x100024});
	put_tag(MB2_TAG_ENTRY, 0, 12);
	end_tags();
	assert_true(image_load(IMAGE_SIZE));
	assert_memory_equal(high, image + 0x1000, 0x1800);
	assert_int_equal(state.gpr[TL_RAX], MULTIBOOT2_BOOTED);
	assert_int_equal(state.rip, 0x100024);
}

static void loads_multiboot_2_by_its_addresses(void **context)
{
	(void)context;
	begin_tags();
	memset(image, 0, 4); /* no ELF file */
	put_words(4, (const uint32_t[]){LOAD_AT + HEADER_2_AT, MB2_LOAD_FIRST, LOAD_AT + 0x1000, 0});
	put_tag(MB2_TAG_ADDRESSES, 0, 24);
	put_words(1, (const uint32_t[]){LOAD_AT + 8});
	put_tag(MB2_TAG_ENTRY, 0, 12);
	end_tags();
	assert_true(image_load(IMAGE_SIZE));
	assert_memory_equal(high + LOAD_AT - HIGH_START, image, 0x1000);
	assert_int_equal(high[LOAD_AT - HIGH_START + 0x1000], 0);
	assert_int_equal(state.rip, LOAD_AT + 8);
}

static void one_tag(uint16_t type, uint16_t flags, uint32_t size)
{
	begin_tags();
	put_words(4, (const uint32_t[]){LOAD_AT + HEADER_2_AT, LOAD_AT, 0, 0});
	put_tag(type, flags, size);
	end_tags();
}

static void refuses_broken_multiboot_2(void **context)
{
	(void)context;
	one_tag(MB2_TAG_FRAMEBUFFER, 0, 20);
	assert_refused(IMAGE_SIZE, "tag of type 5");
	one_tag(99, 0, 8);
	assert_refused(IMAGE_SIZE, "tag of type 99");
	one_tag(MB2_TAG_ADDRESSES, 0, 24);
	assert_refused(IMAGE_SIZE, "no tag of an entry");
	one_tag(MB2_TAG_ADDRESSES, 0, 23);
	assert_refused(IMAGE_SIZE, "addresses that is too short");
	one_tag(MB2_TAG_ENTRY, 0, 11);
	assert_refused(IMAGE_SIZE, "entry that is too short");
	one_tag(MB2_TAG_INFORMATION, 0, 12);
	assert_refused(IMAGE_SIZE, "information of type");
	one_tag(MB2_TAG_CONSOLE, 0, 7);
	assert_refused(IMAGE_SIZE, "tag of a wrong size");
	one_tag(MB2_TAG_CONSOLE, 0, 12);
	image_put32(HEADER_2_AT + 20, 1000);
	assert_refused(IMAGE_SIZE, "tag of a wrong size");
	one_tag(MB2_TAG_CONSOLE, 0, 12);
	put_header_2(MB2_I386, tag_at - HEADER_2_AT - 8);
	assert_refused(IMAGE_SIZE, "no tag that ends it");
	put_header_2(4, tag_at - HEADER_2_AT);
	assert_refused(IMAGE_SIZE, "another machine than i386");
	put_header_2(MB2_I386, IMAGE_SIZE);
	assert_refused(IMAGE_SIZE, "ends inside the Multiboot 2 header");
	image_put32(HEADER_2_AT + 12, 1);
	assert_refused(IMAGE_SIZE, "checksum");
}

/* ---- Modules, and what a kernel is told ---- */

static const uint8_t first_module[5000] = {1, 2, 3}, second_module[1] = {9};
static const struct load_module modules[] = {{{first_module, sizeof(first_module)}, "disk.img a=1"},
					     {{second_module, sizeof(second_module)}, ""}};
static const struct load_map_entry map[] = {
	{0, 0x9f000, LOAD_MAP_RAM}, {0x9f000, 0x1000, LOAD_MAP_RESERVED}, {0x100000, HIGH_SIZE, LOAD_MAP_RAM}};

static bool load_with_modules(void)
{
	struct load_module kernel = {{image, IMAGE_SIZE}, "vmunix root=/dev/vda"};

	memory.map = map;
	memory.nr_map = 3;
	return load_multiboot(&kernel, modules, 2, &memory, &state, why, sizeof(why));
}

/* The information, which is in low memory, and what it points to. */
static const void *at(uint32_t address)
{
	assert_true(address < LOW_SIZE);
	return low + address;
}

static void modules_are_told_of_in_1(void **context)
{
	const struct mb1_module *told;
	const struct mb1_memory *memories;
	const struct mb1_info *info;

	(void)context;
	image_good32();
	assert_true(load_with_modules());
	info = at((uint32_t)state.gpr[TL_RBX]);
	assert_int_equal(info->nr_modules, 2);
	assert_true(info->flags & MB1_HAS_MODULES);
	told = at(info->modules);
	assert_string_equal(at(told[0].line), "disk.img a=1");
	assert_string_equal(at(told[1].line), "");
	assert_string_equal(at(info->line), "vmunix root=/dev/vda");
	/* Behind the kernel, which ends at 0x102000, each on a page of its own. */
	assert_int_equal(told[0].start, 0x102000);
	assert_int_equal(told[0].end, 0x102000 + sizeof(first_module));
	assert_int_equal(told[1].start, 0x104000);
	assert_memory_equal(high + 0x2000, first_module, sizeof(first_module));
	assert_int_equal(high[0x4000], 9);
	memories = at(info->map);
	assert_int_equal(info->map_size, 3 * sizeof(*memories));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(memories[i].base, map[i].start);
		assert_int_equal(memories[i].length, map[i].size);
		assert_int_equal(memories[i].type, map[i].type);
	}
}

static const struct mb2_tag *find_tag(uint32_t type, unsigned nth)
{
	const struct mb2_info *info = at((uint32_t)state.gpr[TL_RBX]);
	const uint8_t *tag = (const uint8_t *)(info + 1), *end = (const uint8_t *)info + info->total_size;

	for (; tag + sizeof(struct mb2_tag) <= end; tag += (((const struct mb2_tag *)tag)->size + 7) & ~7u)
		if (((const struct mb2_tag *)tag)->type == type && nth-- == 0)
			return (const struct mb2_tag *)tag;
	fail_msg("there is no tag of type %u", type);
	return NULL;
}

static void modules_are_told_of_in_2(void **context)
{
	const struct mb2_module *first, *second;
	const struct mb2_memory *memories;
	const struct mb2_map *told;

	(void)context;
	begin_tags();
	end_tags();
	assert_true(load_with_modules());
	first = (const struct mb2_module *)find_tag(MB2_MODULE, 0);
	second = (const struct mb2_module *)find_tag(MB2_MODULE, 1);
	assert_int_equal(first->start, 0x102000);
	assert_int_equal(first->end, 0x102000 + sizeof(first_module));
	assert_string_equal((const char *)(first + 1), "disk.img a=1");
	assert_int_equal(second->start, 0x104000);
	assert_int_equal(second->tag.size, sizeof(*second) + 1);
	assert_string_equal((const char *)(find_tag(MB2_LINE, 0) + 1), "vmunix root=/dev/vda");
	assert_string_equal((const char *)(find_tag(MB2_LOADER, 0) + 1), "trapline");
	assert_int_equal(((const struct mb2_basic_memory *)find_tag(MB2_MEMORY, 0))->upper, HIGH_SIZE >> 10);
	told = (const struct mb2_map *)find_tag(MB2_MAP, 0);
	assert_int_equal(told->entry_size, sizeof(*memories));
	memories = (const struct mb2_memory *)(told + 1);
	assert_int_equal(told->tag.size, sizeof(*told) + 3 * sizeof(*memories));
	assert_int_equal(memories[1].base, 0x9f000);
	assert_int_equal(memories[1].type, LOAD_MAP_RESERVED);
	assert_int_equal(find_tag(MB2_END, 0)->size, 8);
}

static void modules_without_a_place_are_refused(void **context)
{
	static uint8_t large[HIGH_SIZE - 0x2000 + 1];
	struct load_module kernel = {{image, IMAGE_SIZE}, ""}, module = {{large, sizeof(large)}, ""};

	(void)context;
	image_good32();
	assert_false(load_multiboot(&kernel, &module, 1, &memory, &state, why, sizeof(why)));
	assert_non_null(strstr(why, "module 1 of 1040385 bytes above 0x102000"));
	assert_memory_untouched();
	module.image.size--;
	assert_true(load_multiboot(&kernel, &module, 1, &memory, &state, why, sizeof(why)));
}

/* Below 1 MiB there is no room for it beside what is there, nor in so little memory. */
static void information_needs_its_place(void **context)
{
	static char line[1100];
	struct load_module kernel = {{image, IMAGE_SIZE}, line}, many[LOAD_MOST_MODULES];

	(void)context;
	memset(line, 'x', sizeof(line) - 1);
	for (unsigned i = 0; i < LOAD_MOST_MODULES; i++)
		many[i] = (struct load_module){{second_module, 1}, line};
	image_good32();
	assert_true(load_multiboot(&kernel, many, LOAD_MOST_MODULES, &memory, &state, why, sizeof(why)));
	assert_true(state.gpr[TL_RBX] < LOW_SIZE - LOAD_MOST_MODULES * 1024);
	memory.region[0].size = 0x4000;
	assert_false(load_multiboot(&kernel, many, LOAD_MOST_MODULES, &memory, &state, why, sizeof(why)));
	assert_non_null(strstr(why, "too small for the Multiboot information"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loader_setup, loader_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_by_its_addresses),      TEST(loads_all_of_the_file),
		TEST(refuses_wrong_addresses),     TEST(text_is_shown_and_graphics_refused),
		TEST(loads_multiboot_2),           TEST(loads_multiboot_2_by_its_addresses),
		TEST(refuses_broken_multiboot_2),  TEST(modules_are_told_of_in_1),
		TEST(modules_are_told_of_in_2),    TEST(modules_without_a_place_are_refused),
		TEST(information_needs_its_place),
	};

	return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
