/* SPDX-License-Identifier: MIT */
/* What is made of a trace's records: sums, the order of what is shown, and what happens when there is too much. */
#include "guest/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char shown[65536];
static size_t length;

static void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	length += (size_t)vsnprintf(shown + length, sizeof(shown) - length, format, arguments);
	va_end(arguments);
	assert_true(length < sizeof(shown));
}

static void show(void)
{
	length = 0;
	shown[0] = '\0';
	profile_show(print);
}

static void expect(const char *text)
{
	if (!strstr(shown, text))
		fail_msg("\"%s\" is not in:\n%s", text, shown);
}

static int start(void **context)
{
	(void)context;
	profile_reset();
	return 0;
}

static void add_exit(unsigned cpu, uint64_t rip)
{
	profile_add(cpu, &(struct tl_trace_record){.event = TL_TRACE_EXIT, .rip = rip}, 1, 0);
}

static void add(unsigned cpu, enum tl_trace_access how, uint64_t range, uint64_t gpa, unsigned size, uint64_t ticks)
{
	const struct tl_trace_record record = {.event = TL_TRACE_MMIO,
					       .detail = (uint8_t)how,
					       .size = (uint8_t)size,
					       .gpa = gpa,
					       .tsc = ticks ? ticks + 1000 : 0,
					       .other = ticks ? 1000 : 0,
					       .range = range};

	profile_add(cpu, &record, 1, 0);
}

static void nothing(void **context)
{
	(void)context;
	show();
	assert_string_equal(shown, "");
}

static void sums(void **context)
{
	(void)context;
	add_exit(0, 0x1000);
	add(0, TL_TRACE_READ, 4, 0xd0000010, 4, 40);
	add(0, TL_TRACE_UNSATISFIED, 4, 0xd0000020, 4, 0);
	add(0, TL_TRACE_READ, 4, 0xd0000020, 4, 60);
	add(0, TL_TRACE_WRITE, 4, 0xd0000ff8, 8, 2000);
	add(0, TL_TRACE_WRITE, 4, 0xd0000010, 3, 0);
	add(0, TL_TRACE_RING, 4, 0xd0000004, 0, 0);
	show();
	expect("range 4, 0xd0000004 to 0xd0000ff8: 2 reads, 2 writes, 1 rings; 19 bytes; of size 1 0, 2 0, 4 2, 8 1\n");
	expect("420 on average; at least  0: 2  32: 2  1024: 1\n");
	expect("registers   0xd0000010 2");
	expect("by code at  0x1000 5\n");
	assert_null(strstr(shown, "lost"));
}

/* An access is by the instruction of its own CPU's exit. */
static void by_cpu(void **context)
{
	(void)context;
	add_exit(0, 0x1000);
	add_exit(1, 0x2000);
	add(0, TL_TRACE_READ, 4, 0xd0000000, 4, 1);
	add(1, TL_TRACE_READ, 4, 0xd0000000, 4, 1);
	add(1, TL_TRACE_READ, 4, 0xd0000000, 4, 1);
	show();
	expect("by code at  0x2000 2  0x1000 1\n");
}

static void busiest_first(void **context)
{
	const char *four, *five, *six;

	(void)context;
	for (unsigned range = 4; range <= 6; range++)
		for (unsigned i = 0; i < (range == 5 ? 30 : range); i++)
			add(0, TL_TRACE_WRITE, range, range << 12 | i << 2, 4, 7);
	show();
	four = strstr(shown, "range 4,");
	five = strstr(shown, "range 5,");
	six = strstr(shown, "range 6,");
	assert_true(five && six && four && five < six && six < four);
}

static void the_hottest_are_shown(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 10; i++)
		for (unsigned n = 0; n <= i; n++)
			add(0, TL_TRACE_WRITE, 4, 0x1000 + i, 1, 1);
	show();
	expect("registers   0x1009 10  0x1008 9  0x1007 8  0x1006 7  0x1005 6\n");
}

/* What is more than is kept is said, and changes nothing of the rest. */
static void too_much(void **context)
{
	(void)context;
	for (unsigned range = 0; range < PROFILE_RANGES + 3; range++)
		add(0, TL_TRACE_WRITE, range, 0x1000, 4, 1);
	profile_add(0, NULL, 0, 17);
	show();
	expect("range 63, 0x1000 to 0x1000: 0 reads, 1 writes");
	assert_null(strstr(shown, "range 64,"));
	expect("17 records were lost, 3 were more than what is kept\n");
	profile_reset();
	for (unsigned i = 0; i < 4 * PROFILE_PLACES; i++)
		add(0, TL_TRACE_WRITE, 1, 8ull * i, 8, 1);
	show();
	expect("0 reads, 32768 writes");
	expect("0 records were lost, ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing, start),
		cmocka_unit_test_setup(sums, start),
		cmocka_unit_test_setup(by_cpu, start),
		cmocka_unit_test_setup(busiest_first, start),
		cmocka_unit_test_setup(the_hottest_are_shown, start),
		cmocka_unit_test_setup(too_much, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
