/* SPDX-License-Identifier: MIT */
/* The real-time clock: its calendar beside libc's, forms of numbers, setting, alarms, updates and periods, its memory.
 */
#include "guest/devices/calendar.h"
#include "guest/devices/rtc.h"
#include "tests/unit/device_clock.h"
#include "tests/unit/device_fixture.h"
#include <time.h>

enum { LINE = 2, HERTZ = 32768000, DAY = 86400 };
enum { A = 10, B, C, D, PIE = 0x40, AIE = 0x20, UIE = 0x10, SET = 0x80, BINARY = 4, HOURS_24 = 2 };

/* 2026-11-26 01:02:03, a Thursday. */
enum { START = 1795654923 };

static struct rtc rtc;

static unsigned get(unsigned index)
{
	bench_out(rtc_ports(&rtc), 0, 1, index);
	return bench_in(rtc_ports(&rtc), 1, 1) & 0xff;
}

static void put(unsigned index, unsigned value)
{
	bench_out(rtc_ports(&rtc), 0, 1, index);
	bench_out(rtc_ports(&rtc), 1, 1, value);
}

static void check_time(unsigned hour, unsigned minute, unsigned second)
{
	assert_int_equal(get(4), hour);
	assert_int_equal(get(2), minute);
	assert_int_equal(get(0), second);
}

static void check_date(unsigned century, unsigned year, unsigned month, unsigned day, unsigned weekday)
{
	assert_int_equal(get(0x32), century);
	assert_int_equal(get(9), year);
	assert_int_equal(get(8), month);
	assert_int_equal(get(7), day);
	assert_int_equal(get(6), weekday);
}

static void seconds(unsigned count)
{
	bench_pass((uint64_t)count * HERTZ);
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	bench_clock_start(HERTZ);
	rtc_init(&rtc, &device_bench.lock, &bench_clock, bench_line(LINE), START);
	return 0;
}

/* Each day from 1600 to 2500, at a different time of it, there and back. */
static void the_calendar_is_libcs(void **context)
{
	(void)context;
	for (int64_t day = -135140; day < 193700; day++) {
		time_t at = day * DAY + (day * 7919 % DAY + DAY) % DAY;
		struct calendar here = calendar_of(CALENDAR_1970 + (uint64_t)at);
		struct tm there;

		assert_non_null(gmtime_r(&at, &there));
		assert_int_equal(here.year, there.tm_year + 1900);
		assert_int_equal(here.month, there.tm_mon + 1);
		assert_int_equal(here.day, there.tm_mday);
		assert_int_equal(here.weekday, there.tm_wday + 1);
		assert_int_equal(here.hour, there.tm_hour);
		assert_int_equal(here.minute, there.tm_min);
		assert_int_equal(here.second, there.tm_sec);
		assert_int_equal(calendar_seconds(&here), CALENDAR_1970 + (uint64_t)at);
	}
	assert_int_equal(calendar_of(0).month, 1);
	assert_int_equal(calendar_seconds(&(struct calendar){.year = 2001, .month = 2, .day = 30}),
			 calendar_seconds(&(struct calendar){.year = 2001, .month = 3, .day = 2}));
	assert_int_equal(calendar_seconds(&(struct calendar){.year = 2001, .month = 13, .day = 1}),
			 calendar_seconds(&(struct calendar){.year = 2002, .month = 1, .day = 1}));
	/* What no clock shows: no field of it is read beyond its table. */
	for (unsigned month = 0; month < 256; month++)
		calendar_seconds(&(struct calendar){.year = 16665, .month = month});
}

static void time_is_read_in_all_forms(void **context)
{
	(void)context;
	check_time(0x01, 0x02, 0x03);
	check_date(0x20, 0x26, 0x11, 0x26, 5);
	assert_int_equal(get(D), 0x80);
	put(B, HOURS_24 | BINARY);
	check_time(1, 2, 3);
	check_date(20, 26, 11, 26, 5);
	for (unsigned hour = 0; hour < 24; hour++) {
		unsigned twelve = (hour + 11) % 12 + 1;

		put(B, HOURS_24 | BINARY);
		put(4, hour);
		put(B, BINARY);
		assert_int_equal(get(4), twelve | (hour < 12 ? 0 : 0x80));
		put(B, 0);
		assert_int_equal(get(4), twelve / 10 << 4 | twelve % 10 | (hour < 12 ? 0 : 0x80));
		put(4, get(4));
		put(B, HOURS_24);
		assert_int_equal(get(4), hour / 10 << 4 | hour % 10);
	}
}

static void time_passes(void **context)
{
	(void)context;
	seconds(56);
	check_time(0x01, 0x02, 0x59);
	bench_pass(HERTZ - 1);
	check_time(0x01, 0x02, 0x59);
	bench_pass(1);
	check_time(0x01, 0x03, 0x00);
	seconds(DAY * 5);
	check_date(0x20, 0x26, 0x12, 0x01, 3);
	seconds(DAY * 31);
	check_date(0x20, 0x27, 0x01, 0x01, 6);
}

static void time_stands_while_it_is_set(void **context)
{
	static const unsigned fields[][2] = {{0, 0x58}, {2, 0x59}, {4, 0x23},   {7, 0x28},
					     {8, 0x02}, {9, 0x99}, {0x32, 0x19}};

	(void)context;
	put(B, HOURS_24 | SET);
	seconds(10);
	check_time(0x01, 0x02, 0x03);
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		put(fields[i][0], fields[i][1]);
	seconds(10);
	check_time(0x23, 0x59, 0x58);
	put(B, HOURS_24);
	check_time(0x23, 0x59, 0x58);
	seconds(1);
	check_time(0x23, 0x59, 0x59);
	seconds(1);
	check_time(0x00, 0x00, 0x00);
	check_date(0x19, 0x99, 0x03, 0x01, 2);
	/* The divider's reset stops it, too. */
	put(A, 0x60);
	seconds(10);
	check_time(0x00, 0x00, 0x00);
	put(A, 0x26);
	seconds(1);
	check_time(0x00, 0x00, 0x01);
	/* A field that is written while it runs leaves the second where it is. */
	bench_pass(HERTZ / 2);
	put(2, 0x30);
	bench_pass(HERTZ / 2 - 1);
	check_time(0x00, 0x30, 0x01);
	bench_pass(1);
	check_time(0x00, 0x30, 0x02);
}

static void an_update_is_announced_by_244_microseconds(void **context)
{
	(void)context;
	assert_int_equal(get(A), 0x26);
	bench_pass(HERTZ - 8 * (HERTZ / 32768));
	assert_int_equal(get(A), 0x26);
	bench_pass(1);
	assert_int_equal(get(A), 0xa6);
	bench_pass(8 * (HERTZ / 32768) - 2);
	assert_int_equal(get(A), 0xa6);
	bench_pass(1);
	assert_int_equal(get(A), 0x26);
	put(A, 0xff);
	assert_int_equal(get(A), 0x7f);
}

/* The wire is up until C is read, and nobody is woken up meanwhile. */
static void updates_interrupt(void **context)
{
	(void)context;
	seconds(3);
	assert_int_equal(get(C), 0x50);
	assert_int_equal(get(C), 0);
	assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
	put(B, HOURS_24 | UIE);
	assert_int_equal(bench_pass(HERTZ - 1), 0);
	assert_int_equal(bench_pass(1), 1);
	assert_true(device_bench.level[LINE]);
	assert_int_equal(bench_pass(100ull * HERTZ), 0);
	assert_int_equal(get(C) & 0x90, 0x90);
	assert_false(device_bench.level[LINE]);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(bench_pass(HERTZ), 1);
		assert_int_equal(get(C) & 0x90, 0x90);
	}
	/* Setting the time turns it off. */
	put(B, HOURS_24 | UIE | SET);
	assert_int_equal(get(B), HOURS_24 | SET);
}

static void alarms_match_what_they_name(void **context)
{
	static const struct {
		unsigned hour, minute, second, after; /* 01:02:03 */
	} rows[] = {
		{0x01, 0x02, 0x04, 1},     {0x01, 0x02, 0x03, DAY},   {0xff, 0xff, 0xff, 1},
		{0xc0, 0xff, 0x02, 59},    {0xff, 0x02, 0x03, 3600},  {0x00, 0xff, 0x59, 82736},
		{0x05, 0x00, 0xff, 14277}, {0x23, 0x59, 0x59, 82676}, {0x25, 0xff, 0xff, 0},
		{0xff, 0xff, 0x61, 0},     {0x01, 0x02, 0xff, 1},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t left = rows[i].after * (uint64_t)HERTZ;

		start(context);
		put(1, rows[i].second);
		put(3, rows[i].minute);
		put(5, rows[i].hour);
		put(B, HOURS_24 | AIE);
		if (!left) {
			assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
			continue;
		}
		bench_pass(left - 1);
		assert_false(device_bench.level[LINE]);
		bench_pass(1);
		assert_true(device_bench.level[LINE]);
		assert_int_equal(get(C) & 0xa0, 0xa0);
		assert_false(device_bench.level[LINE]);
		/* Polled, it is there as well. */
		start(context);
		put(1, rows[i].second);
		put(3, rows[i].minute);
		put(5, rows[i].hour);
		bench_pass(left - 1);
		assert_int_equal(get(C) & 0x20, 0);
		bench_pass(1);
		assert_int_equal(get(C) & 0xa0, 0x20);
	}
}

static void an_alarm_comes_again_and_may_be_changed(void **context)
{
	(void)context;
	put(1, 0x10);
	put(3, 0xff);
	put(5, 0xff);
	put(B, HOURS_24 | AIE);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(bench_pass((i ? 60ull : 7ull) * HERTZ), 1);
		assert_int_equal(get(C) & 0xa0, 0xa0);
	}
	put(1, 0x15);
	assert_int_equal(bench_pass(5ull * HERTZ), 1);
	assert_int_equal(get(C) & 0xa0, 0xa0);
	/* As the time may be. */
	put(0, 0x13);
	assert_int_equal(bench_pass(2ull * HERTZ), 1);
	assert_int_equal(get(C) & 0xa0, 0xa0);
}

static void periods_are_those_of_the_rates(void **context)
{
	static const unsigned hertz[] = {0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2};

	for (unsigned rate = 0; rate < 16; rate++) {
		start(context);
		put(B, HOURS_24 | PIE);
		put(A, 0x20 | rate);
		device_bench.rises[LINE] = 0;
		if (!rate) {
			assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
			continue;
		}
		for (unsigned i = 0; i < 2 * hertz[rate]; i++) {
			bench_pass(HERTZ / hertz[rate] - 1);
			assert_int_equal(device_bench.rises[LINE], i);
			bench_pass(1);
			assert_int_equal(device_bench.rises[LINE], i + 1);
			assert_int_equal(get(C) & 0xc0, 0xc0);
		}
	}
	/* A guest that does not read C is interrupted once, whatever else it wants. */
	put(B, HOURS_24 | PIE | UIE | AIE);
	assert_int_equal(bench_pass(10ull * HERTZ), 1);
	assert_int_equal(bench_pass(10ull * HERTZ), 0);
}

static void memory_is_kept(void **context)
{
	(void)context;
	rtc_set_memory(&rtc, 128 << 20, 3ull << 30);
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 65535);
	assert_int_equal(get(0x30) | get(0x31) << 8, 65535);
	assert_int_equal(get(0x34) | get(0x35) << 8, 112 << 4);
	assert_int_equal(get(0x5b) | get(0x5c) << 8 | get(0x5d) << 16, 3 << 14);
	rtc_set_memory(&rtc, 4 << 20, 0);
	assert_int_equal(get(0x17) | get(0x18) << 8, 3072);
	assert_int_equal(get(0x34) | get(0x35) << 8, 0);
	for (unsigned index = 14; index < 128; index++)
		if (index != 0x32)
			put(index, index ^ 0x55);
	for (unsigned index = 14; index < 128; index++)
		if (index != 0x32)
			assert_int_equal(get(index | 0x80), index ^ 0x55);
	put(C, 0xff);
	put(D, 0);
	assert_int_equal(get(C), 0);
	assert_int_equal(get(D), 0x80);
	/* The index is not read; both ports at once. */
	assert_int_equal(bench_in(rtc_ports(&rtc), 0, 1) & 0xff, 0xff);
	bench_out(rtc_ports(&rtc), 0, 2, 0x7740);
	assert_int_equal(get(0x40), 0x77);
	assert_int_equal(bench_in(rtc_ports(&rtc), 0, 2), 0x77ff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_calendar_is_libcs),
		cmocka_unit_test_setup(time_is_read_in_all_forms, start),
		cmocka_unit_test_setup(time_passes, start),
		cmocka_unit_test_setup(time_stands_while_it_is_set, start),
		cmocka_unit_test_setup(an_update_is_announced_by_244_microseconds, start),
		cmocka_unit_test_setup(updates_interrupt, start),
		cmocka_unit_test(alarms_match_what_they_name),
		cmocka_unit_test_setup(an_alarm_comes_again_and_may_be_changed, start),
		cmocka_unit_test(periods_are_those_of_the_rates),
		cmocka_unit_test_setup(memory_is_kept, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
