/* SPDX-License-Identifier: MIT */
/* The HPET: its counter, comparators once and again, by 64 bits and by 32, levels and edges, and the wires it takes
 * over. */
#include "guest/devices/hpet.h"
#include "tests/unit/device_clock.h"
#include "tests/unit/device_fixture.h"

enum { CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xF0, T0 = 0x100, T1 = 0x120, T2 = 0x140, COMPARATOR = 8, TICK = 30 };
enum { LEVEL = 2, ENABLE = 4, PERIODIC = 8, SET = 0x40, BITS_32 = 0x100, ROUTE = 1 << 9, CAPABLE = 0x30 };
enum { IRQ0 = 0, IRQ8 = 1, PINS = 24 };

static struct hpet hpet;
static unsigned pulses[PINS];
static bool levels[PINS];

static void pin(void *context, unsigned number, bool level)
{
	assert_ptr_equal(context, pulses);
	assert_in_range(number, 0, PINS - 1);
	pulses[number] += level && !levels[number];
	levels[number] = level;
}

static uint64_t access_hpet(uint64_t offset, unsigned size, bool write, uint64_t data)
{
	struct tl_mmio access = {.gpa = HPET_AT + offset,
				 .offset = offset,
				 .size = size,
				 .write = write,
				 .data = data,
				 .context = &hpet};

	assert_int_equal(hpet_access(&access), TL_OK);
	assert_int_equal(atomic_load(&device_bench.lock.held), 0);
	return size == 8 ? access.data : access.data & ((1ull << 8 * size) - 1);
}

static uint64_t get(uint64_t offset)
{
	return access_hpet(offset, 8, false, 0);
}

static void put(uint64_t offset, uint64_t value)
{
	access_hpet(offset, 8, true, value);
}

static void legacy(unsigned number, bool level)
{
	lock_acquire(&device_bench.lock);
	hpet_legacy_pin(&hpet, number, level);
	lock_release(&device_bench.lock);
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	bench_clock_start((uint64_t)HPET_HZ * TICK);
	memset(pulses, 0, sizeof(pulses));
	memset(levels, 0, sizeof(levels));
	hpet_init(&hpet, &device_bench.lock, &bench_clock, (struct line){pin, pulses, 0}, bench_line(IRQ0),
		  bench_line(IRQ8));
	return 0;
}

static void registers_hold_their_writable_bits(void **context)
{
	static const struct {
		uint64_t offset, reset, ones, zeros;
	} rows[] = {
		{0x00, 0x009896808086a201, 0x009896808086a201, 0x009896808086a201},
		{CONFIG, 0, 3, 0},
		{STATUS, 0, 0, 0},
		{COUNTER, 0, UINT64_MAX, 0},
		{T0, 0x00ff010400000430, 0x00ff01040000057e, 0x00ff010400000430},
		{T1 + COMPARATOR, UINT64_MAX, UINT64_MAX, 0},
		{T2 + 0x10, 0, 0, 0},
		{0x160, 0, 0, 0},
		{0x168, 0, 0, 0},
		{0x3f8, 0, 0, 0},
		{0x08, 0, 0, 0},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		start(context);
		assert_int_equal(get(rows[i].offset), rows[i].reset);
		put(rows[i].offset, UINT64_MAX);
		assert_int_equal(get(rows[i].offset), rows[i].ones);
		put(rows[i].offset, 0);
		assert_int_equal(get(rows[i].offset), rows[i].zeros);
		/* By halves. */
		start(context);
		access_hpet(rows[i].offset, 4, true, UINT32_MAX);
		access_hpet(rows[i].offset + 4, 4, true, UINT32_MAX);
		assert_int_equal(access_hpet(rows[i].offset, 4, false, 0), (uint32_t)rows[i].ones);
		assert_int_equal(access_hpet(rows[i].offset + 4, 4, false, 0), rows[i].ones >> 32);
		/* By other parts it is read alone. */
		start(context);
		access_hpet(rows[i].offset, 2, true, 0);
		access_hpet(rows[i].offset + 1, 4, true, 0);
		access_hpet(rows[i].offset, 1, true, UINT64_MAX);
		assert_int_equal(access_hpet(rows[i].offset + 1, 2, false, 0), rows[i].reset >> 8 & 0xffff);
	}
}

static void only_routes_that_are_there_are_taken(void **context)
{
	for (unsigned route = 0; route < 32; route++) {
		bool there = route == 2 || route == 8 || (route >= 16 && route < 24);

		start(context);
		put(T2, route * ROUTE);
		assert_int_equal(get(T2) & 0x3e00, there ? route * ROUTE : 2 * ROUTE);
	}
}

static void the_counter_counts_while_it_is_enabled(void **context)
{
	(void)context;
	bench_pass(1000);
	assert_int_equal(get(COUNTER), 0);
	put(COUNTER, 0x1fffffff0);
	put(CONFIG, 1);
	bench_pass(0x20 * TICK - 1);
	assert_int_equal(get(COUNTER), 0x20000000f);
	bench_pass(1);
	assert_int_equal(get(COUNTER), 0x200000010);
	put(COUNTER, 0);
	assert_int_equal(get(COUNTER), 0x200000010);
	put(CONFIG, 0);
	bench_pass(1000);
	assert_int_equal(get(COUNTER), 0x200000010);
	put(CONFIG, 1);
	bench_pass(TICK);
	assert_int_equal(get(COUNTER), 0x200000011);
}

static void a_comparator_fires_once(void **context)
{
	(void)context;
	put(T2 + COMPARATOR, 1000);
	put(T2, ENABLE | 20 * ROUTE);
	assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
	put(CONFIG, 1);
	bench_pass(1000 * TICK - 1);
	assert_int_equal(pulses[20], 0);
	bench_pass(1);
	assert_int_equal(pulses[20], 1);
	assert_false(levels[20]);
	assert_int_equal(get(STATUS), 0);
	/* 64 bits come round when nobody lives. */
	assert_int_equal(clock_next(&bench_clock), UINT64_MAX);
	assert_int_equal(bench_pass(1ull << 50), 0);
	/* Disabled, it is silent; enabled in time, not. */
	put(T2 + COMPARATOR, get(COUNTER) + 100);
	put(T2, 20 * ROUTE);
	bench_pass(50 * TICK);
	put(T2, ENABLE | 20 * ROUTE);
	bench_pass(50 * TICK);
	assert_int_equal(pulses[20], 2);
	put(T2 + COMPARATOR, get(COUNTER) + 100);
	put(CONFIG, 0);
	assert_int_equal(bench_pass(1000 * TICK), 0);
}

static void thirty_two_bits_come_round(void **context)
{
	const uint64_t turn = (1ull << 32) * TICK;

	(void)context;
	put(COUNTER, 0x5fffffff0);
	put(T1, ENABLE | BITS_32 | 16 * ROUTE);
	put(T1 + COMPARATOR, 0x1234567800000010);
	assert_int_equal(get(T1 + COMPARATOR), 0x10);
	put(CONFIG, 1);
	bench_pass(0x20 * TICK - 1);
	assert_int_equal(pulses[16], 0);
	bench_pass(1);
	assert_int_equal(pulses[16], 1);
	assert_int_equal(bench_pass(turn - 1), 0);
	assert_int_equal(bench_pass(1), 1);
	assert_int_equal(pulses[16], 2);
	/* So does what was there before the mode. */
	put(T2 + COMPARATOR, 0x1122334455667788);
	put(T2, BITS_32);
	assert_int_equal(get(T2 + COMPARATOR), 0x55667788);
	/* One that is behind is a turn ahead. */
	put(T1 + COMPARATOR, (uint32_t)get(COUNTER) - 1);
	assert_int_equal(bench_pass(turn - TICK - 1), 0);
	assert_int_equal(bench_pass(1), 1);
}

/* As Linux sets it: the first beat, then the period. */
static void repeat(unsigned timer, unsigned bits, uint64_t first, uint64_t period)
{
	put(timer, ENABLE | PERIODIC | SET | bits);
	put(timer + COMPARATOR, first);
	put(timer + COMPARATOR, period);
}

static void a_comparator_repeats(void **context)
{
	for (unsigned bits = 0; bits <= BITS_32; bits += BITS_32) {
		start(context);
		put(CONFIG, 1);
		bench_pass(77 * TICK);
		repeat(T0, bits | 16 * ROUTE, 5077, 10000);
		assert_int_equal(get(T0) & SET, 0);
		assert_int_equal(get(T0 + COMPARATOR), 5077);
		bench_pass(5000 * TICK - 1);
		assert_int_equal(pulses[16], 0);
		bench_pass(1);
		for (unsigned i = 1; i < 100; i++) {
			assert_int_equal(pulses[16], i);
			assert_int_equal(get(T0 + COMPARATOR), 5077 + i * 10000);
			bench_pass(10000 * TICK - 1);
			assert_int_equal(pulses[16], i);
			bench_pass(1);
		}
		/* What was missed is one. */
		bench_time += 1000005000ull * TICK;
		bench_pass(0);
		assert_int_equal(pulses[16], 101);
		assert_int_equal(clock_next(&bench_clock), bench_time + 5000 * TICK);
		/* By silence its beats are not lost. */
		put(T0, PERIODIC | bits | 16 * ROUTE);
		assert_int_equal(bench_pass(105000ull * TICK), 0);
		put(T0, ENABLE | PERIODIC | bits | 16 * ROUTE);
		assert_int_equal(clock_next(&bench_clock), bench_time + 10000 * TICK);
	}
}

static void a_period_too_short_does_not_flood_the_host(void **context)
{
	for (unsigned period = 0; period < 3; period++) {
		unsigned expiries;

		start(context);
		put(CONFIG, 1);
		repeat(T0, 16 * ROUTE, 1, period);
		expiries = bench_pass((uint64_t)HPET_HZ * TICK);
		if (period)
			assert_in_range(expiries, 49000, 50001);
		else
			assert_int_equal(expiries, 1);
	}
}

static void a_level_stays_until_its_status_is_cleared(void **context)
{
	(void)context;
	put(CONFIG, 1);
	put(T0 + COMPARATOR, 100);
	put(T0, ENABLE | LEVEL | 22 * ROUTE);
	bench_pass(100 * TICK);
	assert_true(levels[22]);
	assert_int_equal(get(STATUS), 1);
	put(STATUS, 6);
	assert_true(levels[22]);
	/* Elsewhere, and back; silent, and not. */
	put(T0, ENABLE | LEVEL | 23 * ROUTE);
	assert_false(levels[22]);
	assert_true(levels[23]);
	put(T0, ENABLE | 23 * ROUTE);
	assert_false(levels[23]);
	put(T0, LEVEL | 23 * ROUTE);
	assert_false(levels[23]);
	assert_int_equal(get(STATUS), 1);
	put(T0, ENABLE | LEVEL | 23 * ROUTE);
	assert_true(levels[23]);
	put(STATUS, 1);
	assert_false(levels[23]);
	assert_int_equal(get(STATUS), 0);
	/* Without its enable bit the status tells. */
	put(T0 + COMPARATOR, get(COUNTER) + 10);
	put(T0, LEVEL | 23 * ROUTE);
	bench_pass(10 * TICK);
	assert_int_equal(get(STATUS), 1);
	assert_false(levels[23]);
}

static void legacy_replacement_takes_the_wires_over(void **context)
{
	(void)context;
	legacy(0, true);
	legacy(1, true);
	assert_true(device_bench.level[IRQ0] && device_bench.level[IRQ8]);
	put(CONFIG, 3);
	assert_false(device_bench.level[IRQ0] || device_bench.level[IRQ8]);
	legacy(1, false);
	legacy(1, true);
	assert_false(device_bench.level[IRQ8]);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		put(T0 + 0x20 * i + COMPARATOR, get(COUNTER) + 10);
		put(T0 + 0x20 * i, ENABLE | 21 * ROUTE);
		memset(device_bench.rises, 0, sizeof(device_bench.rises));
		bench_pass(10 * TICK);
		assert_int_equal(device_bench.rises[IRQ0], i == 0);
		assert_int_equal(device_bench.rises[IRQ8], i == 1);
		assert_int_equal(pulses[21], i == 2);
	}
	/* A level moves with the mode. */
	put(T0 + COMPARATOR, get(COUNTER) + 10);
	put(T0, ENABLE | LEVEL | 21 * ROUTE);
	bench_pass(10 * TICK);
	assert_true(device_bench.level[IRQ0]);
	legacy(0, false);
	put(CONFIG, 1);
	assert_false(device_bench.level[IRQ0]);
	assert_true(levels[21]);
	assert_true(device_bench.level[IRQ8]);
	put(CONFIG, 3);
	assert_false(levels[21]);
	assert_true(device_bench.level[IRQ0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_hold_their_writable_bits),
		cmocka_unit_test(only_routes_that_are_there_are_taken),
		cmocka_unit_test_setup(the_counter_counts_while_it_is_enabled, start),
		cmocka_unit_test_setup(a_comparator_fires_once, start),
		cmocka_unit_test_setup(thirty_two_bits_come_round, start),
		cmocka_unit_test(a_comparator_repeats),
		cmocka_unit_test(a_period_too_short_does_not_flood_the_host),
		cmocka_unit_test_setup(a_level_stays_until_its_status_is_cleared, start),
		cmocka_unit_test_setup(legacy_replacement_takes_the_wires_over, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
