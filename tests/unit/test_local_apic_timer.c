/* SPDX-License-Identifier: MIT */
/* A local APIC's timer in its three modes, by all dividers. */
#include "tests/unit/local_apic_fixture.h"

enum { TIMER = 0x320, INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3E0 };
enum { ONE_SHOT = 0x40, PERIODIC = 0x20040, DEADLINE = 0x40040, VECTOR = 0x40 };

static int start(void **context)
{
	apics_start(context);
	apic_enable_software(0);
	apic_put(0, DIVIDE, 0xb);
	return 0;
}

static void a_shot_comes_when_its_count_is_over_by_every_divider(void **context)
{
	static const unsigned code[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};

	(void)context;
	apic_put(0, TIMER, ONE_SHOT);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t tick = (uint64_t)TICKS_PER_COUNT << i;

		apic_put(0, DIVIDE, code[i]);
		apic_put(0, INITIAL, 1000);
		assert_int_equal(apic_get(0, CURRENT), 1000);
		assert_int_equal(clock_next(&apics[0].clock), apic_time + 1000 * tick);
		assert_int_equal(apic_sooner, apic_time + 1000 * tick);
		apic_pass(0, tick * 400);
		assert_int_equal(apic_get(0, CURRENT), 600);
		apic_pass(0, tick * 600 - 1);
		assert_int_equal(apic_get(0, CURRENT), 1);
		assert_false(local_apic_pending(&apics[0]));
		apic_pass(0, 1);
		assert_int_equal(apic_get(0, CURRENT), 0);
		assert_int_equal(local_apic_acknowledge(&apics[0]), VECTOR);
		apic_put(0, 0xB0, 0);
		apic_pass(0, tick * 5000);
		assert_int_equal(apic_drain(0), 0);
		assert_int_equal(apic_get(0, CURRENT), 0);
	}
}

static void a_count_of_zero_stops_the_timer(void **context)
{
	(void)context;
	apic_put(0, TIMER, ONE_SHOT);
	apic_put(0, INITIAL, 1000);
	apic_put(0, INITIAL, 0);
	assert_int_equal(clock_next(&apics[0].clock), UINT64_MAX);
	assert_int_equal(apic_get(0, CURRENT), 0);
}

static void a_period_is_kept_and_what_was_missed_is_one_interrupt(void **context)
{
	const uint64_t count = 100000, period = count * TICKS_PER_COUNT;
	uint64_t began;

	(void)context;
	began = apic_time;
	apic_put(0, TIMER, PERIODIC);
	apic_put(0, INITIAL, (uint32_t)count);
	for (unsigned i = 1; i <= 5; i++) {
		/* Late by a little, the next one is not. */
		apic_pass(0, began + i * period + 77 - apic_time);
		assert_int_equal(apic_drain(0), 1);
		assert_int_equal(clock_next(&apics[0].clock), began + (i + 1) * period);
		assert_int_equal(apic_get(0, CURRENT), count - 25);
	}
	apic_pass(0, 1000 * period);
	assert_int_equal(apic_drain(0), 1);
	assert_int_equal(clock_next(&apics[0].clock), began + 1006 * period);
	/* To one-shot: once more. */
	apic_put(0, TIMER, ONE_SHOT);
	assert_int_equal(apic_get(0, CURRENT), count - 25);
	apic_pass(0, period);
	assert_int_equal(apic_drain(0), 1);
	assert_int_equal(clock_next(&apics[0].clock), UINT64_MAX);
	assert_int_equal(apic_get(0, CURRENT), 0);
}

/* Whether the interrupt of the count that has ended has been sent yet (i) or is only due. */
static void a_count_that_has_ended_is_not_started_by_periodic_mode(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		apic_put(0, TIMER, ONE_SHOT);
		apic_put(0, INITIAL, 1000);
		if (i)
			apic_pass(0, 1200 * TICKS_PER_COUNT);
		else
			apic_time += 1200 * TICKS_PER_COUNT;
		apic_put(0, TIMER, PERIODIC);
		assert_int_equal(apic_drain(0), 1);
		assert_int_equal(apic_get(0, CURRENT), 0);
		assert_int_equal(apic_get(0, INITIAL), 1000);
		assert_int_equal(clock_next(&apics[0].clock), UINT64_MAX);
		apic_put(0, DIVIDE, 0xb);
		apic_pass(0, 5000 * TICKS_PER_COUNT);
		assert_int_equal(apic_drain(0), 0);
		assert_int_equal(apic_get(0, CURRENT), 0);
		apic_put(0, INITIAL, 1000);
		apic_pass(0, 1000 * TICKS_PER_COUNT);
		assert_int_equal(apic_drain(0), 1);
		assert_int_equal(apic_get(0, CURRENT), 1000);
	}
}

/* One that has not ended goes on, and starts again at its end. */
static void a_count_under_way_goes_on_in_periodic_mode(void **context)
{
	(void)context;
	apic_put(0, TIMER, ONE_SHOT);
	apic_put(0, INITIAL, 100000);
	apic_pass(0, 70000 * TICKS_PER_COUNT);
	apic_put(0, TIMER, PERIODIC);
	assert_int_equal(apic_get(0, CURRENT), 30000);
	apic_pass(0, 40000 * TICKS_PER_COUNT);
	assert_int_equal(apic_drain(0), 1);
	assert_int_equal(apic_get(0, CURRENT), 90000);
}

static void a_period_too_short_is_the_shortest(void **context)
{
	uint64_t shortest = clock_shortest(&apics[0].clock);

	(void)context;
	apic_put(0, TIMER, PERIODIC);
	apic_put(0, INITIAL, 1);
	apic_pass(0, TICKS_PER_COUNT);
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(apic_drain(0), 1);
		assert_int_equal(clock_next(&apics[0].clock), apic_time + shortest);
		assert_true(apic_get(0, CURRENT) <= 1);
		apic_pass(0, shortest);
	}
}

static void a_masked_timer_counts_and_is_silent(void **context)
{
	(void)context;
	apic_put(0, TIMER, ONE_SHOT | 1 << 16);
	apic_put(0, INITIAL, 10);
	apic_pass(0, 10 * TICKS_PER_COUNT);
	assert_false(local_apic_pending(&apics[0]));
	assert_int_equal(apic_get(0, CURRENT), 0);
}

static void a_new_divider_counts_on_from_where_it_is(void **context)
{
	(void)context;
	apic_put(0, TIMER, ONE_SHOT);
	apic_put(0, INITIAL, 1000);
	apic_pass(0, 400 * TICKS_PER_COUNT);
	apic_put(0, DIVIDE, 0);
	assert_int_equal(apic_get(0, CURRENT), 600);
	assert_int_equal(clock_next(&apics[0].clock), apic_time + 1200 * TICKS_PER_COUNT);
	apic_pass(0, 1200 * TICKS_PER_COUNT);
	assert_int_equal(apic_drain(0), 1);
}

static uint64_t deadline(void)
{
	uint64_t value;

	assert_true(local_apic_read_msr(&apics[0], MSR_TSC_DEADLINE, &value));
	return value;
}

static void a_deadline_is_a_time_of_the_tsc(void **context)
{
	(void)context;
	/* In another mode the MSR is 0 and takes nothing. */
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, apic_time + 5));
	assert_int_equal(deadline(), 0);
	apic_put(0, TIMER, DEADLINE);
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, apic_time + 5));
	assert_int_equal(deadline(), apic_time + 5);
	assert_int_equal(apic_get(0, CURRENT), 0);
	apic_put(0, INITIAL, 77);
	assert_int_equal(apic_get(0, INITIAL), 0);
	apic_pass(0, 4);
	assert_int_equal(apic_drain(0), 0);
	apic_pass(0, 1);
	assert_int_equal(apic_drain(0), 1);
	assert_int_equal(deadline(), 0);
	/* One that is past comes at once; 0 is none; another mode takes it away. */
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, 1));
	apic_pass(0, 0);
	assert_int_equal(apic_drain(0), 1);
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, apic_time + 5));
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, 0));
	assert_int_equal(clock_next(&apics[0].clock), UINT64_MAX);
	assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, apic_time + 5));
	apic_put(0, TIMER, ONE_SHOT);
	assert_int_equal(clock_next(&apics[0].clock), UINT64_MAX);
	apic_put(0, TIMER, DEADLINE);
	assert_int_equal(deadline(), 0);
}

static void a_deadline_follows_the_guests_tsc(void **context)
{
	static const struct {
		int64_t adjust;
		uint64_t deadline, at;
	} rows[] = {
		{1000, 1500, 500},
		{1000, 400, 0},
		{-1000, 1500, 2500},
		{-1000, UINT64_MAX - 5, UINT64_MAX},
		{INT64_MIN, 1, (1ull << 63) + 1},
	};

	(void)context;
	apic_put(0, TIMER, DEADLINE);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		local_apic_adjust_tsc(&apics[0], rows[i].adjust);
		assert_true(local_apic_write_msr(&apics[0], MSR_TSC_DEADLINE, rows[i].deadline));
		assert_int_equal(clock_next(&apics[0].clock), rows[i].at);
		/* So does one that is set already. */
		local_apic_adjust_tsc(&apics[0], 0);
		assert_int_equal(clock_next(&apics[0].clock), rows[i].deadline);
		local_apic_adjust_tsc(&apics[0], rows[i].adjust);
		assert_int_equal(clock_next(&apics[0].clock), rows[i].at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_shot_comes_when_its_count_is_over_by_every_divider, start),
		cmocka_unit_test_setup(a_count_of_zero_stops_the_timer, start),
		cmocka_unit_test_setup(a_period_is_kept_and_what_was_missed_is_one_interrupt, start),
		cmocka_unit_test_setup(a_count_that_has_ended_is_not_started_by_periodic_mode, start),
		cmocka_unit_test_setup(a_count_under_way_goes_on_in_periodic_mode, start),
		cmocka_unit_test_setup(a_period_too_short_is_the_shortest, start),
		cmocka_unit_test_setup(a_masked_timer_counts_and_is_silent, start),
		cmocka_unit_test_setup(a_new_divider_counts_on_from_where_it_is, start),
		cmocka_unit_test_setup(a_deadline_is_a_time_of_the_tsc, start),
		cmocka_unit_test_setup(a_deadline_follows_the_guests_tsc, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
