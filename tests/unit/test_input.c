/* SPDX-License-Identifier: MIT */
/* Who gets what is typed, and what a keyboard's scan codes are as characters. */
#include "boot/input.h"
#include "boot/keyboard.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void types_to_the_guest(void **context)
{
	struct input input = {0};

	(void)context;
	for (unsigned byte = 0; byte < 256; byte++)
		if (byte != INPUT_PREFIX)
			assert_int_equal(input_route(&input, (uint8_t)byte), INPUT_GUEST);
}

static void keeps_the_prefix_to_itself(void **context)
{
	struct input input = {0};

	(void)context;
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_NOBODY);
	assert_int_equal(input_route(&input, 'x'), INPUT_QUIT);
	assert_int_equal(input_route(&input, 'x'), INPUT_GUEST);
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_NOBODY);
	assert_int_equal(input_route(&input, 'd'), INPUT_DASHBOARD);
	assert_int_equal(input_route(&input, 'd'), INPUT_GUEST);
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_NOBODY);
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_GUEST);
	assert_int_equal(input_route(&input, 'c'), INPUT_GUEST);
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_NOBODY);
	assert_int_equal(input_route(&input, '?'), INPUT_HELP);
	assert_int_equal(input_route(&input, 'h'), INPUT_GUEST);
}

static void switches_to_the_monitor_and_back(void **context)
{
	struct input input = {0};

	(void)context;
	input_route(&input, INPUT_PREFIX);
	assert_int_equal(input_route(&input, 'c'), INPUT_SWITCH);
	assert_true(input.monitor);
	assert_int_equal(input_route(&input, 'c'), INPUT_MONITOR);
	input_route(&input, INPUT_PREFIX);
	assert_int_equal(input_route(&input, INPUT_PREFIX), INPUT_MONITOR);
	input_route(&input, INPUT_PREFIX);
	assert_int_equal(input_route(&input, 'c'), INPUT_SWITCH);
	assert_false(input.monitor);
	assert_int_equal(input_route(&input, 'c'), INPUT_GUEST);
}

static void keeps_bytes_in_order_while_there_is_room(void **context)
{
	(void)context;
	/* More than once around. */
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(input_read(), -1);
		for (unsigned i = 0; i < INPUT_KEPT; i++)
			assert_true(input_keep((uint8_t)(i + round)));
		assert_false(input_keep('!'));
		for (unsigned i = 0; i < INPUT_KEPT; i++)
			assert_int_equal(input_read(), (uint8_t)(i + round));
		assert_int_equal(input_read(), -1);
		assert_true(input_keep(0xFF));
		assert_int_equal(input_read(), 0xFF);
	}
}

/* What is typed by scan codes, which end with a 0. */
static void expect_typed(struct keyboard *keyboard, const uint8_t *codes, const char *text)
{
	char typed[64] = "";
	size_t length = 0;

	for (; *codes; codes++) {
		int c = keyboard_take(keyboard, *codes);

		if (c >= 0)
			typed[length++] = (char)c;
	}
	typed[length] = '\0';
	assert_string_equal(typed, text);
}

static void reads_keys(void **context)
{
	struct keyboard keyboard = {0};

	(void)context;
	/* h e l p enter, each pressed and let go */
	expect_typed(&keyboard, (const uint8_t[]){0x23, 0xA3, 0x12, 0x92, 0x26, 0xA6, 0x19, 0x99, 0x1C, 0x9C, 0},
		     "help\r");
	/* Each row at its ends. */
	expect_typed(&keyboard,
		     (const uint8_t[]){0x01, 0x02, 0x0B, 0x0D, 0x0E, 0x0F, 0x10, 0x1B, 0x1E, 0x29, 0x2B, 0x2C, 0x35,
				       0x39, 0x4A, 0x53, 0},
		     "\033"
		     "10=\b\tq]a`\\z/ -.");
}

static void reads_keys_with_shift_and_control(void **context)
{
	struct keyboard keyboard = {0};

	(void)context;
	/* Left shift down, a 1 ', up; right shift down, a, up; a */
	expect_typed(&keyboard, (const uint8_t[]){0x2A, 0x1E, 0x02, 0x28, 0xAA, 0x36, 0x1E, 0xB6, 0x1E, 0}, "A!\"Aa");
	/* Caps lock, a, 1, shift with a; caps lock again, a */
	expect_typed(&keyboard, (const uint8_t[]){0x3A, 0xBA, 0x1E, 0x02, 0x2A, 0x1E, 0xAA, 0x3A, 0xBA, 0x1E, 0},
		     "A1aa");
	/* Control down, a, up, c; the right one, a, up, c */
	expect_typed(&keyboard, (const uint8_t[]){0x1D, 0x1E, 0x9D, 0x2E, 0xE0, 0x1D, 0x1E, 0xE0, 0x9D, 0x2E, 0},
		     "\x01"
		     "c\x01"
		     "c");
}

static void passes_over_keys_without_a_character(void **context)
{
	struct keyboard keyboard = {0};

	(void)context;
	/* F1, Alt, the arrow up (and its false shift), pause; enter and slash of the keypad; then a */
	expect_typed(&keyboard,
		     (const uint8_t[]){0x3B, 0xBB, 0x38, 0xB8, 0xE0, 0x2A, 0xE0, 0x48, 0xE0, 0xC8, 0xE0, 0xAA, 0}, "");
	expect_typed(&keyboard, (const uint8_t[]){0xE0, 0x1C, 0xE0, 0x9C, 0xE0, 0x35, 0xE0, 0xB5, 0x1E, 0}, "\r/a");
	for (unsigned code = 0x54; code < 0x80; code++)
		assert_int_equal(keyboard_take(&keyboard, (uint8_t)code), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_to_the_guest),
		cmocka_unit_test(keeps_the_prefix_to_itself),
		cmocka_unit_test(switches_to_the_monitor_and_back),
		cmocka_unit_test(keeps_bytes_in_order_while_there_is_room),
		cmocka_unit_test(reads_keys),
		cmocka_unit_test(reads_keys_with_shift_and_control),
		cmocka_unit_test(passes_over_keys_without_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
