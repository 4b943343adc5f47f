/* SPDX-License-Identifier: MIT */
/* QEMU's pc-testdev. */
#include "guest/devices/test_device.h"

#include "tests/unit/device_fixture.h"

static uint8_t registers[TEST_DEVICE_SIZE];
static struct test_device device;
static struct port_range ports, lines;
static uint64_t flushed[4];
static unsigned nr_flushed;

static void flush(void *context, uint64_t gpa)
{
	assert_ptr_equal(context, &flushed);
	flushed[nr_flushed++] = gpa;
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	memset(registers, 0, sizeof(registers));
	device = (struct test_device){.lock = &device_bench.lock,
				      .line = bench_line(2),
				      .registers = registers,
				      .flush = flush,
				      .context = &flushed};
	nr_flushed = 0;
	ports = test_device_ports(&device);
	lines = test_device_irq_ports(&device);
	return 0;
}

static void remembers_a_word(void **context)
{
	(void)context;
	assert_int_equal(ports.first, 0xe0);
	assert_int_equal(ports.count, 12);
	bench_out(ports, 0, 4, 0x12345678);
	assert_int_equal(bench_in(ports, 0, 4), 0x12345678);
	assert_int_equal(bench_in(ports, 1, 2), 0x3456);
	assert_int_equal(bench_in(ports, 3, 1), 0x12);
	bench_out(ports, 2, 1, 0xaa);
	bench_out(ports, 8, 2, 0xbbcc);
	assert_int_equal(bench_in(ports, 8, 4), 0x12aabbcc);
	/* What is not a word of the group is left alone. */
	bench_out(ports, 4, 1, 0x99);
	bench_out(ports, 6, 2, 0x9999);
	assert_int_equal(bench_in(ports, 0, 4), 0x12aabbcc);
	assert_int_equal(bench_in(ports, 4, 4), 0);
	assert_int_equal(nr_flushed, 0);
}

static void flushes_a_page(void **context)
{
	(void)context;
	bench_out(ports, 4, 4, 0x99999123);
	assert_int_equal(nr_flushed, 1);
	assert_int_equal(flushed[0], 0x99999123);
	assert_int_equal(bench_in(ports, 0, 4), 0);
}

static void pulls_lines(void **context)
{
	(void)context;
	assert_int_equal(lines.first, 0x2000);
	assert_int_equal(lines.count, 24);
	bench_out(lines, 3, 1, 1);
	assert_true(device_bench.level[5]);
	bench_out(lines, 0, 1, 0xff);
	assert_true(device_bench.level[2]);
	bench_out(lines, 3, 1, 0);
	assert_false(device_bench.level[5]);
	/* A byte is a line. */
	bench_out(lines, 3, 4, 0x00ff0001);
	assert_true(device_bench.level[5]);
	assert_false(device_bench.level[6]);
	assert_true(device_bench.level[7]);
	assert_false(device_bench.level[8]);
	bench_out(lines, 3, 2, 0x0100);
	assert_false(device_bench.level[5]);
	assert_true(device_bench.level[6]);
	assert_int_equal(bench_in(lines, 0, 1), 0);
}

static void has_registers_that_are_emulated(void **context)
{
	struct tl_range range = test_device_range(&device);
	struct tl_mmio access = {
		.offset = 0x123, .size = 7, .write = true, .data = 0x77665544332211, .context = &device};

	(void)context;
	assert_int_equal(range.kind, TL_RANGE_MMIO);
	assert_int_equal(range.start, 0xff000000);
	assert_int_equal(range.size, 0x10000);
	assert_ptr_equal(range.context, &device);
	assert_int_equal(range.access(&access), TL_OK);
	access = (struct tl_mmio){.offset = 0x122, .size = 4, .data = ~0ull, .context = &device};
	assert_int_equal(range.access(&access), TL_OK);
	assert_int_equal(access.data, 0x33221100);
	access = (struct tl_mmio){.offset = 0xfff8, .size = 8, .write = true, .data = ~0ull, .context = &device};
	assert_int_equal(range.access(&access), TL_OK);
	assert_int_equal(registers[0xffff], 0xff);
	assert_int_equal(registers[0x12a], 0x00);
	assert_int_equal(registers[0x129], 0x77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(remembers_a_word, start),
		cmocka_unit_test_setup(flushes_a_page, start),
		cmocka_unit_test_setup(pulls_lines, start),
		cmocka_unit_test_setup(has_registers_that_are_emulated, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
