/* SPDX-License-Identifier: MIT */
/* Guest time: timers expire in their order, none keeps the host, and units are converted without a bit lost. */
#include "guest/devices/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { TIMERS = 5 };

static struct clock clock;
static struct timer timer[TIMERS];
static unsigned expired[64], nr_expired;
static uint64_t time_now, sooner_at, again_at[TIMERS];
static int cancels = -1;

static uint64_t now(void *context)
{
	assert_ptr_equal(context, &time_now);
	return time_now;
}

static void sooner(void *context, uint64_t at)
{
	assert_ptr_equal(context, &time_now);
	sooner_at = at;
}

static void expire(struct timer *which, uint64_t when)
{
	unsigned number = (unsigned)(which - timer);

	assert_false(which->set);
	assert_true(which->at <= when && nr_expired < 64);
	expired[nr_expired++] = number;
	if (again_at[number])
		timer_set(&clock, which, again_at[number]);
	if (cancels >= 0)
		timer_cancel(&clock, &timer[cancels]);
}

static int start(void **context)
{
	(void)context;
	clock = (struct clock){.now = now, .sooner = sooner, .context = &time_now, .hz = 1000};
	memset(timer, 0, sizeof(timer));
	memset(again_at, 0, sizeof(again_at));
	for (unsigned i = 0; i < TIMERS; i++)
		timer[i].expire = expire;
	nr_expired = 0;
	cancels = -1;
	return 0;
}

static void the_machine_says_what_time_it_is(void **context)
{
	(void)context;
	time_now = 77;
	assert_int_equal(clock_now(&clock), 77);
	assert_int_equal(clock_next(&clock), UINT64_MAX);
	clock_expire(&clock, UINT64_MAX);
	assert_int_equal(nr_expired, 0);
}

/* Every order of five deadlines, two of them alike: those come as they were set. */
static void timers_expire_in_their_order(void **context)
{
	static const uint64_t at[TIMERS] = {10, 20, 20, 30, 40};
	unsigned order[TIMERS];

	for (unsigned i = 0; i < 3125; i++) {
		unsigned seen = 0, left = i;

		for (unsigned j = 0; j < TIMERS; j++, left /= TIMERS)
			seen |= 1u << (order[j] = left % TIMERS);
		if (seen != (1u << TIMERS) - 1)
			continue;
		start(context);
		for (unsigned j = 0; j < TIMERS; j++)
			timer_set(&clock, &timer[j], at[order[j]]);
		assert_int_equal(clock_next(&clock), 10);
		clock_expire(&clock, 9);
		assert_int_equal(nr_expired, 0);
		clock_expire(&clock, 30);
		assert_int_equal(nr_expired, 4);
		assert_int_equal(clock_next(&clock), 40);
		for (unsigned j = 0; j < 3; j++)
			assert_true(at[order[expired[j]]] < at[order[expired[j + 1]]] ||
				    (at[order[expired[j]]] == 20 && expired[j] < expired[j + 1]));
	}
}

static void a_timer_may_be_set_again_and_cancelled(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 3; i++)
		timer_set(&clock, &timer[i], 10 + i);
	timer_set(&clock, &timer[0], 50);
	timer_cancel(&clock, &timer[1]);
	timer_cancel(&clock, &timer[1]);
	timer_cancel(&clock, &timer[4]);
	assert_int_equal(clock_next(&clock), 12);
	clock_expire(&clock, 100);
	assert_int_equal(nr_expired, 2);
	assert_int_equal(expired[0], 2);
	assert_int_equal(expired[1], 0);
}

static void the_machine_hears_of_an_earlier_deadline_alone(void **context)
{
	(void)context;
	sooner_at = 0;
	timer_set(&clock, &timer[0], 30);
	assert_int_equal(sooner_at, 30);
	timer_set(&clock, &timer[1], 40);
	timer_set(&clock, &timer[2], 30);
	assert_int_equal(sooner_at, 30);
	timer_set(&clock, &timer[3], 20);
	assert_int_equal(sooner_at, 20);
	clock.sooner = NULL;
	timer_set(&clock, &timer[4], 1);
	assert_int_equal(clock_next(&clock), 1);
}

static void a_timer_that_asks_for_the_past_does_not_keep_the_host(void **context)
{
	(void)context;
	again_at[0] = 1;
	again_at[1] = 100;
	timer_set(&clock, &timer[0], 1);
	timer_set(&clock, &timer[1], 2);
	clock_expire(&clock, 100);
	assert_int_equal(nr_expired, 2);
	assert_int_equal(clock_next(&clock), 101);
	clock_expire(&clock, 101);
	assert_int_equal(nr_expired, 4);
	/* Outside of an expiry the past is the past. */
	timer_set(&clock, &timer[2], 5);
	assert_int_equal(clock_next(&clock), 5);
}

static void an_expiry_may_cancel_another(void **context)
{
	(void)context;
	cancels = 1;
	timer_set(&clock, &timer[0], 1);
	timer_set(&clock, &timer[1], 1);
	timer_set(&clock, &timer[2], 1);
	clock_expire(&clock, 1);
	assert_int_equal(nr_expired, 2);
	assert_int_equal(expired[1], 2);
}

/* xorshift64. */
static uint64_t random_number(void)
{
	static uint64_t state = 1;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void units_are_converted_exactly(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t from = 1 + (random_number() >> 32), to = 1 + (random_number() >> 33);
		uint64_t value = random_number() >> (random_number() % 64);
		unsigned __int128 exact = (unsigned __int128)value * to / from;

		assert_true(clock_scale(value, from, to) == (exact >> 64 ? UINT64_MAX : (uint64_t)exact));
		exact = ((unsigned __int128)value * to + from - 1) / from;
		assert_true(clock_scale_up(value, from, to) == (exact >> 64 ? UINT64_MAX : (uint64_t)exact));
	}
	assert_int_equal(clock_scale(UINT64_MAX, 1, 2), UINT64_MAX);
	assert_int_equal(clock_scale(3, 3000000000, 1193182), 0);
	assert_int_equal(clock_scale(UINT64_MAX, 3, 3), UINT64_MAX);
}

static void a_beat_is_the_next_multiple(void **context)
{
	(void)context;
	for (uint64_t period = 1; period < 20; period++)
		for (uint64_t at = 0; at < 40; at++)
			for (uint64_t when = 0; when < 80; when++) {
				uint64_t beat = at;

				while (beat <= when)
					beat += period;
				assert_int_equal(clock_beat(at, period, when), beat);
			}
	clock.hz = 3000000000;
	assert_int_equal(clock_shortest(&clock), 60001);
	clock.hz = 20000000;
	assert_int_equal(clock_shortest(&clock), CLOCK_LEAST_TICKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_machine_says_what_time_it_is, start),
		cmocka_unit_test_setup(timers_expire_in_their_order, start),
		cmocka_unit_test_setup(a_timer_may_be_set_again_and_cancelled, start),
		cmocka_unit_test_setup(the_machine_hears_of_an_earlier_deadline_alone, start),
		cmocka_unit_test_setup(a_timer_that_asks_for_the_past_does_not_keep_the_host, start),
		cmocka_unit_test_setup(an_expiry_may_cancel_another, start),
		cmocka_unit_test_setup(units_are_converted_exactly, start),
		cmocka_unit_test_setup(a_beat_is_the_next_multiple, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
