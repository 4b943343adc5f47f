/* SPDX-License-Identifier: MIT */
/*
 * Text on framebuffers of all forms, against a picture that is drawn pixel by pixel from the letters: where each pixel
 * of a character lies, and what its bytes are, is computed here from the layout alone.
 */
#include "boot/font.h"
#include "boot/framebuffer.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SLACK = 4096, UNTOUCHED = 0x5A, MOST_ROWS = 200, MOST_COLUMNS = 400 };

struct form {
	const char *name;
	uint32_t width, height, pitch;
	uint8_t bits;
	struct boot_color red, green, blue;
	unsigned scale, columns, rows; /* expected */
};

static const struct form forms[] = {
	{"32 bits", 1024, 768, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 1, 128, 48},
	{"32 bits, reversed", 800, 600, 3200, 32, {0, 8}, {8, 8}, {16, 8}, 1, 100, 37},
	{"30 bits", 1280, 800, 5120, 32, {20, 10}, {10, 10}, {0, 10}, 1, 160, 50},
	{"24 bits", 800, 600, 2400, 24, {16, 8}, {8, 8}, {0, 8}, 1, 100, 37},
	{"24 bits, padded lines", 1366, 768, 4112, 24, {16, 8}, {8, 8}, {0, 8}, 1, 170, 48},
	{"16 bits", 640, 480, 1280, 16, {11, 5}, {5, 6}, {0, 5}, 1, 80, 30},
	{"15 bits", 640, 480, 1344, 15, {10, 5}, {5, 5}, {0, 5}, 1, 80, 30},
	{"double letters", 1920, 1080, 7680, 32, {16, 8}, {8, 8}, {0, 8}, 2, 120, 33},
	{"double letters, 16 bits", 1930, 1085, 3900, 16, {11, 5}, {5, 6}, {0, 5}, 2, 120, 33},
	{"triple letters, 24 bits", 3000, 1500, 9216, 24, {16, 8}, {8, 8}, {0, 8}, 3, 125, 31},
	{"the widest", 16384, 480, 65536, 32, {16, 8}, {8, 8}, {0, 8}, 1, 240, 30},
	{"the largest letters that are drawn here", 4096, 2400, 12288, 24, {16, 8}, {8, 8}, {0, 8}, 4, 128, 37},
};

static uint8_t *memory;
static char reason[256];

static struct boot_framebuffer layout_of(const struct form *form)
{
	return (struct boot_framebuffer){
		.kind = BOOT_SCREEN_PIXELS,
		.type = 1,
		.bits = form->bits,
		.base = 0xC0000000,
		.pitch = form->pitch,
		.width = form->width,
		.height = form->height,
		.red = form->red,
		.green = form->green,
		.blue = form->blue,
	};
}

/* An independent terminal: rows of text without a ring, scrolled by moving them up by an eighth of all. */
static char expected[MOST_ROWS][MOST_COLUMNS];
static unsigned at_row, at_column;

static void expect_next_row(const struct form *form)
{
	at_column = 0;
	if (++at_row < form->rows)
		return;
	at_row = form->rows - form->rows / 8;
	memmove(expected[0], expected[form->rows / 8], sizeof(expected[0]) * at_row);
	memset(expected[at_row], ' ', sizeof(expected[0]) * (form->rows - at_row));
}

static void put(const struct form *form, const char *text)
{
	for (; *text; text++) {
		framebuffer_put(*text);
		if (*text == '\n') {
			expect_next_row(form);
			continue;
		}
		if (at_column == form->columns)
			expect_next_row(form);
		expected[at_row][at_column++] = *text;
	}
}

static uint32_t pixel_value(const struct form *form, bool lit)
{
	const struct boot_color *colors[] = {&form->red, &form->green, &form->blue};
	uint32_t value = 0;

	for (unsigned i = 0; i < 3 && lit; i++)
		value |= ((1u << colors[i]->size) - 1) * 0xD0 / 0xFF << colors[i]->position;
	return value;
}

static bool is_lit(const struct form *form, uint32_t x, uint32_t y)
{
	uint32_t column = x / (8 * form->scale), row = y / (16 * form->scale);

	if (column >= form->columns || row >= form->rows)
		return false;
	return font_glyph(expected[row][column])[y / form->scale % 16] >> (7 - x / form->scale % 8) & 1;
}

static void check_picture(const struct form *form)
{
	uint32_t bytes = (form->bits + 7u) / 8;

	for (uint32_t y = 0; y < form->height; y++) {
		const uint8_t *at = memory + (size_t)y * form->pitch;

		for (uint32_t x = 0; x < form->width; x++, at += bytes) {
			uint32_t got = 0;

			memcpy(&got, at, bytes);
			if (got != pixel_value(form, is_lit(form, x, y)))
				fail_msg("%s: the pixel at %u, %u is 0x%x", form->name, x, y, got);
		}
		for (; at < memory + (size_t)(y + 1) * form->pitch; at++)
			if (*at != UNTOUCHED)
				fail_msg("%s: written behind line %u", form->name, y);
	}
	for (size_t i = 0; i < SLACK; i++)
		assert_int_equal(memory[(size_t)form->height * form->pitch + i], UNTOUCHED);
}

static void begin(const struct form *form)
{
	struct boot_framebuffer layout = layout_of(form);
	size_t size = (size_t)form->height * form->pitch + SLACK;

	free(memory);
	memory = malloc(size);
	assert_non_null(memory);
	memset(memory, UNTOUCHED, size);
	memset(expected, ' ', sizeof(expected));
	at_row = at_column = 0;
	if (!framebuffer_init(&layout, reason, sizeof(reason)))
		fail_msg("%s: %s", form->name, reason);
	assert_int_equal(framebuffer_columns(), form->columns);
	assert_int_equal(framebuffer_rows(), form->rows);
}

static int give_back(void **context)
{
	(void)context;
	framebuffer_map(NULL);
	free(memory);
	memory = NULL;
	return 0;
}

static void draws_every_form(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		const struct form *form = &forms[i];
		char all[] = " ";

		begin(form);
		framebuffer_map(memory);
		framebuffer_show();
		check_picture(form);
		for (all[0] = ' '; all[0] <= '~'; all[0]++)
			put(form, all);
		put(form, "\x80\x01 boxes\n");
		framebuffer_show();
		check_picture(form);
	}
}

/* The largest letters of all: the picture would take long to look at, but the patterns are made. */
static void makes_the_largest_letters(void **context)
{
	static const struct form form = {"17 times", 16384, 16384, 65536, 32, {16, 8}, {8, 8}, {0, 8}, 17, 120, 60};
	struct boot_framebuffer layout = layout_of(&form);

	(void)context;
	assert_true(framebuffer_init(&layout, reason, sizeof(reason)));
	assert_int_equal(framebuffer_columns(), form.columns);
	assert_int_equal(framebuffer_rows(), form.rows);
}

/* What was written before there was anything to draw on is drawn when there is. */
static void draws_what_was_written_before(void **context)
{
	(void)context;
	begin(&forms[0]);
	put(&forms[0], "early\nlines");
	framebuffer_show();
	framebuffer_map(memory);
	framebuffer_show();
	check_picture(&forms[0]);
	/* Another mapping of it is drawn anew. */
	memset(memory, UNTOUCHED, (size_t)forms[0].height * forms[0].pitch);
	framebuffer_map(memory);
	framebuffer_show();
	check_picture(&forms[0]);
}

static void wraps_and_scrolls(void **context)
{
	static const unsigned widths[] = {0, 1, 79, 80, 81, 160, 161};
	const struct form *form = &forms[5];
	char text[200];

	(void)context;
	begin(form);
	framebuffer_map(memory);
	for (unsigned i = 0; i < 150; i++) {
		unsigned width = widths[random_below(sizeof(widths) / sizeof(widths[0]))];

		memset(text, 'a' + (int)(i % 26), width);
		text[width] = random_below(4) ? '\n' : '\0';
		text[width + 1] = '\0';
		put(form, text);
		if (i % 5 == 0) {
			framebuffer_show();
			check_picture(form);
		}
	}
	framebuffer_show();
	check_picture(form);
}

/* Only what differs is drawn: the rest of the picture may have been painted over. */
static void draws_what_differs(void **context)
{
	const struct form *form = &forms[0];

	(void)context;
	begin(form);
	framebuffer_map(memory);
	put(form, "one\ntwo");
	framebuffer_show();
	memset(memory, UNTOUCHED, (size_t)form->height * form->pitch);
	put(form, "!");
	framebuffer_show();
	for (uint32_t y = 0; y < form->height; y++) {
		for (uint32_t x = 0; x < form->pitch; x++) {
			bool drawn = y / 16 == 1 && x / 4 / 8 == 3;

			assert_true((memory[(size_t)y * form->pitch + x] != UNTOUCHED) == drawn);
		}
	}
}

static void goes_to_tabs(void **context)
{
	const struct form *form = &forms[0];

	(void)context;
	begin(form);
	framebuffer_map(memory);
	for (const char *c = "x\ty\rz"; *c; c++)
		framebuffer_put(*c);
	memcpy(expected[0], "z       y", 9);
	framebuffer_show();
	check_picture(form);
}

/* In place of the text, which is whole again when the page has gone, with what was written meanwhile. */
static void shows_a_page(void **context)
{
	const struct form *form = &forms[0];
	static const char cells[] = "page one!"
				    "and text.";
	static char text[MOST_ROWS][MOST_COLUMNS];

	(void)context;
	begin(form);
	framebuffer_map(memory);
	put(form, "one\ntwo");
	framebuffer_show();
	framebuffer_page(cells, 9, 2);
	put(form, " three\nfour");
	framebuffer_show();
	memcpy(text, expected, sizeof(text));
	memset(expected, ' ', sizeof(expected));
	memcpy(expected[0], cells, 9);
	memcpy(expected[1], cells + 9, 9);
	check_picture(form);
	framebuffer_page(NULL, 0, 0);
	framebuffer_show();
	memcpy(expected, text, sizeof(text));
	check_picture(form);
}

/* One that is larger than the screen is cut. */
static void cuts_a_page(void **context)
{
	const struct form *form = &forms[5];
	static char cells[40][100];

	(void)context;
	begin(form);
	framebuffer_map(memory);
	for (unsigned i = 0; i < 40; i++)
		for (unsigned k = 0; k < 100; k++)
			cells[i][k] = (char)('!' + (i * 7 + k) % 90);
	framebuffer_page(cells[0], 100, 40);
	framebuffer_show();
	for (unsigned i = 0; i < form->rows; i++)
		memcpy(expected[i], cells[i], form->columns);
	check_picture(form);
}

struct refused {
	const char *words;
	struct form form;
	enum boot_screen kind;
	uint64_t base;
};

static void refuses_what_it_cannot_draw_on(void **context)
{
	static const struct refused rows[] = {
		{"at 0x1, in usable memory",
		 {"", 1024, 768, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_BROKEN,
		 1},
		{"has no colours of its own",
		 {"", 1024, 768, 1024, 8, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0},
		 BOOT_SCREEN_OTHER,
		 1},
		{"8 bits a pixel", {"", 1024, 768, 1024, 8, {5, 3}, {2, 3}, {0, 2}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"64 bits a pixel", {"", 1024, 768, 8192, 64, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"8, 8 and 0 bits", {"", 1024, 768, 4096, 32, {16, 8}, {8, 8}, {0, 0}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"at 25, 8 and 0", {"", 1024, 768, 4096, 32, {25, 8}, {8, 8}, {0, 8}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"255, 8 and 8 bits",
		 {"", 1024, 768, 4096, 32, {16, 255}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 1},
		{"639 by 480", {"", 639, 480, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"640 by 479", {"", 640, 479, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 1},
		{"16385 by 480",
		 {"", 16385, 480, 1 << 17, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 1},
		{"4294967295 by 480",
		 {"", UINT32_MAX, 480, 16, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 1},
		{"1024 pixels in 4095",
		 {"", 1024, 768, 4095, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 1},
		{"in 4294967295 bytes",
		 {"", 1024, 768, UINT32_MAX, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 1},
		{"lies at 0x0;", {"", 1024, 768, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0}, BOOT_SCREEN_PIXELS, 0},
		{"lies at 0xfffffffffffff000",
		 {"", 1024, 768, 4096, 32, {16, 8}, {8, 8}, {0, 8}, 0, 0, 0},
		 BOOT_SCREEN_PIXELS,
		 UINT64_MAX - 4095},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct boot_framebuffer layout = layout_of(&rows[i].form);

		layout.kind = rows[i].kind;
		layout.base = rows[i].base;
		assert_false(framebuffer_init(&layout, reason, sizeof(reason)));
		if (!strstr(reason, rows[i].words))
			fail_msg("\"%s\" does not say \"%s\"", reason, rows[i].words);
		assert_int_equal(reason[strlen(reason) - 1], '.');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(draws_every_form, give_back),
		cmocka_unit_test(makes_the_largest_letters),
		cmocka_unit_test_teardown(draws_what_was_written_before, give_back),
		cmocka_unit_test_teardown(wraps_and_scrolls, give_back),
		cmocka_unit_test_teardown(draws_what_differs, give_back),
		cmocka_unit_test_teardown(goes_to_tabs, give_back),
		cmocka_unit_test_teardown(shows_a_page, give_back),
		cmocka_unit_test_teardown(cuts_a_page, give_back),
		cmocka_unit_test(refuses_what_it_cannot_draw_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
