/* SPDX-License-Identifier: MIT */
/* The 16550A, register by register: the data sheet's tables II to IV. */
#include "guest/devices/serial.h"

#include "tests/unit/device_fixture.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = RBR, FCR = IIR };
enum { PIN = 4 };

static struct serial serial;
static struct port_range ports;

static int start(void **context)
{
	(void)context;
	device_bench_start();
	serial_init(&serial, &device_bench.lock, bench_line(PIN), bench_put, &device_bench);
	ports = serial_ports(&serial, 0x3f8);
	return 0;
}

static uint8_t in(unsigned reg)
{
	return (uint8_t)bench_in(ports, reg, 1);
}

static void out(unsigned reg, uint8_t value)
{
	bench_out(ports, reg, 1, value);
}

static bool raised(void)
{
	return device_bench.level[PIN];
}

static void is_where_a_pc_has_it(void **context)
{
	(void)context;
	assert_int_equal(ports.first, 0x3f8);
	assert_int_equal(ports.count, 8);
	assert_int_equal(in(IIR), 0x01);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(MSR), 0xb0);
	assert_int_equal(in(IER), 0);
	assert_false(raised());
}

static void keeps_what_it_has_bits_for(void **context)
{
	(void)context;
	for (unsigned value = 0; value < 256; value++) {
		out(SCR, (uint8_t)value);
		assert_int_equal(in(SCR), value);
		out(IER, (uint8_t)value);
		assert_int_equal(in(IER), value & 0xf);
		out(MCR, (uint8_t)value);
		assert_int_equal(in(MCR), value & 0x1f);
		out(LCR, (uint8_t)(value & 0x7f));
		assert_int_equal(in(LCR), value & 0x7f);
	}
	/* The divisor behind its latch, and what it hides. */
	out(IER, 5);
	out(LCR, 0x83);
	out(RBR, 0x34);
	out(IER, 0x12);
	assert_int_equal(in(RBR), 0x34);
	assert_int_equal(in(IER), 0x12);
	assert_int_equal(device_bench.nr_bytes, 0);
	out(LCR, 0x03);
	assert_int_equal(in(IER), 5);
	/* Wider accesses are several. */
	bench_out(ports, LCR, 4, 0x00000a83);
	assert_int_equal(bench_in(ports, RBR, 2), 0x1234);
	assert_int_equal(bench_in(ports, LCR, 2), 0x0a83);
}

static void sends(void **context)
{
	(void)context;
	for (const char *at = "Linux"; *at; at++) {
		assert_int_equal(in(LSR), 0x60);
		out(THR, (uint8_t)*at);
	}
	assert_int_equal(device_bench.nr_bytes, 5);
	assert_memory_equal(device_bench.bytes, "Linux", 5);
	assert_false(raised());
}

static void says_that_it_has_sent(void **context)
{
	(void)context;
	out(IER, 2);
	assert_true(raised());
	assert_int_equal(in(IIR), 0x02);
	/* Having said so it is content, until there is something else to say. */
	assert_false(raised());
	assert_int_equal(in(IIR), 0x01);
	out(THR, 'a');
	assert_true(raised());
	assert_int_equal(device_bench.rises[PIN], 2);
	/* Each byte has an edge of its own. */
	out(THR, 'b');
	assert_int_equal(device_bench.rises[PIN], 3);
	/* Turned off and on it is asked again. */
	out(IER, 0);
	assert_false(raised());
	in(IIR);
	out(IER, 2);
	assert_int_equal(in(IIR), 0x02);
	/* What is not asked anew is not said anew. */
	out(IER, 3);
	assert_false(raised());
}

static void receives_one_byte_without_a_fifo(void **context)
{
	(void)context;
	out(IER, 1);
	assert_true(serial_input(&serial, 'x'));
	assert_true(serial_input(&serial, 'y'));
	assert_true(raised());
	assert_int_equal(in(IIR), 0x04);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'x');
	/* The next one moves up, with an edge. */
	assert_int_equal(device_bench.rises[PIN], 2);
	assert_int_equal(in(RBR), 'y');
	assert_false(raised());
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0x01);
}

static void receives_in_order_whatever_comes(void **context)
{
	unsigned put = 0, got = 0;

	(void)context;
	out(FCR, 0xc7);
	out(IER, 1);
	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned i = 0; i < round % 37; i++)
			put += serial_input(&serial, (uint8_t)put);
		assert_int_equal(raised(), put != got);
		for (unsigned i = 0; i < round % 29 && in(LSR)&1; i++)
			assert_int_equal(in(RBR), (uint8_t)got++);
		assert_int_equal(in(LSR)&2, 0);
	}
}

static void refuses_what_does_not_fit(void **context)
{
	unsigned most = 0;

	(void)context;
	out(FCR, 0x07);
	while (serial_input(&serial, (uint8_t)most))
		most++;
	assert_int_equal(most, SERIAL_FIFO + BYTE_QUEUE_SIZE);
	for (unsigned i = 0; i < most; i++)
		assert_int_equal(in(RBR), (uint8_t)i);
	assert_int_equal(in(LSR), 0x60);
}

static void has_a_trigger_and_a_timeout(void **context)
{
	static const struct {
		uint8_t control, level;
	} each[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};

	(void)context;
	out(IER, 1);
	for (unsigned i = 0; i < 4; i++) {
		out(FCR, each[i].control | 2);
		for (unsigned k = 1; k <= 16; k++) {
			assert_true(serial_input(&serial, (uint8_t)k));
			assert_int_equal(in(IIR), k < each[i].level ? 0xcc : 0xc4);
		}
	}
	/* The FIFO goes with a clear, and when it is turned off; the other bits do not count without the first. */
	out(FCR, 0x03);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0xc1);
	assert_true(serial_input(&serial, 1));
	out(FCR, 0xc2);
	assert_int_equal(in(LSR), 0x60);
	assert_int_equal(in(IIR), 0x01);
	assert_true(serial_input(&serial, 2));
	out(FCR, 0x02);
	assert_int_equal(in(LSR), 0x61);
}

static void orders_its_causes(void **context)
{
	(void)context;
	out(MCR, 0x10);
	in(MSR);
	out(IER, 0xf);
	out(THR, 'a');
	out(THR, 'b');
	out(MCR, 0x11);
	assert_int_equal(in(IIR), 0x06);
	assert_int_equal(in(LSR), 0x63);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(IIR), 0x04);
	/* The one register has the byte that overran the other. */
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(IIR), 0x02);
	assert_int_equal(in(IIR), 0x00);
	assert_true(raised());
	assert_int_equal(in(MSR), 0x22);
	assert_int_equal(in(IIR), 0x01);
	assert_false(raised());
	assert_int_equal(device_bench.nr_bytes, 0);
}

static void loops_its_modem_back(void **context)
{
	(void)context;
	assert_true(serial_input(&serial, 'q'));
	in(RBR);
	out(MCR, 0x10);
	/* DCD, DSR and CTS have gone. */
	assert_int_equal(in(MSR), 0x0b);
	for (unsigned control = 0; control < 16; control++) {
		out(MCR, (uint8_t)(0x10 | control));
		assert_int_equal(in(MSR) >> 4, (control & 0xc) | (control & 1) << 1 | (control & 2) >> 1);
	}
	/* Of the ring indicator the end is noted. */
	out(MCR, 0x10);
	in(MSR);
	out(MCR, 0x14);
	assert_int_equal(in(MSR), 0x40);
	out(MCR, 0x10);
	assert_int_equal(in(MSR), 0x04);
	assert_int_equal(in(MSR), 0x00);
	/* What comes over the wire waits until there is one again. */
	assert_true(serial_input(&serial, 'w'));
	assert_int_equal(in(LSR), 0x60);
	out(MCR, 0x00);
	assert_int_equal(in(LSR), 0x61);
	assert_int_equal(in(RBR), 'w');
}

static void a_fifo_that_overruns_keeps_what_it_has(void **context)
{
	(void)context;
	out(FCR, 0x01);
	out(MCR, 0x10);
	for (uint8_t i = 0; i < 17; i++)
		out(THR, i);
	assert_int_equal(in(LSR), 0x63);
	for (uint8_t i = 0; i < 16; i++)
		assert_int_equal(in(RBR), i);
	assert_int_equal(in(LSR), 0x60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_where_a_pc_has_it, start),
		cmocka_unit_test_setup(keeps_what_it_has_bits_for, start),
		cmocka_unit_test_setup(sends, start),
		cmocka_unit_test_setup(says_that_it_has_sent, start),
		cmocka_unit_test_setup(receives_one_byte_without_a_fifo, start),
		cmocka_unit_test_setup(receives_in_order_whatever_comes, start),
		cmocka_unit_test_setup(refuses_what_does_not_fit, start),
		cmocka_unit_test_setup(has_a_trigger_and_a_timeout, start),
		cmocka_unit_test_setup(orders_its_causes, start),
		cmocka_unit_test_setup(loops_its_modem_back, start),
		cmocka_unit_test_setup(a_fifo_that_overruns_keeps_what_it_has, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
