/* SPDX-License-Identifier: MIT */
/* Flat images, started in each mode: those that fit arrive whole, the others are refused with memory untouched. */
#include "tests/unit/loader_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool flat(uint64_t address, enum state_mode mode, size_t size)
{
	struct load_image source = {image, size};

	return load_flat(&source, &memory, address, mode, &state, why, sizeof(why));
}

static void loads_flat_images(void **context)
{
	(void)context;
	image_good32();
	assert_true(flat(0x7c00, STATE_REAL, IMAGE_SIZE));
	assert_memory_equal(low + 0x7c00, image, IMAGE_SIZE);
	assert_int_equal(state.rip, 0x7c00);
	assert_int_equal(state.segment[TL_CS].base, 0);
	assert_int_equal(state.cr0 & 1, 0);
	assert_true(flat(0x12345, STATE_REAL, IMAGE_SIZE));
	assert_int_equal(state.segment[TL_CS].selector, 0x1234);
	assert_int_equal(state.segment[TL_CS].base + state.rip, 0x12345);
	assert_true(flat(0x100000, STATE_PROTECTED, IMAGE_SIZE));
	assert_int_equal(state.rip, 0x100000);
	assert_true(flat(HIGH_START + HIGH_SIZE - IMAGE_SIZE, STATE_PROTECTED, IMAGE_SIZE));
}

static void long_mode_maps_four_gigabytes(void **context)
{
	uint64_t entry, pages[] = {0, 0x1fffff, 0x200000, 0xd0000000, 0xffffffff};

	(void)context;
	assert_true(flat(0x8000, STATE_LONG, IMAGE_SIZE));
	assert_int_equal(state.efer, 0x500);
	assert_int_equal(state.cr4 & 0x20, 0x20);
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		memcpy(&entry, low + state.cr3, 8);
		assert_int_equal(entry & 0xfff, 3);
		memcpy(&entry, low + (entry & ~0xfffull) + (pages[i] >> 30) * 8, 8);
		assert_int_equal(entry & 0xfff, 3);
		memcpy(&entry, low + (entry & ~0xfffull) + (pages[i] >> 21 & 511) * 8, 8);
		assert_int_equal(entry, (pages[i] & ~0x1fffffull) | 0x83);
	}
	memcpy(&entry, low + state.cr3 + 8, 8);
	assert_int_equal(entry, 0);
}

static void refuses_flat_images(void **context)
{
	static const struct {
		uint64_t address;
		enum state_mode mode;
		size_t size;
		const char *words;
	} each[] = {
		{0x7c00, STATE_REAL, 0, "empty"},
		{0xa0000, STATE_REAL, 16, "outside guest memory"},
		{0x9fff8, STATE_REAL, 16, "outside guest memory"},
		{UINT64_MAX - 7, STATE_LONG, 16, "outside guest memory"},
		{HIGH_START + HIGH_SIZE - 8, STATE_PROTECTED, 16, "outside guest memory"},
		{0x100000, STATE_REAL, 16, "below 1 MiB"},
		{LOW_SIZE - 6 * 4096 - 8, STATE_LONG, 16, "page tables"},
		{LOW_SIZE - 8, STATE_LONG, 8, "page tables"},
	};

	(void)context;
	image_good32();
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		assert_false(flat(each[i].address, each[i].mode, each[i].size));
		if (!strstr(why, each[i].words))
			fail_msg("\"%s\" does not say \"%s\"", why, each[i].words);
		assert_memory_untouched();
	}
	memory = (struct load_memory){.region = {{0, 4096, low}}, .nr_regions = 1};
	assert_false(flat(0, STATE_LONG, 16));
	assert_non_null(strstr(why, "too small"));
}

static void one_page_of_memory(void **context)
{
	(void)context;
	memory = (struct load_memory){.region = {{0, 4096, low}}, .nr_regions = 1};
	image_good32();
	assert_refused(IMAGE_SIZE, "outside guest memory");
	assert_true(flat(0, STATE_REAL, 4096));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loader_setup, loader_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_flat_images),
		TEST(long_mode_maps_four_gigabytes),
		TEST(refuses_flat_images),
		TEST(one_page_of_memory),
	};

	return cmocka_run_group_tests_name("loader_flat", tests, NULL, NULL);
}
