/* SPDX-License-Identifier: MIT */
/* The formatter against the C library's. */
#include "boot/print.h"
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Both must write the same text and return the same length, also where it is cut. */
#define assert_same(...)                                                                    \
	do {                                                                                \
		char ours[96], theirs[96];                                                  \
		for (size_t size = 0; size <= sizeof(ours); size += 8) {                    \
			memset(ours, '~', sizeof(ours));                                    \
			memset(theirs, '~', sizeof(theirs));                                \
			size_t length = (size_t)snprintf(theirs, size, __VA_ARGS__);        \
			assert_int_equal(print_to_buffer(ours, size, __VA_ARGS__), length); \
			assert_memory_equal(ours, theirs, sizeof(ours));                    \
		}                                                                           \
	} while (0)

static void prints_text(void **context)
{
	(void)context;
	assert_same("%s", "");
	assert_same("plain text, and 100%% of it");
	assert_same("[%s] [%10s] [%-10s] [%2s]", "abc", "abc", "abc", "abc");
	assert_same("[%.2s] [%.*s] [%5.1s] [%.0s] [%.9s]", "abc", 1, "abc", "abc", "abc", "abc");
	assert_same("[%c] [%3c] [%-3c]", 'x', 'y', 'z');
	assert_same("[%*s] [%*s] [%-*s]", 6, "abc", -6, "abc", 6, "abc");
	assert_same("%s%s%s", "0123456789012345678901234567890", "0123456789012345678901234567890", "0123456789");
}

static void prints_numbers(void **context)
{
	(void)context;
	assert_same("%d %d %d %d %i", 0, -1, INT_MAX, INT_MIN, 42);
	assert_same("%u %u %x %X", 0u, UINT_MAX, 0xdeadbeefu, 0xdeadbeefu);
	assert_same("%ld %ld %lu %lx", LONG_MIN, LONG_MAX, ULONG_MAX, 0x123456789abcdefUL);
	assert_same("%lld %llu %llx", LLONG_MIN, ULLONG_MAX, ULLONG_MAX);
	assert_same("%zu %zx %td", SIZE_MAX, (size_t)0x1000, (ptrdiff_t)-5);
	assert_same("%hd %hu %hhd %hhu %hhx", (short)-3, (unsigned short)65535, (signed char)-7, (unsigned char)200,
		    (unsigned char)0xab);
	assert_same("[%5d] [%-5d] [%05d] [%05d] [%1d]", 42, 42, 42, -42, 12345);
	assert_same("[%8x] [%08x] [%-8x] [%016llx]", 0xabcu, 0xabcu, 0xabcu, 0x1234ULL);
	assert_same("[%*d] [%-*d] [%0*d]", 6, 7, 6, 7, 6, -7);
}

static void prints_pointers(void **context)
{
	char text[32];

	(void)context;
	print_to_buffer(text, sizeof(text), "%p", (void *)(uintptr_t)0x12abc);
	assert_string_equal(text, "0x12abc");
}

/* The formats stand in variables: the compiler would rightly refuse them. */
static void keeps_what_it_does_not_know(void **context)
{
	static const char *const formats[] = {"%q", "%", "100%", "% d", "%5", "%-08l"};
	char text[32];

	(void)context;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		size_t (*print)(char *, size_t, const char *, ...) = print_to_buffer;

		assert_int_equal(print(text, sizeof(text), formats[i]), strlen(formats[i]));
		assert_string_equal(text, formats[i]);
	}
}

static void prints_null_text(void **context)
{
	const char *volatile none = NULL;
	char text[32];

	(void)context;
	print_to_buffer(text, sizeof(text), "[%s]", none);
	assert_string_equal(text, "[(null)]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_text),      cmocka_unit_test(prints_numbers),
		cmocka_unit_test(prints_pointers),  cmocka_unit_test(keeps_what_it_does_not_know),
		cmocka_unit_test(prints_null_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
