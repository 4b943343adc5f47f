/* SPDX-License-Identifier: MIT */
/* The text screen: its registers, and what of it is shown when. */
#include "guest/devices/vga_text.h"

#include "tests/unit/device_fixture.h"
#include <stdio.h>

enum { LINES = 64 };

static struct vga_text vga;
static struct port_range ports;
static uint16_t memory[VGA_TEXT_SIZE / 2];
static char lines[LINES][VGA_TEXT_COLUMNS + 1];
static unsigned nr_lines;

static void line(void *context, const char *text)
{
	assert_ptr_equal(context, lines);
	assert_true(nr_lines < LINES && strlen(text) <= VGA_TEXT_COLUMNS);
	memcpy(lines[nr_lines++], text, strlen(text) + 1);
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	memset(memory, 0xff, sizeof(memory));
	vga_text_init(&vga, &device_bench.lock, memory);
	ports = vga_text_ports(&vga);
	return 0;
}

static void show(void)
{
	nr_lines = 0;
	vga_text_show(&vga, line, lines);
}

static void print(unsigned row, unsigned column, const char *text)
{
	for (unsigned i = 0; text[i]; i++)
		memory[row * 80 + column + i] = (uint16_t)(0x0700 | (uint8_t)text[i]);
}

static void scroll(void)
{
	memmove(memory, memory + 80, 24 * 160);
	for (unsigned i = 0; i < 80; i++)
		memory[24 * 80 + i] = 0x0720;
}

static void out(unsigned port, uint8_t value)
{
	bench_out(ports, port - 0x3c0, 1, value);
}

static uint8_t in(unsigned port)
{
	return (uint8_t)bench_in(ports, port - 0x3c0, 1);
}

static void is_where_a_pc_has_it(void **context)
{
	struct tl_range range = vga_text_range(&vga);

	(void)context;
	assert_int_equal(ports.first, 0x3c0);
	assert_int_equal(ports.count, 32);
	assert_int_equal(range.kind, TL_RANGE_RAM);
	assert_int_equal(range.start, 0xb8000);
	assert_int_equal(range.size, 0x8000);
	assert_ptr_equal(range.host, memory);
	show();
	assert_int_equal(nr_lines, 0);
}

static void keeps_its_registers(void **context)
{
	static const unsigned files[] = {0x3c4, 0x3ce, 0x3d4};

	(void)context;
	assert_int_equal(in(0x3cc), 0x67);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned index = 0; index < 25; index++)
			bench_out(ports, files[i] - 0x3c0, 2, (7 * index + i) << 8 | index);
		for (unsigned index = 0; index < 25; index++) {
			out(files[i], (uint8_t)index);
			assert_int_equal(in(files[i]), index);
			assert_int_equal(in(files[i] + 1), 7 * index + i);
		}
		/* No index leads out of the file. */
		out(files[i], 0xff);
		out(files[i] + 1, 0x55);
		assert_int_equal(in(files[i] + 1), 0x55);
	}
	out(0x3ce, 0);
	out(0x3c4, 0x20);
	out(0x3c5, 0x99);
	out(0x3c4, 0x21);
	out(0x3c5, 0x99);
	assert_int_equal(in(0x3ce), 0);
	assert_int_equal(in(0x3cf), 1);
	out(0x3c2, 0xe3);
	assert_int_equal(in(0x3cc), 0xe3);
}

static void one_port_has_the_attributes(void **context)
{
	(void)context;
	in(0x3da);
	for (uint8_t index = 0; index < 21; index++) {
		out(0x3c0, index);
		out(0x3c0, index ^ 0x3f);
	}
	for (uint8_t index = 0; index < 21; index++) {
		out(0x3c0, index);
		/* The status makes the next byte an index again. */
		assert_int_equal(in(0x3c1), index ^ 0x3f);
		in(0x3da);
	}
	assert_int_equal(in(0x3c0), 20);
}

static void a_retrace_comes_and_goes(void **context)
{
	uint8_t first = in(0x3da), second = in(0x3da);

	(void)context;
	assert_int_equal(first ^ second, 0x09);
	assert_int_equal(in(0x3da), first);
}

static void shows_what_is_new(void **context)
{
	(void)context;
	print(0, 0, "GNU GRUB");
	print(2, 10, "an entry\x01\x80!");
	show();
	assert_int_equal(nr_lines, 2);
	assert_string_equal(lines[0], "GNU GRUB");
	assert_string_equal(lines[1], "          an entry  !");
	show();
	assert_int_equal(nr_lines, 0);
	print(0, 4, "grub");
	show();
	assert_int_equal(nr_lines, 1);
	assert_string_equal(lines[0], "GNU grub");
	/* A row that is blanked says nothing. */
	print(0, 0, "        ");
	show();
	assert_int_equal(nr_lines, 0);
}

static void a_guest_that_scrolls_leaves_a_log(void **context)
{
	char text[81];
	unsigned next = 0;

	(void)context;
	for (unsigned round = 0; round < 40; round++) {
		unsigned first = next;

		for (unsigned i = 0; i < round % 20 + 1; i++, next++) {
			snprintf(text, sizeof(text), "[%u] line %u", next * 7, next);
			if (next >= 25)
				scroll();
			print(next < 25 ? next : 24, 0, text);
		}
		show();
		assert_int_equal(nr_lines, next - first);
		for (unsigned i = 0; i < nr_lines; i++) {
			snprintf(text, sizeof(text), "[%u] line %u", (first + i) * 7, first + i);
			assert_string_equal(lines[i], text);
		}
	}
}

static void blank_rows_are_no_sign_of_rest(void **context)
{
	(void)context;
	print(0, 0, "a");
	print(1, 0, "b");
	show();
	scroll();
	print(1, 0, "c");
	show();
	assert_int_equal(nr_lines, 1);
	assert_string_equal(lines[0], "c");
}

static void in_doubt_it_has_not_moved(void **context)
{
	(void)context;
	for (unsigned row = 0; row < 3; row++)
		print(row, 0, (const char *[]){"a", "b", "c"}[row]);
	show();
	for (unsigned row = 0; row < 3; row++)
		print(row, 0, (const char *[]){"b", "q", "c"}[row]);
	show();
	assert_int_equal(nr_lines, 2);
	assert_string_equal(lines[0], "b");
	assert_string_equal(lines[1], "q");
}

/* By the start address, as Linux does. */
static void a_screen_begins_where_it_is_told(void **context)
{
	(void)context;
	print(1, 0, "second");
	print(25, 0, "below");
	show();
	assert_int_equal(nr_lines, 1);
	bench_out(ports, 0x14, 2, 0x0c | 0 << 8);
	bench_out(ports, 0x14, 2, 0x0d | 80 << 8);
	show();
	assert_int_equal(nr_lines, 1);
	assert_string_equal(lines[0], "below");
	/* The memory's end is followed by its beginning. */
	memory[VGA_TEXT_SIZE / 2 - 1] = 0x0700 | 'x';
	bench_out(ports, 0x14, 2, 0x0c | 0x3f << 8);
	bench_out(ports, 0x14, 2, 0x0d | 0xff << 8);
	show();
	assert_string_equal(lines[0], "x");
	bench_out(ports, 0x14, 2, 0x0c | 0xff << 8);
	show();
	assert_int_equal(nr_lines, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_where_a_pc_has_it, start),
		cmocka_unit_test_setup(keeps_its_registers, start),
		cmocka_unit_test_setup(one_port_has_the_attributes, start),
		cmocka_unit_test_setup(a_retrace_comes_and_goes, start),
		cmocka_unit_test_setup(shows_what_is_new, start),
		cmocka_unit_test_setup(a_guest_that_scrolls_leaves_a_log, start),
		cmocka_unit_test_setup(blank_rows_are_no_sign_of_rest, start),
		cmocka_unit_test_setup(in_doubt_it_has_not_moved, start),
		cmocka_unit_test_setup(a_screen_begins_where_it_is_told, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
