/* SPDX-License-Identifier: MIT */
/* The image's string functions, under other names, against the C library's. */
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define memcpy  our_memcpy
#define memmove our_memmove
#define memset  our_memset
#define memcmp  our_memcmp
#define strlen  our_strlen
#define strcmp  our_strcmp
#define strncmp our_strncmp
#define strchr  our_strchr
#include "boot/libc.c" /* NOLINT(bugprone-suspicious-include) */
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr

enum { SIZE = 200 };

static unsigned char ours[SIZE], theirs[SIZE];

static void fill(void)
{
	for (size_t i = 0; i < SIZE; i++)
		ours[i] = theirs[i] = (unsigned char)random_next();
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

/* Every distance in both directions, every size: from apart to the same place. */
static void moves_bytes(void **context)
{
	(void)context;
	for (size_t to = 60; to <= 100; to++) {
		for (size_t size = 0; size <= 64; size++) {
			fill();
			assert_ptr_equal(our_memmove(ours + to, ours + 80, size), ours + to);
			memmove(theirs + to, theirs + 80, size);
			assert_memory_equal(ours, theirs, SIZE);
		}
	}
}

static void copies_bytes(void **context)
{
	(void)context;
	for (size_t size = 0; size <= 80; size++) {
		fill();
		assert_ptr_equal(our_memcpy(ours + 3, ours + 101, size), ours + 3);
		memcpy(theirs + 3, theirs + 101, size);
		assert_memory_equal(ours, theirs, SIZE);
	}
}

static void sets_bytes(void **context)
{
	(void)context;
	for (size_t size = 0; size <= 80; size++) {
		fill();
		assert_ptr_equal(our_memset(ours + 5, 0x1C3, size), ours + 5);
		memset(theirs + 5, 0xC3, size);
		assert_memory_equal(ours, theirs, SIZE);
	}
}

static void compares_bytes(void **context)
{
	(void)context;
	for (size_t i = 0; i < 2000; i++) {
		size_t size = random_below(20);

		fill();
		if (size)
			ours[random_below(size)] ^= (unsigned char)random_below(2);
		assert_int_equal(sign(our_memcmp(ours, theirs, size)), sign(memcmp(ours, theirs, size)));
	}
}

static void handles_text(void **context)
{
	static const char *const texts[] = {"", "a", "b", "ab", "abc", "abd", "\xff", "a\xff", "abcabc"};
	const size_t count = sizeof(texts) / sizeof(texts[0]);

	(void)context;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(our_strlen(texts[i]), strlen(texts[i]));
		for (int c = 0; c < 256; c++)
			assert_ptr_equal(our_strchr(texts[i], c), strchr(texts[i], c));
		for (size_t k = 0; k < count; k++) {
			assert_int_equal(sign(our_strcmp(texts[i], texts[k])), sign(strcmp(texts[i], texts[k])));
			for (size_t size = 0; size < 8; size++)
				assert_int_equal(sign(our_strncmp(texts[i], texts[k], size)),
						 sign(strncmp(texts[i], texts[k], size)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_bytes),    cmocka_unit_test(copies_bytes), cmocka_unit_test(sets_bytes),
		cmocka_unit_test(compares_bytes), cmocka_unit_test(handles_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
