/* SPDX-License-Identifier: MIT */
#include "tests/unit/device_fixture.h"

struct device_bench device_bench;

static bool is_locked(void)
{
	return atomic_load(&device_bench.lock.held);
}

void device_bench_start(void)
{
	assert_false(is_locked());
	memset(&device_bench, 0, sizeof(device_bench));
}

static void set_line(void *context, unsigned pin, bool level)
{
	assert_ptr_equal(context, &device_bench);
	assert_true(is_locked() && pin < BENCH_PINS);
	device_bench.rises[pin] += level && !device_bench.level[pin];
	device_bench.level[pin] = level;
}

struct line bench_line(unsigned pin)
{
	return (struct line){set_line, &device_bench, pin};
}

static void end(void *context, enum ending_kind kind, uint32_t code)
{
	assert_ptr_equal(context, &device_bench);
	assert_true(is_locked());
	device_bench.endings++;
	device_bench.kind = kind;
	device_bench.code = code;
}

struct ending bench_ending(void)
{
	return (struct ending){end, &device_bench};
}

void bench_put(void *context, uint8_t byte)
{
	assert_ptr_equal(context, &device_bench);
	assert_true(is_locked() && device_bench.nr_bytes < BENCH_BYTES);
	device_bench.bytes[device_bench.nr_bytes++] = byte;
}

uint32_t bench_in(struct port_range range, unsigned offset, unsigned size)
{
	uint32_t data;

	assert_true(offset + size <= range.count);
	data = range.read(range.context, (uint16_t)offset, size);
	assert_false(is_locked());
	return data;
}

void bench_out(struct port_range range, unsigned offset, unsigned size, uint32_t data)
{
	assert_true(offset + size <= range.count);
	range.write(range.context, (uint16_t)offset, size, data);
	assert_false(is_locked());
}
