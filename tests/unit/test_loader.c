/* SPDX-License-Identifier: MIT */
/* Multiboot kernels: good ones arrive whole, and every broken one is refused by name with memory untouched. */
#include "guest/multiboot.h"
#include "tests/unit/loader_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_loaded_as_linked(void)
{
	memset(high, 0xaa, HIGH_SIZE);
	assert_true(image_load(IMAGE_SIZE));
	assert_memory_equal(high, image + 0x1000, 0x1800);
	for (unsigned i = 0x1800; i < 0x2000; i++)
		assert_int_equal(high[i], 0);
	assert_int_equal(high[0x2000], 0xaa);
	assert_memory_equal(low + 0x8000, image + 0x2800, 0x400);
	assert_int_equal(state.rip, 0x100010);
	assert_int_equal(state.gpr[TL_RAX], 0x2badb002);
	assert_int_equal(state.segment[TL_CS].selector, 8);
	assert_int_equal(state.segment[TL_DS].selector, 0x10);
	assert_int_equal(state.cr0 & 0x80000001u, 1);
	assert_int_equal(state.efer, 0);
}

static void loads_elf32(void **context)
{
	(void)context;
	image_good32();
	assert_loaded_as_linked();
}

/* Linked high, but with the entry point that QEMU's -kernel needs: a physical one. */
static void a_physical_entry_is_taken_as_it_is(void **context)
{
	(void)context;
	image_good32();
	image_put32(24, 0x100010);
	assert_loaded_as_linked();
}

static void loads_elf64(void **context)
{
	(void)context;
	image_good64();
	assert_loaded_as_linked();
}

static void information_is_complete(void **context)
{
	struct mb1_info info;
	struct mb1_memory map[2];

	(void)context;
	image_good32();
	assert_true(image_load(IMAGE_SIZE));
	assert_int_equal(state.gpr[TL_RBX], LOW_SIZE - 4096);
	memcpy(&info, low + LOW_SIZE - 4096, sizeof(info));
	assert_int_equal(info.flags, 1 | 2 | 4 | 64 | 512);
	assert_int_equal(info.mem_lower, 640);
	assert_int_equal(info.mem_upper, 1024);
	assert_string_equal((char *)low + info.line, "guest one=1");
	assert_string_equal((char *)low + info.loader, "trapline");
	assert_int_equal(info.map_size, sizeof(map));
	memcpy(map, low + info.map, sizeof(map));
	assert_int_equal(map[0].size, 20);
	assert_int_equal(map[0].length, LOW_SIZE);
	assert_int_equal(map[1].base, HIGH_START);
	assert_int_equal(map[1].length, HIGH_SIZE);
	assert_int_equal(map[1].type, 1);
}

static void long_command_line_is_cut(void **context)
{
	static char words[6000];
	struct load_module kernel = {{image, IMAGE_SIZE}, words};
	struct mb1_info info;

	(void)context;
	memset(words, 'w', sizeof(words) - 1);
	image_good32();
	assert_true(load_multiboot(&kernel, NULL, 0, &memory, &state, why, sizeof(why)));
	memcpy(&info, low + LOW_SIZE - 4096, sizeof(info));
	assert_true(strlen((char *)low + info.line) < 4096 - 128);
	assert_int_equal(high[0x2000], 0);
}

struct breakage {
	unsigned at, bytes;
	uint64_t value;
	const char *words;
};

static void refuse_each(void (*good)(void), const struct breakage *breakage, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		good();
		memcpy(image + breakage[i].at, &breakage[i].value, breakage[i].bytes);
		assert_refused(IMAGE_SIZE, breakage[i].words);
	}
}

#define P32(field)   (PHDR_AT + (unsigned)offsetof(struct ph32, field))
#define P64(field)   (PHDR_AT + (unsigned)offsetof(struct ph64, field))
#define P64_2(field) (P64(field) + (unsigned)sizeof(struct ph64))

static void refuses_broken_elf32(void **context)
{
	static const struct breakage each[] = {
		{0, 1, 0, "no ELF file"},
		{4, 1, 3, "class"},
		{5, 1, 2, "little-endian"},
		{6, 1, 0, "version"},
		{16, 2, 3, "ET_EXEC"},
		{18, 2, 62, "another machine"},
		{42, 2, 31, "entry size"},
		{44, 2, 0, "no program headers"},
		{44, 2, 0xffff, "program headers lie outside"},
		{28, 4, 0xffffffff, "program headers lie outside"},
		{28, 4, IMAGE_SIZE - 95, "program headers lie outside"},
		{P32(offset), 4, IMAGE_SIZE - 1, "segment 0 lies outside the image"},
		{P32(offset), 4, 0xffffffff, "segment 0 lies outside the image"},
		{P32(filesz), 4, 0x2001, "segment 0 is larger in the file"},
		{P32(memsz), 4, 0x100001, "lies outside guest memory"},
		{P32(paddr), 4, 0xa0000, "segment 0 at 0xa0000 lies outside guest memory"},
		{P32(paddr), 4, 0x9f000, "lies outside guest memory"},
		{P32(paddr), 4, 0x9d001, "overlaps the page of the Multiboot information"},
		{P32(paddr), 4, 0x8200, "segment 2 at 0x8000 overlaps another segment"},
		{24, 4, 0xc0102000, "entry point lies in no segment"},
		{24, 4, 0, "entry point lies in no segment"},
	};

	(void)context;
	refuse_each(image_good32, each, sizeof(each) / sizeof(each[0]));
}

static void refuses_broken_elf64(void **context)
{
	static const struct breakage each[] = {
		{18, 2, 3, "another machine"},
		{54, 2, 32, "entry size"},
		{32, 8, UINT64_MAX, "program headers lie outside"},
		{32, 8, UINT64_MAX - 100, "program headers lie outside"},
		{P64(offset), 8, UINT64_MAX - 0x17ff, "segment 0 lies outside the image"},
		{P64(paddr), 8, UINT64_MAX - 0x1ffe, "segment 0 wraps around"},
		{P64(vaddr), 8, UINT64_MAX - 0x1ffe, "segment 0 wraps around"},
		{P64(memsz), 8, UINT64_MAX, "segment 0 wraps around"},
		{P64(paddr), 8, 0x100000000, "above 4 GiB"},
		{P64_2(paddr), 8, 0x100000000, "segment 1 at 0x100000000 lies outside guest memory"},
		{P64_2(paddr), 8, 0x101fff, "segment 1 at 0x101fff overlaps another segment"},
		{P64_2(memsz), 8, 0, "entry point"}, /* empty: not loaded; the entry is moved into it below */
	};

	(void)context;
	refuse_each(image_good64, each, sizeof(each) / sizeof(each[0]) - 1);
	image_good64();
	image_put64(24, 0x8010);
	image_put64(P64_2(filesz), 0);
	image_put64(P64_2(memsz), 0);
	assert_refused(IMAGE_SIZE, each[sizeof(each) / sizeof(each[0]) - 1].words);
}

static void refuses_too_many_segments(void **context)
{
	struct ph32 ph = {1, 0x2000, 0, 0, 16, 16, 5, 1};

	(void)context;
	image_good32();
	for (uint32_t i = 0; i < 17; i++) {
		ph.paddr = ph.vaddr = 0x100000 + i * 0x100;
		memcpy(image + PHDR_AT + i * sizeof(ph), &ph, sizeof(ph));
	}
	image_put32(24, 0x100000);
	image_put16(44, 17);
	assert_refused(IMAGE_SIZE, "more than 16 segments");
	image_put16(44, 16);
	assert_true(image_load(IMAGE_SIZE));
}

static void refuses_broken_multiboot(void **context)
{
	(void)context;
	image_good32();
	image_put32(HEADER_AT, 0);
	assert_refused(IMAGE_SIZE, "no Multiboot header");
	image_good32();
	image_put32(HEADER_AT + 8, 1);
	assert_refused(IMAGE_SIZE, "checksum");
	image_good32();
	image_put_multiboot(8);
	assert_refused(IMAGE_SIZE, "flags 15:3");
	/* Behind the first 8192 bytes a header does not count; one that just fits does. */
	image_good32();
	memmove(image + 8192 - 8, image + HEADER_AT, 12);
	image_put32(HEADER_AT, 0);
	assert_refused(IMAGE_SIZE, "no Multiboot header");
	image_good32();
	memmove(image + 8192 - 12, image + HEADER_AT, 12);
	image_put32(HEADER_AT, 0);
	assert_true(image_load(IMAGE_SIZE));
}

/* Cut at any byte, an image is refused or, past its last segment's end, loaded; nothing is read beyond it. */
static void refuses_every_truncation(void **context)
{
	(void)context;
	image_good32();
	assert_refused(0, "empty");
	for (size_t size = 1; size < IMAGE_SIZE; size += size < HEADER_AT + 32 ? 1 : 97) {
		bool loaded = image_load(size);

		assert_int_equal(loaded, size >= 0x2c00);
		if (loaded)
			break;
		assert_true(strlen(why) > 10);
	}
}

/* Random bytes in the headers: whatever happens, no read or write out of bounds, and a refusal leaves no trace. */
static void survives_random_headers(void **context)
{
	uint32_t seed = 12345;

	(void)context;
	for (unsigned round = 0; round < 20000; round++) {
		(round & 1 ? image_good64 : image_good32)();
		for (unsigned i = 0; i < 3; i++) {
			seed = seed * 1664525 + 1013904223;
			image[(seed >> 8) % 0xc0] = (uint8_t)(seed >> 24);
		}
		if (image_load(IMAGE_SIZE)) {
			loader_teardown(context);
			loader_setup(context);
		} else {
			assert_true(why[0]);
		}
	}
	assert_memory_untouched();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, loader_setup, loader_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_elf32),
		TEST(a_physical_entry_is_taken_as_it_is),
		TEST(loads_elf64),
		TEST(information_is_complete),
		TEST(long_command_line_is_cut),
		TEST(refuses_broken_elf32),
		TEST(refuses_broken_elf64),
		TEST(refuses_too_many_segments),
		TEST(refuses_broken_multiboot),
		TEST(refuses_every_truncation),
		TEST(survives_random_headers),
	};

	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
