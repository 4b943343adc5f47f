/* SPDX-License-Identifier: MIT */
/* A module's words, and the small text functions below them. */
#include "guest/options.h"
#include "guest/text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char why[160];

static void reads_options(void **context)
{
	struct guest_options options = {.tag_bits = 7, .first_generation = 9};

	(void)context;
	assert_true(options_parse("", &options, why, sizeof(why)));
	assert_int_equal(options.memory, 16 << 20);
	assert_int_equal(options.tag_bits, 7);
	assert_int_equal(options.expect, GUEST_EXIT);
	assert_string_equal(options.command_line, "");
	assert_true(options_parse(" mem=64K flat=0x7c00  mode=real tag-bits=6 generation=0x10 mmio-level=1 timeout=5"
				  " expect=fetch exact manual -- a=1 --  b",
				  &options, why, sizeof(why)));
	assert_int_equal(options.memory, 65536);
	assert_int_equal(options.flat, 0x7c00);
	assert_int_equal(options.mode, STATE_REAL);
	assert_int_equal(options.tag_bits, 6);
	assert_int_equal(options.first_generation, 16);
	assert_int_equal(options.mmio_level, 1);
	assert_int_equal(options.timeout, 5000000);
	assert_int_equal(options.expect, GUEST_STOP_FIRST + TL_STOP_FETCH);
	assert_true(options.exact);
	assert_string_equal(options.command_line, "a=1 --  b");
	assert_int_equal(options.vcpus, 1);
	assert_false(options.roam);
	assert_false(options.has_test_devices);
	assert_true(options_parse("pc testdev virtio-console", &options, why, sizeof(why)));
	assert_true(options.is_pc && options.has_test_devices && options.has_virtio_console);
	assert_false(options.is_firmware);
	assert_true(options_parse("firmware pc", &options, why, sizeof(why)));
	assert_true(options.is_pc && options.is_firmware);
	assert_false(options.exits);
	assert_true(options_parse("pc exits", &options, why, sizeof(why)));
	assert_true(options.exits);
	assert_true(options_parse("vcpus=64 roam slice=500", &options, why, sizeof(why)));
	assert_false(options.is_pc || options.is_firmware || options.has_test_devices || options.has_virtio_console);
	assert_int_equal(options.vcpus, 64);
	assert_true(options.roam);
	assert_int_equal(options.slice, 500);
}

/* Control characters are no part of a word: the sentence would not be one line. */
static void shows_no_control_characters(void **context)
{
	struct guest_options options = {0};

	(void)context;
	assert_false(options_parse("exact\nmemm\x1b[2J", &options, why, sizeof(why)));
	assert_non_null(strstr(why, "\"memm\""));
}

static void refuses_options(void **context)
{
	static const char *const each[] = {
		"mem=",        "mem=0",        "mem=1",
		"mem=4097",    "mem=2049M",    "mem=17179869184G",
		"mem=16M1",    "mem=-4096",    "flat=",
		"flat=0x",     "mode=virtual", "tag-bits=0",
		"tag-bits=20", "tag-bits=6x",  "mmio-level=4",
		"mmio-level=", "generation=x", "timeout=18446744073709551615",
		"vcpus=0",     "vcpus=65",     "slice=0",
		"expect=",     "expect=well",  "generation=18446744073709551616",
		"memm=4K",     "Exact",        "mode=real",
	};
	struct guest_options options = {0};

	(void)context;
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		char *word = strdup(each[i]);

		if (options_parse(each[i], &options, why, sizeof(why)))
			fail_msg("\"%s\" is taken", each[i]);
		if (strcmp(each[i], "mode=real"))
			assert_non_null(strstr(why, word));
		free(word);
	}
	/* However long a word is, it is named as far as it fits. */
	static char words[500];
	memset(words, 'm', sizeof(words) - 1);
	assert_false(options_parse(words, &options, why, sizeof(why)));
	assert_non_null(strstr(why, "mmmmmmmm"));
}

static void refuses_words_that_contradict(void **context)
{
	struct guest_options options = {0};

	(void)context;
	assert_false(options_parse("firmware", &options, why, sizeof(why)));
	assert_string_equal(why, "firmware is for a PC: give pc, too");
	assert_false(options_parse("pc flat=0x7c00 mode=real firmware", &options, why, sizeof(why)));
	assert_non_null(strstr(why, "remove flat="));
	assert_false(options_parse("pc firmware mode=real", &options, why, sizeof(why)));
	assert_non_null(strstr(why, "give flat=ADDRESS"));
}

static void every_ending_has_a_word(void **context)
{
	(void)context;
	for (unsigned i = 0; i <= GUEST_STOP_FIRST + TL_STOP_UNSUPPORTED; i++)
		assert_non_null(options_ending_name(i));
	assert_null(options_ending_name(GUEST_STOP_FIRST + TL_STOP_UNSUPPORTED + 1));
}

static void formats_text(void **context)
{
	char buffer[24];

	(void)context;
	text_format(buffer, sizeof(buffer), "%s|%5u|%04x|%c%%", "ab", 42u, 0xfeu, 'z');
	assert_string_equal(buffer, "ab|   42|00fe|z%");
	text_format(buffer, sizeof(buffer), "%lu %lx", UINT64_MAX, UINT64_MAX);
	assert_string_equal(buffer, "18446744073709551615 ff");
	text_format(buffer, 1, "%s", "nothing fits");
	assert_string_equal(buffer, "");
	text_format(buffer, sizeof(buffer), "%4s|%1s|", "ab", "cde");
	assert_string_equal(buffer, "ab  |cde|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_options),           cmocka_unit_test(shows_no_control_characters),
		cmocka_unit_test(refuses_options),         cmocka_unit_test(refuses_words_that_contradict),
		cmocka_unit_test(every_ending_has_a_word), cmocka_unit_test(formats_text),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
