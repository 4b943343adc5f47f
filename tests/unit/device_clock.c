/* SPDX-License-Identifier: MIT */
#include "tests/unit/device_clock.h"
#include "tests/unit/device_fixture.h"

struct clock bench_clock;
uint64_t bench_time;

static uint64_t now(void *context)
{
	assert_ptr_equal(context, &bench_time);
	return bench_time;
}

void bench_clock_start(uint64_t hz)
{
	bench_time = 123456789;
	bench_clock = (struct clock){.now = now, .context = &bench_time, .hz = hz};
}

unsigned bench_pass(uint64_t ticks)
{
	uint64_t end = bench_time + ticks;
	unsigned expiries = 0;

	while (clock_next(&bench_clock) <= end) {
		if (clock_next(&bench_clock) > bench_time)
			bench_time = clock_next(&bench_clock);
		lock_acquire(&device_bench.lock);
		clock_expire(&bench_clock, bench_time);
		lock_release(&device_bench.lock);
		expiries++;
	}
	bench_time = end;
	return expiries;
}
