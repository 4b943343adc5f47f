/* SPDX-License-Identifier: MIT */
/* Kernels with a PVH entry: placed and told everything, or refused and nothing written. */
#include "guest/elf.h"
#include "guest/pc/pvh.h"
#include "tests/unit/loader_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The good ELF file of 64 bits, with a third program header: one note, at NOTE_AT. */
enum { NOTE_AT = 0x2f00, NOTE_SIZE = 24, ENTRY = 0x100010, NOTE_HEADER = PHDR_AT + 2 * 56 };

static uint8_t initrd[5000];
static struct linux_boot boot;

static int setup(void **context)
{
	loader_setup(context);
	image_good64();
	image_put16(56, 3);
	image_put32(NOTE_HEADER, 4);
	image_put64(NOTE_HEADER + 8, NOTE_AT);
	image_put64(NOTE_HEADER + 32, NOTE_SIZE);
	image_put64(NOTE_HEADER + 40, NOTE_SIZE);
	image_put32(NOTE_AT, 4);
	image_put32(NOTE_AT + 4, 8);
	image_put32(NOTE_AT + 8, 18);
	memcpy(image + NOTE_AT + 12, "Xen", 4);
	image_put64(NOTE_AT + 16, ENTRY);
	/* Its second segment lies at 8000h, among what a kernel is told. */
	image_put64(PHDR_AT + 56 + 24, 0x180000);
	image_put64(PHDR_AT + 56 + 16, 0x180000);
	memset(initrd, 0x5a, sizeof(initrd));
	memory.region[1].size = HIGH_SIZE;
	boot = (struct linux_boot){.memory = &memory, .kernel = {image, IMAGE_SIZE}, .line = "quiet", .rsdp = 0xf0000};
	return 0;
}

static void *at(uint64_t address, uint64_t size)
{
	uint8_t *host = load_host(&memory, address, size);

	assert_non_null(host);
	return host;
}

static void is_placed_and_told(void **context)
{
	const uint32_t *info;
	uint64_t word[5];

	(void)context;
	assert_true(pvh_is_kernel(&boot.kernel));
	if (!pvh_load(&boot, &state, why, sizeof(why)))
		fail_msg("refused: %s", why);
	assert_int_equal(state.rip, ENTRY);
	assert_int_equal(state.cr0 & 0x80000001, 1);
	info = at(state.gpr[TL_RBX], 56);
	assert_int_equal(info[0], 0x336ec578);
	assert_int_equal(info[1], 1);
	assert_int_equal(info[3], 0);
	memcpy(word, info + 4, sizeof(word));
	assert_string_equal(at(word[1], 6), "quiet");
	assert_int_equal(word[2], 0xf0000);
	assert_int_equal(word[4] & UINT32_MAX, 2);
	info = at(word[3], 48);
	assert_int_equal(info[6], HIGH_START);
	assert_int_equal(info[8], HIGH_SIZE);
	assert_int_equal(info[10], 1);
}

static void initramfs_is_its_module(void **context)
{
	const uint64_t *module;
	const uint32_t *info;

	(void)context;
	boot.initrd = (struct load_image){initrd, sizeof(initrd)};
	/* It goes to the next 2 MiB, which are not there; with more memory they are. */
	assert_false(pvh_load(&boot, &state, why, sizeof(why)));
	assert_non_null(strstr(why, "initramfs"));
	assert_memory_untouched();
	free(high);
	high = calloc(1, 4 << 20);
	memory.region[1].host = high;
	memory.region[1].size = 4 << 20;
	assert_true(pvh_load(&boot, &state, why, sizeof(why)));
	info = at(state.gpr[TL_RBX], 56);
	assert_int_equal(info[3], 1);
	module = at(info[4], 32);
	assert_int_equal(module[0], 0x200000);
	assert_int_equal(module[1], sizeof(initrd));
	assert_memory_equal(at(module[0], sizeof(initrd)), initrd, sizeof(initrd));
}

static void refused(const char *words)
{
	assert_false(pvh_load(&boot, &state, why, sizeof(why)));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_memory_untouched();
}

static void refuses_what_is_broken(void **context)
{
	(void)context;
	image_put64(NOTE_AT + 16, 0x100000000);
	refused("entry lies outside");
	image_put64(NOTE_AT + 16, 0xb0000);
	refused("entry lies outside");
	image_put64(NOTE_AT + 16, ENTRY);
	image_put64(PHDR_AT + 56 + 24, 0x1f000);
	refused("first 128 KiB");
	image_put64(PHDR_AT + 56 + 24, 0x100800);
	refused("overlaps another");
	image_put64(PHDR_AT + 56 + 24, 0x7f000000);
	refused("outside guest memory");
}

/* Only the whole note of that owner and type is one, and nothing is read beyond the image. */
static void finds_no_other_note(void **context)
{
	static const struct {
		unsigned at;
		uint32_t value;
	} broken[] = {
		{NOTE_AT, 3},
		{NOTE_AT, 5},
		{NOTE_AT, UINT32_MAX},
		{NOTE_AT + 4, 7},
		{NOTE_AT + 4, 0xffff},
		{NOTE_AT + 8, 17},
		{NOTE_AT + 12, 0x6e6558 + 1},
		{NOTE_HEADER, 3},
		{NOTE_HEADER + 8, IMAGE_SIZE - 8},
		{NOTE_HEADER + 32, 20},
	};
	uint8_t good[IMAGE_SIZE];

	(void)context;
	memcpy(good, image, sizeof(good));
	for (unsigned i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		memcpy(image, good, sizeof(good));
		image_put32(broken[i].at, broken[i].value);
		assert_false(pvh_is_kernel(&boot.kernel));
	}
	for (size_t size = 0; size < IMAGE_SIZE; size += 3) {
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, good, size);
		assert_int_equal(pvh_is_kernel(&(struct load_image){cut, size}), size >= NOTE_AT + NOTE_SIZE);
		free(cut);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, loader_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_placed_and_told),
		TEST(initramfs_is_its_module),
		TEST(refuses_what_is_broken),
		TEST(finds_no_other_note),
	};

	return cmocka_run_group_tests_name("pvh", tests, NULL, NULL);
}
