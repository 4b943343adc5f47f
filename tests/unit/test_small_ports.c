/* SPDX-License-Identifier: MIT */
/* Ports that do one thing: debug consoles, the ways out of a test, the resets of the chip set. */
#include "guest/devices/debug_console.h"
#include "guest/devices/exit_port.h"
#include "guest/devices/reset_port.h"

#include "tests/unit/device_fixture.h"

enum { A20 = 3 };

static int start(void **context)
{
	(void)context;
	device_bench_start();
	return 0;
}

static void consoles_print(void **context)
{
	struct debug_console console = {&device_bench.lock, bench_put, &device_bench};
	struct port_range bochs = debug_console_port(&console, 0xe9), seabios = debug_console_port(&console, 0x402);

	(void)context;
	assert_int_equal(bench_in(bochs, 0, 1), 0xe9);
	assert_int_equal(bench_in(seabios, 0, 1), 0xe9);
	bench_out(bochs, 0, 1, 'h');
	bench_out(seabios, 0, 1, 'i');
	assert_int_equal(device_bench.nr_bytes, 2);
	assert_memory_equal(device_bench.bytes, "hi", 2);
}

static void debug_exit_ends_with_a_code(void **context)
{
	struct exit_port port = {&device_bench.lock, bench_ending(), 0};
	struct port_range range = exit_port_debug(&port);

	(void)context;
	assert_int_equal(range.first, 0xf4);
	assert_int_equal(range.count, 4);
	assert_int_equal(bench_in(range, 0, 4), 0);
	assert_int_equal(device_bench.endings, 0);
	bench_out(range, 0, 4, 0x12345678);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(device_bench.kind, ENDING_EXIT);
	assert_int_equal(device_bench.code, 0x12345678);
}

static unsigned endings_after(const struct port_range *range, const char *text)
{
	unsigned before = device_bench.endings;

	for (; *text; text++)
		bench_out(*range, 0, 1, (uint8_t)*text);
	return device_bench.endings - before;
}

static void bochs_is_shut_down_by_the_word(void **context)
{
	struct exit_port port = {&device_bench.lock, bench_ending(), 0};
	struct port_range range = exit_port_shutdown(&port);

	(void)context;
	assert_int_equal(range.first, 0x8900);
	assert_int_equal(endings_after(&range, "Shutdow"), 0);
	assert_int_equal(endings_after(&range, "n"), 1);
	assert_int_equal(device_bench.kind, ENDING_POWER_OFF);
	assert_int_equal(endings_after(&range, "Shut down, shutdown, hutdown"), 0);
	assert_int_equal(endings_after(&range, "SShutdown"), 1);
	assert_int_equal(endings_after(&range, "ShutShutdownShutdown"), 2);
}

static void port_a_resets_as_the_bit_rises(void **context)
{
	struct reset_port port;
	struct port_range range;

	(void)context;
	reset_port_init(&port, &device_bench.lock, bench_ending(), bench_line(A20));
	range = reset_port_control_a(&port);
	assert_int_equal(range.first, 0x92);
	assert_int_equal(bench_in(range, 0, 1), 0x02);
	bench_out(range, 0, 1, 0x00);
	assert_false(device_bench.level[A20]);
	bench_out(range, 0, 1, 0x02);
	assert_true(device_bench.level[A20]);
	assert_int_equal(device_bench.endings, 0);
	bench_out(range, 0, 1, 0x03);
	bench_out(range, 0, 1, 0x03);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(device_bench.kind, ENDING_RESET);
	assert_int_equal(bench_in(range, 0, 1), 0x03);
	bench_out(range, 0, 1, 0x02);
	bench_out(range, 0, 1, 0x01);
	assert_int_equal(device_bench.endings, 2);
	assert_false(device_bench.level[A20]);
}

static void cf9_resets(void **context)
{
	struct reset_port port;
	struct port_range range;

	(void)context;
	reset_port_init(&port, &device_bench.lock, bench_ending(), bench_line(A20));
	range = reset_port_control(&port);
	assert_int_equal(range.first, 0xcf9);
	bench_out(range, 0, 1, 0xf2 & ~4);
	assert_int_equal(bench_in(range, 0, 1), 0x02);
	assert_int_equal(device_bench.endings, 0);
	bench_out(range, 0, 1, 0x06);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(device_bench.kind, ENDING_RESET);
	assert_int_equal(bench_in(range, 0, 1), 0x02);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(consoles_print, start),
		cmocka_unit_test_setup(debug_exit_ends_with_a_code, start),
		cmocka_unit_test_setup(bochs_is_shut_down_by_the_word, start),
		cmocka_unit_test_setup(port_a_resets_as_the_bit_rises, start),
		cmocka_unit_test_setup(cf9_resets, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
