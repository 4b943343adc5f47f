/* SPDX-License-Identifier: MIT */
/* A machine's ports: which range has which, and what becomes of accesses that none has whole. */
#include "guest/devices/port.h"

#include "tests/unit/device_fixture.h"

static struct ports ports;
static struct {
	char device;
	uint16_t offset;
	unsigned size;
	uint32_t data;
} seen[8];
static unsigned nr_seen;

static uint32_t read(void *context, uint16_t offset, unsigned size)
{
	seen[nr_seen].device = *(const char *)context;
	seen[nr_seen].offset = offset;
	seen[nr_seen++].size = size;
	return 0x12345600u + offset;
}

static void write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	read(context, offset, size);
	seen[nr_seen - 1].data = data;
}

static struct port_range range(uint16_t first, uint16_t count, const char *device)
{
	static char devices[128];

	devices[(unsigned char)*device] = *device;
	return (struct port_range){first, count, read, write, &devices[(unsigned char)*device]};
}

static int start(void **context)
{
	(void)context;
	memset(&ports, 0, sizeof(ports));
	nr_seen = 0;
	assert_true(ports_add(&ports, range(0x60, 1, "k")));
	assert_true(ports_add(&ports, range(0xfffc, 4, "z")));
	assert_true(ports_add(&ports, range(0x20, 2, "p")));
	assert_true(ports_add(&ports, range(0x61, 1, "s")));
	return 0;
}

static void expect(unsigned at, char device, uint16_t offset, unsigned size, uint32_t data)
{
	assert_true(at < nr_seen);
	assert_int_equal(seen[at].device, device);
	assert_int_equal(seen[at].offset, offset);
	assert_int_equal(seen[at].size, size);
	assert_int_equal(seen[at].data, data);
}

static void refuses_what_does_not_fit(void **context)
{
	struct ports others = {.count = 0};

	(void)context;
	assert_false(ports_add(&others, range(0xfff0, 17, "x")));
	assert_true(ports_add(&others, range(0xfff0, 16, "x")));
	assert_false(ports_add(&ports, range(0x60, 1, "x")));
	assert_false(ports_add(&ports, range(0x5e, 3, "x")));
	assert_false(ports_add(&ports, range(0x21, 1, "x")));
	assert_false(ports_add(&ports, range(0, 0xffff, "x")));
	assert_false(ports_add(&ports, range(0xffff, 1, "x")));
	assert_false(ports_add(&ports, range(0x70, 0, "x")));
	assert_int_equal(ports.count, 4);
	for (uint16_t i = 0; ports.count < PORTS_MOST; i++)
		assert_true(ports_add(&ports, range(0x8000 - i, 1, "x")));
	assert_false(ports_add(&ports, range(0x90, 1, "x")));
}

static void finds_the_device(void **context)
{
	(void)context;
	assert_int_equal(ports_read(&ports, 0x21, 1), 0x12345601);
	ports_write(&ports, 0x20, 2, 0xbeef);
	ports_write(&ports, 0xfffc, 4, 0xdeadbeef);
	assert_int_equal(nr_seen, 3);
	seen[0].data = 0;
	expect(0, 'p', 1, 1, 0);
	expect(1, 'p', 0, 2, 0xbeef);
	expect(2, 'z', 0, 4, 0xdeadbeef);
}

static void divides_what_nobody_has_whole(void **context)
{
	(void)context;
	memset(seen, 0, sizeof(seen));
	/* A hole, the keyboard, the speaker, a hole. */
	assert_int_equal(ports_read(&ports, 0x5f, 4), 0xff0000ff);
	expect(0, 'k', 0, 1, 0);
	expect(1, 's', 0, 1, 0);
	assert_int_equal(nr_seen, 2);
	ports_write(&ports, 0x1f, 4, 0x44332211);
	expect(2, 'p', 0, 1, 0x22);
	expect(3, 'p', 1, 1, 0x33);
	assert_int_equal(nr_seen, 4);
	/* Behind the last port comes the first. */
	assert_int_equal(ports_read(&ports, 0xffff, 2), 0xff03);
	assert_int_equal(ports_read(&ports, 0x1000, 1) & 0xff, 0xff);
	assert_int_equal(ports_read(&ports, 0x1000, 4), 0xffffffff);
	ports_write(&ports, 0x1000, 4, 0);
	assert_int_equal(nr_seen, 5);
}

static void needs_no_callbacks(void **context)
{
	(void)context;
	assert_true(ports_add(&ports, (struct port_range){.first = 0x80, .count = 16}));
	assert_int_equal(ports_read(&ports, 0x84, 4), 0xffffffff);
	ports_write(&ports, 0x80, 1, 7);
	assert_int_equal(nr_seen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(refuses_what_does_not_fit, start),
		cmocka_unit_test_setup(finds_the_device, start),
		cmocka_unit_test_setup(divides_what_nobody_has_whole, start),
		cmocka_unit_test_setup(needs_no_callbacks, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
