/* SPDX-License-Identifier: MIT */
/* The guest loader: good kernels arrive whole, and every broken one is refused by name with memory untouched. */
#include "guest/load.h"
#include "guest/multiboot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	LOW_SIZE = 0xa0000,
	HIGH_SIZE = 0x100000,
	HIGH_START = 0x100000,
	IMAGE_SIZE = 0x3000,
	HEADER_AT = 0x1000,
	PHDR_AT = 0x40,
};

static uint8_t *low, *high;
static struct load_memory memory;
static uint8_t image[IMAGE_SIZE];
static char why[160];
static struct tl_state state;

struct ph32 {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
struct ph64 {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static void put16(unsigned at, uint16_t v)
{
	memcpy(image + at, &v, 2);
}

static void put32(unsigned at, uint32_t v)
{
	memcpy(image + at, &v, 4);
}

static void put64(unsigned at, uint64_t v)
{
	memcpy(image + at, &v, 8);
}

static int setup(void **context)
{
	(void)context;
	low = calloc(1, LOW_SIZE);
	high = calloc(1, HIGH_SIZE);
	memory = (struct load_memory){{{0, LOW_SIZE, low}, {HIGH_START, HIGH_SIZE, high}}, 2};
	memset(&state, 0xee, sizeof(state));
	memset(why, 0, sizeof(why));
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	free(low);
	free(high);
	return 0;
}

static void put_multiboot(uint32_t flags)
{
	put32(HEADER_AT, MULTIBOOT_HEADER_MAGIC);
	put32(HEADER_AT + 4, flags);
	put32(HEADER_AT + 8, 0u - MULTIBOOT_HEADER_MAGIC - flags);
}

static void fill_image(void)
{
	for (unsigned i = 0; i < IMAGE_SIZE; i++)
		image[i] = (uint8_t)(i * 7 + 1);
	memset(image, 0, HEADER_AT);
	memcpy(image,
	       "\x7f"
	       "ELF\1\1\1",
	       7);
	put_multiboot(3);
}

/* Two segments: 1 MiB with 0x1800 bytes of file and 0x2000 of memory, and 0x8000 with 0x400 of each. */
static void good32(void)
{
	struct ph32 ph[3] = {{1, 0x1000, 0xc0100000, 0x100000, 0x1800, 0x2000, 5, 0x1000},
			     {4, 0, 0, 0, 0xffffffff, 0xffffffff, 0, 0}, /* not PT_LOAD: ignored */
			     {1, 0x2800, 0x8000, 0x8000, 0x400, 0x400, 6, 0x1000}};

	fill_image();
	put16(16, 2);
	put16(18, 3);
	put32(20, 1);
	put32(24, 0xc0100010); /* entry, virtual */
	put32(28, PHDR_AT);
	put16(40, 52);
	put16(42, 32);
	put16(44, 3);
	memcpy(image + PHDR_AT, ph, sizeof(ph));
}

static void good64(void)
{
	struct ph64 ph[2] = {{1, 5, 0x1000, 0x100000, 0x100000, 0x1800, 0x2000, 0x1000},
			     {1, 6, 0x2800, 0x8000, 0x8000, 0x400, 0x400, 0x1000}};

	fill_image();
	image[4] = 2;
	put16(16, 2);
	put16(18, 62);
	put32(20, 1);
	put64(24, 0x100010);
	put64(32, PHDR_AT);
	put16(52, 64);
	put16(54, 56);
	put16(56, 2);
	memcpy(image + PHDR_AT, ph, sizeof(ph));
}

static bool load(size_t size)
{
	/* An exact copy on the heap, so that the sanitizer sees any read past the end. */
	uint8_t *copy = malloc(size ? size : 1);
	struct load_image source = {copy, size};
	bool loaded;

	memcpy(copy, image, size);
	loaded = load_multiboot(&source, &memory, "guest one=1", &state, why, sizeof(why));
	free(copy);
	return loaded;
}

static void assert_memory_untouched(void)
{
	for (unsigned i = 0; i < LOW_SIZE; i++)
		assert_int_equal(low[i], 0);
	for (unsigned i = 0; i < HIGH_SIZE; i++)
		assert_int_equal(high[i], 0);
}

static void assert_refused(size_t size, const char *words)
{
	assert_false(load(size));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_null(strchr(why, '\n'));
	assert_memory_untouched();
}

static void assert_loaded_as_linked(void)
{
	memset(high, 0xaa, HIGH_SIZE);
	assert_true(load(IMAGE_SIZE));
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
	good32();
	assert_loaded_as_linked();
}

static void loads_elf64(void **context)
{
	(void)context;
	good64();
	assert_loaded_as_linked();
}

static void information_is_complete(void **context)
{
	struct multiboot_info info;
	struct multiboot_memory map[2];

	(void)context;
	good32();
	assert_true(load(IMAGE_SIZE));
	assert_int_equal(state.gpr[TL_RBX], LOW_SIZE - 4096);
	memcpy(&info, low + LOW_SIZE - 4096, sizeof(info));
	assert_int_equal(info.flags, 1 | 4 | 64 | 512);
	assert_int_equal(info.mem_lower, 640);
	assert_int_equal(info.mem_upper, 1024);
	assert_string_equal((char *)low + info.cmdline, "guest one=1");
	assert_string_equal((char *)low + info.boot_loader_name, "trapline");
	assert_int_equal(info.mmap_length, sizeof(map));
	memcpy(map, low + info.mmap_addr, sizeof(map));
	assert_int_equal(map[0].size, 20);
	assert_int_equal(map[0].length, LOW_SIZE);
	assert_int_equal(map[1].address, HIGH_START);
	assert_int_equal(map[1].length, HIGH_SIZE);
	assert_int_equal(map[1].type, 1);
}

static void long_command_line_is_cut(void **context)
{
	static char words[6000];
	struct load_image source = {image, IMAGE_SIZE};
	struct multiboot_info info;

	(void)context;
	memset(words, 'w', sizeof(words) - 1);
	good32();
	assert_true(load_multiboot(&source, &memory, words, &state, why, sizeof(why)));
	memcpy(&info, low + LOW_SIZE - 4096, sizeof(info));
	assert_true(strlen((char *)low + info.cmdline) < 4096 - 128);
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
	refuse_each(good32, each, sizeof(each) / sizeof(each[0]));
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
	refuse_each(good64, each, sizeof(each) / sizeof(each[0]) - 1);
	good64();
	put64(24, 0x8010);
	put64(P64_2(filesz), 0);
	put64(P64_2(memsz), 0);
	assert_refused(IMAGE_SIZE, each[sizeof(each) / sizeof(each[0]) - 1].words);
}

static void refuses_too_many_segments(void **context)
{
	struct ph32 ph = {1, 0x2000, 0, 0, 16, 16, 5, 1};

	(void)context;
	good32();
	for (uint32_t i = 0; i < 17; i++) {
		ph.paddr = ph.vaddr = 0x100000 + i * 0x100;
		memcpy(image + PHDR_AT + i * sizeof(ph), &ph, sizeof(ph));
	}
	put32(24, 0x100000);
	put16(44, 17);
	assert_refused(IMAGE_SIZE, "more than 16 segments");
	put16(44, 16);
	assert_true(load(IMAGE_SIZE));
}

static void refuses_broken_multiboot(void **context)
{
	(void)context;
	good32();
	put32(HEADER_AT, 0);
	assert_refused(IMAGE_SIZE, "no Multiboot header");
	good32();
	put32(HEADER_AT + 8, 1);
	assert_refused(IMAGE_SIZE, "checksum");
	good32();
	put_multiboot(4);
	assert_refused(IMAGE_SIZE, "flags 15:2");
	good32();
	put_multiboot(1 << 16);
	assert_refused(IMAGE_SIZE, "flag 16");
	/* Behind the first 8192 bytes a header does not count; one that just fits does. */
	good32();
	memmove(image + 8192 - 8, image + HEADER_AT, 12);
	put32(HEADER_AT, 0);
	assert_refused(IMAGE_SIZE, "no Multiboot header");
	good32();
	memmove(image + 8192 - 12, image + HEADER_AT, 12);
	put32(HEADER_AT, 0);
	assert_true(load(IMAGE_SIZE));
}

/* Cut at any byte, an image is refused or, past its last segment's end, loaded; nothing is read beyond it. */
static void refuses_every_truncation(void **context)
{
	(void)context;
	good32();
	assert_refused(0, "empty");
	for (size_t size = 1; size < IMAGE_SIZE; size += size < HEADER_AT + 32 ? 1 : 97) {
		bool loaded = load(size);

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
		(round & 1 ? good64 : good32)();
		for (unsigned i = 0; i < 3; i++) {
			seed = seed * 1664525 + 1013904223;
			image[(seed >> 8) % 0xc0] = (uint8_t)(seed >> 24);
		}
		if (load(IMAGE_SIZE)) {
			teardown(context);
			setup(context);
		} else {
			assert_true(why[0]);
		}
	}
	assert_memory_untouched();
}

static bool flat(uint64_t address, enum state_mode mode, size_t size)
{
	struct load_image source = {image, size};

	return load_flat(&source, &memory, address, mode, &state, why, sizeof(why));
}

static void loads_flat_images(void **context)
{
	(void)context;
	good32();
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
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		assert_false(flat(each[i].address, each[i].mode, each[i].size));
		if (!strstr(why, each[i].words))
			fail_msg("\"%s\" does not say \"%s\"", why, each[i].words);
		assert_memory_untouched();
	}
	memory = (struct load_memory){{{0, 4096, low}}, 1};
	assert_false(flat(0, STATE_LONG, 16));
	assert_non_null(strstr(why, "too small"));
}

static void one_page_of_memory(void **context)
{
	(void)context;
	memory = (struct load_memory){{{0, 4096, low}}, 1};
	good32();
	assert_refused(IMAGE_SIZE, "outside guest memory");
	assert_true(flat(0, STATE_REAL, 4096));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(loads_elf32),
		TEST(loads_elf64),
		TEST(information_is_complete),
		TEST(long_command_line_is_cut),
		TEST(refuses_broken_elf32),
		TEST(refuses_broken_elf64),
		TEST(refuses_too_many_segments),
		TEST(refuses_broken_multiboot),
		TEST(refuses_every_truncation),
		TEST(survives_random_headers),
		TEST(loads_flat_images),
		TEST(long_mode_maps_four_gigabytes),
		TEST(refuses_flat_images),
		TEST(one_page_of_memory),
	};

	return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
