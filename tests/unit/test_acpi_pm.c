/* SPDX-License-Identifier: MIT */
/* ACPI's fixed hardware: the timer and its half turns, events and the SCI, the way into S5. */
#include "guest/devices/acpi_pm.h"
#include "tests/unit/device_clock.h"
#include "tests/unit/device_fixture.h"

enum { SCI = 4, STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8, TICK = 1000, HALF = 1 << 23 };

static struct acpi_pm pm;

static uint32_t in(unsigned offset, unsigned size)
{
	uint32_t data = bench_in(acpi_pm_ports(&pm), offset, size);

	return size == 4 ? data : data & ((1u << 8 * size) - 1);
}

static void out(unsigned offset, unsigned size, uint32_t data)
{
	bench_out(acpi_pm_ports(&pm), offset, size, data);
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	bench_clock_start((uint64_t)ACPI_PM_TIMER_HZ * TICK);
	bench_time = 0;
	acpi_pm_init(&pm, &device_bench.lock, &bench_clock, bench_line(SCI), bench_ending());
	return 0;
}

static void the_timer_counts_24_bits(void **context)
{
	(void)context;
	assert_int_equal(in(TIMER, 4), 0);
	bench_pass(0x123456 * (uint64_t)TICK);
	assert_int_equal(in(TIMER, 4), 0x123456);
	assert_int_equal(in(TIMER + 1, 1), 0x34);
	assert_int_equal(in(TIMER + 2, 2), 0x12);
	bench_pass((0x1000000 - 0x123456) * (uint64_t)TICK - 1);
	assert_int_equal(in(TIMER, 4), 0xffffff);
	bench_pass(1);
	assert_int_equal(in(TIMER, 4), 0);
	out(TIMER, 4, 0x55);
	assert_int_equal(in(TIMER, 4), 0);
}

static void a_half_turn_is_an_event(void **context)
{
	(void)context;
	bench_pass(HALF * (uint64_t)TICK - 1);
	assert_int_equal(in(STATUS, 2), 0);
	bench_pass(1);
	/* Polled. */
	assert_int_equal(in(STATUS, 2), 1);
	assert_false(device_bench.level[SCI]);
	out(STATUS, 2, 1);
	assert_int_equal(in(STATUS, 2), 0);
	/* Enabled, it interrupts; nobody comes back before the guest has ended it. */
	out(ENABLE, 2, 1);
	assert_int_equal(bench_pass(HALF * (uint64_t)TICK - 1), 0);
	assert_int_equal(bench_pass(1), 1);
	assert_true(device_bench.level[SCI]);
	assert_int_equal(bench_pass(10ull * HALF * TICK), 0);
	out(STATUS, 2, 0xfffe);
	assert_true(device_bench.level[SCI]);
	out(STATUS, 1, 1);
	assert_false(device_bench.level[SCI]);
	assert_int_equal(bench_pass(HALF * (uint64_t)TICK), 1);
	out(ENABLE, 2, 0);
	assert_false(device_bench.level[SCI]);
	assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
}

static void the_button(void **context)
{
	(void)context;
	acpi_pm_press_button(&pm);
	assert_false(device_bench.level[SCI]);
	out(ENABLE + 1, 1, 0x01);
	assert_int_equal(in(STATUS, 4), 0x01000100);
	assert_true(device_bench.level[SCI]);
	out(STATUS, 4, 0x01000100);
	assert_int_equal(in(STATUS, 4), 0x01000000);
	assert_false(device_bench.level[SCI]);
	out(ENABLE, 2, 0xffff);
	assert_int_equal(in(ENABLE, 2), 0x0721);
	out(ENABLE, 1, 0);
	assert_int_equal(in(ENABLE, 2), 0x0700);
}

static void only_s5_with_its_enable_bit_is_the_end(void **context)
{
	(void)context;
	for (unsigned type = 0; type < 8; type++)
		for (unsigned enable = 0; enable < 2; enable++) {
			start(context);
			assert_int_equal(in(CONTROL, 2), 1);
			out(CONTROL, 2, type << 10 | enable << 13);
			assert_int_equal(in(CONTROL, 2), type << 10 | 1);
			assert_int_equal(device_bench.endings, type == ACPI_PM_S5 && enable);
			assert_int_equal(device_bench.kind, device_bench.endings ? ENDING_POWER_OFF : 0);
		}
	/* By bytes, as well. */
	start(context);
	out(CONTROL, 1, 0x02);
	out(CONTROL + 1, 1, ACPI_PM_S5 << 2);
	assert_int_equal(in(CONTROL, 2), ACPI_PM_S5 << 10 | 3);
	assert_int_equal(device_bench.endings, 0);
	out(CONTROL + 1, 1, ACPI_PM_S5 << 2 | 0x20);
	assert_int_equal(device_bench.endings, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_timer_counts_24_bits, start),
		cmocka_unit_test_setup(a_half_turn_is_an_event, start),
		cmocka_unit_test_setup(the_button, start),
		cmocka_unit_test(only_s5_with_its_enable_bit_is_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
