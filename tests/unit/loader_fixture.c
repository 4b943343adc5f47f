/* SPDX-License-Identifier: MIT */
#include "tests/unit/loader_fixture.h"
#include "guest/multiboot.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint8_t *low, *high;
struct load_memory memory;
uint8_t image[IMAGE_SIZE];
char why[160];
struct tl_state state;

void image_put16(unsigned at, uint16_t v)
{
	memcpy(image + at, &v, 2);
}

void image_put32(unsigned at, uint32_t v)
{
	memcpy(image + at, &v, 4);
}

void image_put64(unsigned at, uint64_t v)
{
	memcpy(image + at, &v, 8);
}

int loader_setup(void **context)
{
	(void)context;
	low = calloc(1, LOW_SIZE);
	high = calloc(1, HIGH_SIZE);
	memory = (struct load_memory){.region = {{0, LOW_SIZE, low}, {HIGH_START, HIGH_SIZE, high}}, .nr_regions = 2};
	memset(&state, 0xee, sizeof(state));
	memset(why, 0, sizeof(why));
	return 0;
}

int loader_teardown(void **context)
{
	(void)context;
	free(low);
	free(high);
	return 0;
}

void image_put_multiboot(uint32_t flags)
{
	image_put32(HEADER_AT, MB1_HEADER_MAGIC);
	image_put32(HEADER_AT + 4, flags);
	image_put32(HEADER_AT + 8, 0u - MB1_HEADER_MAGIC - flags);
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
	image_put_multiboot(3);
}

void image_good32(void)
{
	struct ph32 ph[3] = {{1, 0x1000, 0xc0100000, 0x100000, 0x1800, 0x2000, 5, 0x1000},
			     {4, 0, 0, 0, 0xffffffff, 0xffffffff, 0, 0}, /* not PT_LOAD: ignored */
			     {1, 0x2800, 0x8000, 0x8000, 0x400, 0x400, 6, 0x1000}};

	fill_image();
	image_put16(16, 2);
	image_put16(18, 3);
	image_put32(20, 1);
	image_put32(24, 0xc0100010); /* entry, virtual */
	image_put32(28, PHDR_AT);
	image_put16(40, 52);
	image_put16(42, 32);
	image_put16(44, 3);
	memcpy(image + PHDR_AT, ph, sizeof(ph));
}

void image_good64(void)
{
	struct ph64 ph[2] = {{1, 5, 0x1000, 0x100000, 0x100000, 0x1800, 0x2000, 0x1000},
			     {1, 6, 0x2800, 0x8000, 0x8000, 0x400, 0x400, 0x1000}};

	fill_image();
	image[4] = 2;
	image_put16(16, 2);
	image_put16(18, 62);
	image_put32(20, 1);
	image_put64(24, 0x100010);
	image_put64(32, PHDR_AT);
	image_put16(52, 64);
	image_put16(54, 56);
	image_put16(56, 2);
	memcpy(image + PHDR_AT, ph, sizeof(ph));
}

bool image_load(size_t size)
{
	/* An exact copy on the heap, so that the sanitizer sees any read past the end. */
	uint8_t *copy = malloc(size ? size : 1);
	struct load_module kernel = {{copy, size}, "guest one=1"};
	bool loaded;

	memcpy(copy, image, size);
	loaded = load_multiboot(&kernel, NULL, 0, &memory, &state, why, sizeof(why));
	free(copy);
	return loaded;
}

void assert_memory_untouched(void)
{
	for (unsigned i = 0; i < LOW_SIZE; i++)
		assert_int_equal(low[i], 0);
	for (unsigned i = 0; i < HIGH_SIZE; i++)
		assert_int_equal(high[i], 0);
}

void assert_refused(size_t size, const char *words)
{
	assert_false(image_load(size));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_null(strchr(why, '\n'));
	assert_memory_untouched();
}
