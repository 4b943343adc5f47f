/* SPDX-License-Identifier: MIT */
/* The 8254: outputs and counts beside a counter that counts, interrupts by its edges, what is latched, the speaker's
 * port. */
#include "guest/devices/pit.h"
#include "tests/unit/device_clock.h"
#include "tests/unit/device_fixture.h"

enum { OUTPUT = 1, TICK = 1000, CONTROL = 3, HERTZ = 1193182, SPEAKER_OUTPUT = 0x20, STATUS_OUTPUT = 0x80 };

static struct pit pit;

static void out(unsigned offset, unsigned byte)
{
	bench_out(pit_ports(&pit), offset, 1, byte);
}

static unsigned in(unsigned offset)
{
	return bench_in(pit_ports(&pit), offset, 1) & 0xff;
}

static void gate(bool on)
{
	bench_out(pit_speaker_port(&pit), 0, 1, on);
}

static bool output2(void)
{
	return bench_in(pit_speaker_port(&pit), 0, 1) & SPEAKER_OUTPUT;
}

static void program(unsigned counter, unsigned mode, unsigned count)
{
	out(CONTROL, counter << 6 | 0x30 | mode << 1);
	out(counter, count & 0xff);
	out(counter, count >> 8 & 0xff);
}

static unsigned read_count(unsigned counter)
{
	unsigned low;

	out(CONTROL, counter << 6);
	low = in(counter);
	return low | in(counter) << 8;
}

static unsigned read_status(unsigned counter)
{
	out(CONTROL, 0xe0 | 2u << counter);
	return in(counter);
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	bench_clock_start((uint64_t)PIT_HZ * TICK);
	pit_init(&pit, &device_bench.lock, &bench_clock, bench_line(OUTPUT));
	return 0;
}

/* A counter that counts, clock by clock. */
struct naive {
	unsigned mode, initial, count;
	bool output, counting;
};

static void naive_reload(struct naive *naive)
{
	naive->count = naive->initial;
	naive->counting = true;
	naive->output = naive->mode >= 2 && naive->mode <= 4;
	if (naive->mode == 5)
		naive->output = true;
}

static void naive_clock(struct naive *naive)
{
	if (!naive->counting)
		return;
	naive->count = (naive->count - 1) & 0xffff;
	switch (naive->mode) {
	case 0:
	case 1:
		naive->output = naive->output || !naive->count;
		break;
	case 2:
		if (!naive->count)
			naive->count = naive->initial;
		naive->output = naive->count != 1;
		break;
	case 3:
		if (!naive->count)
			naive->count = naive->initial;
		naive->output = naive->initial - naive->count < (naive->initial + 1) / 2;
		break;
	default:
		/* The strobe comes once. */
		naive->output = naive->count != 0;
		break;
	}
}

static void outputs_are_those_of_a_counter_that_counts(void **context)
{
	for (unsigned mode = 0; mode < 6; mode++)
		for (unsigned count = 2; count < 40; count++) {
			struct naive naive = {.mode = mode, .initial = count, .output = mode != 0};

			start(context);
			gate(false);
			program(2, mode, count);
			assert_int_equal(output2(), mode != 0);
			bench_pass(5 * TICK);
			assert_int_equal(output2(), mode != 0);
			gate(true);
			naive_reload(&naive);
			for (unsigned i = 0; i < 200; i++) {
				assert_int_equal(output2(), naive.output);
				if (mode != 3)
					assert_int_equal(read_count(2), naive.count);
				bench_pass(TICK);
				naive_clock(&naive);
			}
		}
}

static void a_gate_that_falls_stops_and_one_that_rises_goes_on_or_begins_anew(void **context)
{
	for (unsigned mode = 0; mode < 6; mode++) {
		bool triggered = mode == 1 || mode == 5, goes_on = mode == 0 || mode == 4;

		start(context);
		gate(false);
		program(2, mode, 100);
		gate(true);
		bench_pass(30 * TICK + TICK / 2);
		gate(false);
		if (mode == 2 || mode == 3)
			assert_true(output2());
		bench_pass(20 * TICK);
		if (mode != 3)
			assert_int_equal(read_count(2), triggered ? 50 : 70);
		gate(true);
		bench_pass(TICK / 2);
		if (mode != 3)
			assert_int_equal(read_count(2), goes_on ? 70 : 100);
		bench_pass(10 * TICK);
		assert_int_equal(read_count(2), mode == 3 ? 80 : goes_on ? 60 : 90);
	}
}

/* Hundreds of periods, none of which drifts. */
static void counter_0_interrupts_when_its_output_rises(void **context)
{
	for (unsigned mode = 2; mode < 8; mode += mode == 3 ? 3 : 1)
		for (unsigned count = 25; count < 0x20000; count = count * 3 + 1) {
			unsigned rises;

			start(context);
			program(0, mode, count > 0xffff ? 0 : count);
			if (count > 0xffff)
				count = 0x10000;
			rises = device_bench.rises[OUTPUT];
			for (unsigned i = 0; i < 300; i++) {
				bench_pass((uint64_t)count * TICK - 1);
				assert_int_equal(device_bench.rises[OUTPUT], rises + i);
				bench_pass(1);
				assert_int_equal(device_bench.rises[OUTPUT], rises + i + 1);
			}
		}
}

static void a_count_that_ends_interrupts_once(void **context)
{
	static const struct {
		unsigned mode, after;
	} rows[] = {{0, 100}, {4, 101}};

	for (unsigned i = 0; i < 2; i++) {
		start(context);
		program(0, rows[i].mode, 100);
		assert_int_equal(device_bench.level[OUTPUT], rows[i].mode == 4);
		device_bench.rises[OUTPUT] = 0;
		bench_pass((uint64_t)rows[i].after * TICK - 1);
		assert_int_equal(device_bench.rises[OUTPUT], 0);
		bench_pass(1);
		assert_int_equal(device_bench.rises[OUTPUT], 1);
		bench_pass(200000ull * TICK);
		assert_int_equal(device_bench.rises[OUTPUT], 1);
		/* A new count begins anew. */
		out(0, 50);
		out(0, 0);
		bench_pass(60 * TICK);
		assert_int_equal(device_bench.rises[OUTPUT], 2);
	}
}

static void a_mode_without_a_count_and_a_gate_that_never_rises_are_silent(void **context)
{
	for (unsigned mode = 0; mode < 8; mode++) {
		start(context);
		program(0, 2, 100);
		out(CONTROL, 0x30 | mode << 1);
		assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
		assert_int_equal(read_status(0) & 0x40, 0x40);
		if (mode != 1 && mode != 5)
			continue;
		program(0, mode, 10);
		assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
	}
}

/* One second of a counter of 1: the host is asked no more often than 50,000 times. */
static void a_count_of_one_does_not_flood_the_host(void **context)
{
	for (unsigned mode = 2; mode < 4; mode++)
		for (unsigned count = 1; count < 20; count += 6) {
			unsigned expiries;

			start(context);
			program(0, mode, count);
			expiries = bench_pass((uint64_t)HERTZ * TICK);
			assert_in_range(expiries, 49000, 50001);
			assert_in_range(device_bench.rises[OUTPUT], 49000, 50002);
		}
}

static void what_was_missed_is_one_interrupt(void **context)
{
	(void)context;
	program(0, 2, 1000);
	device_bench.rises[OUTPUT] = 0;
	bench_time += 500500ull * TICK;
	lock_acquire(&device_bench.lock);
	clock_expire(&bench_clock, bench_time);
	lock_release(&device_bench.lock);
	assert_int_equal(device_bench.rises[OUTPUT], 1);
	assert_int_equal(clock_next(&bench_clock), bench_time + 500 * TICK);
}

static void counts_are_accessed_by_byte_as_the_control_word_says(void **context)
{
	(void)context;
	out(CONTROL, 0x94);
	out(2, 77);
	assert_int_equal(in(2), 77);
	out(CONTROL, 0xa4);
	out(2, 3);
	assert_int_equal(in(2), 3);
	assert_int_equal(read_status(2), 0xa4);
	program(2, 2, 0x1234);
	assert_int_equal(in(2), 0x34);
	assert_int_equal(in(2), 0x12);
	assert_int_equal(read_status(2), 0xb4);
	assert_int_equal(in(CONTROL), 0xff);
	/* A wide access is one for each port. */
	bench_out(pit_ports(&pit), 2, 2, 0x9400 | 0x55);
	out(2, 9);
	assert_int_equal(bench_in(pit_ports(&pit), 2, 2), 0xff09);
}

static void latches_hold_until_they_are_read(void **context)
{
	(void)context;
	gate(true);
	program(2, 2, 0x8000);
	program(1, 0, 0x4000);
	out(CONTROL, 0x80);
	bench_pass(0x234 * TICK);
	out(CONTROL, 0x80);
	assert_int_equal(in(2), 0x00);
	assert_int_equal(in(2), 0x80);
	assert_int_equal(in(2), 0xcc);
	assert_int_equal(in(2), 0x7d);
	/* Both counters, counts and status: the status comes first. */
	out(CONTROL, 0xcc);
	bench_pass(0x100 * TICK);
	assert_int_equal(in(2), 0xb4);
	assert_int_equal(in(2), 0xcc);
	assert_int_equal(in(2), 0x7d);
	assert_int_equal(in(1), 0x30);
	assert_int_equal(in(1), 0xcc);
	assert_int_equal(in(1), 0x3d);
	bench_pass(0x4000 * TICK);
	assert_int_equal(read_status(1), 0x30 | STATUS_OUTPUT);
}

static void decimal_counts(void **context)
{
	(void)context;
	gate(true);
	out(CONTROL, 0xb1);
	out(2, 0x34);
	out(2, 0x12);
	for (unsigned i = 0; i < 1234; i++) {
		unsigned left = 1234 - i;

		assert_int_equal(read_count(2),
				 left / 1000 << 12 | left / 100 % 10 << 8 | left / 10 % 10 << 4 | left % 10);
		assert_false(output2());
		bench_pass(TICK);
	}
	assert_true(output2());
	bench_pass(TICK);
	assert_int_equal(read_count(2), 0x9999);
	/* Zero is ten thousand. */
	out(2, 0);
	out(2, 0);
	bench_pass(9999 * TICK);
	assert_false(output2());
	bench_pass(TICK);
	assert_true(output2());
}

static void the_speakers_port_has_its_two_bits_and_a_toggle(void **context)
{
	unsigned toggles = 0, last, now;

	(void)context;
	bench_out(pit_speaker_port(&pit), 0, 1, 0xff);
	last = bench_in(pit_speaker_port(&pit), 0, 1);
	assert_int_equal(last & 0xcf, 0x03);
	for (unsigned i = 0; i < 1000; i++) {
		bench_pass((uint64_t)HERTZ * TICK / 1000000);
		now = bench_in(pit_speaker_port(&pit), 0, 1);
		toggles += (now ^ last) >> 4 & 1;
		last = now;
	}
	assert_in_range(toggles, 65, 68);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outputs_are_those_of_a_counter_that_counts),
		cmocka_unit_test(a_gate_that_falls_stops_and_one_that_rises_goes_on_or_begins_anew),
		cmocka_unit_test(counter_0_interrupts_when_its_output_rises),
		cmocka_unit_test(a_count_that_ends_interrupts_once),
		cmocka_unit_test(a_mode_without_a_count_and_a_gate_that_never_rises_are_silent),
		cmocka_unit_test(a_count_of_one_does_not_flood_the_host),
		cmocka_unit_test_setup(what_was_missed_is_one_interrupt, start),
		cmocka_unit_test_setup(counts_are_accessed_by_byte_as_the_control_word_says, start),
		cmocka_unit_test_setup(latches_hold_until_they_are_read, start),
		cmocka_unit_test_setup(decimal_counts, start),
		cmocka_unit_test_setup(the_speakers_port_has_its_two_bits_and_a_toggle, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
