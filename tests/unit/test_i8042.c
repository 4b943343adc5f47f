/* SPDX-License-Identifier: MIT */
/* The keyboard controller and its keyboard, as a guest's driver talks to them. */
#include "guest/devices/i8042.h"

#include "tests/unit/device_fixture.h"

enum { PIN = 1, A20 = 2 };

static struct i8042 i8042;
static struct port_range data, command;

static int start(void **context)
{
	(void)context;
	device_bench_start();
	i8042_init(&i8042, &device_bench.lock, bench_line(PIN), bench_line(A20), bench_ending());
	data = i8042_data_port(&i8042);
	command = i8042_command_port(&i8042);
	return 0;
}

static uint8_t status(void)
{
	return (uint8_t)bench_in(command, 0, 1);
}

/* The next byte, which has to be there. */
static uint8_t answer(void)
{
	assert_int_equal(status() & 1, 1);
	return (uint8_t)bench_in(data, 0, 1);
}

static void nothing_more(void)
{
	assert_int_equal(status() & 1, 0);
	assert_false(device_bench.level[PIN]);
}

static void order(uint8_t code)
{
	bench_out(command, 0, 1, code);
}

static void write(uint8_t byte)
{
	bench_out(data, 0, 1, byte);
}

static void order_with(uint8_t code, uint8_t parameter)
{
	order(code);
	assert_int_equal(status() & 8, 8);
	write(parameter);
	assert_int_equal(status() & 8, 0);
}

static void press(uint8_t code)
{
	const uint8_t both[] = {code, 0xf0, code};

	assert_true(i8042_key(&i8042, both, 1));
	assert_true(i8042_key(&i8042, both + 1, 2));
}

static void is_found_ready(void **context)
{
	(void)context;
	assert_int_equal(data.first, 0x60);
	assert_int_equal(command.first, 0x64);
	assert_int_equal(status(), 0x1c);
	order(0x20);
	assert_int_equal(answer(), 0x65);
	nothing_more();
}

static void tests_itself(void **context)
{
	(void)context;
	order_with(0x60, 0x61);
	assert_int_equal(status() & 4, 0);
	order(0xaa);
	assert_int_equal(answer(), 0x55);
	assert_int_equal(status() & 4, 4);
	order(0xab);
	assert_int_equal(answer(), 0x00);
	order(0xa4);
	assert_int_equal(answer(), 0xf1);
	order(0xc0);
	assert_int_equal(answer(), 0x80);
	nothing_more();
}

static void has_no_auxiliary_port(void **context)
{
	(void)context;
	/* What is looped back is not from there. */
	order_with(0xd3, 0x5a);
	assert_int_equal(status() & 0x21, 0x01);
	assert_int_equal(answer(), 0x5a);
	order(0xa9);
	assert_int_equal(answer(), 0x01);
	order(0xa7);
	order(0xa8);
	order_with(0xd4, 0xf2);
	nothing_more();
}

static void keeps_its_memory(void **context)
{
	(void)context;
	for (uint8_t i = 1; i < 32; i++)
		order_with(0x60 + i, (uint8_t)(7 * i));
	for (uint8_t i = 1; i < 32; i++) {
		order(0x20 + i);
		assert_int_equal(answer(), (uint8_t)(7 * i));
	}
	order_with(0xd2, 0x99);
	assert_int_equal(answer(), 0x99);
}

static void resets_the_machine(void **context)
{
	(void)context;
	order(0xff);
	order(0xf1);
	assert_int_equal(device_bench.endings, 0);
	order(0xfe);
	assert_int_equal(device_bench.endings, 1);
	assert_int_equal(device_bench.kind, ENDING_RESET);
	order(0xf0);
	assert_int_equal(device_bench.endings, 2);
	order_with(0xd1, 0xce);
	assert_int_equal(device_bench.endings, 3);
}

static void has_a_gate_of_a20(void **context)
{
	(void)context;
	order(0xd0);
	assert_int_equal(answer(), 0xcf);
	order_with(0xd1, 0xcd);
	assert_false(device_bench.level[A20]);
	order(0xd0);
	assert_int_equal(answer(), 0xcd);
	order(0xdf);
	assert_true(device_bench.level[A20]);
	order(0xdd);
	assert_false(device_bench.level[A20]);
	order_with(0xd1, 0xcf);
	assert_true(device_bench.level[A20]);
	/* The port shows a byte that waits. */
	press(0x1c);
	order(0xd0);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0xdf);
	assert_int_equal(device_bench.endings, 0);
}

static void types_translated(void **context)
{
	static const uint8_t code[] = {0x1c, 0x5a, 0x76, 0x83, 0x7e, 0x12, 0x84};
	static const uint8_t set_1[] = {0x1e, 0x1c, 0x01, 0x41, 0x46, 0x2a, 0x54};

	(void)context;
	for (unsigned i = 0; i < sizeof(code); i++) {
		press(code[i]);
		assert_true(device_bench.level[PIN]);
		assert_int_equal(answer(), set_1[i]);
		/* One edge for each byte. */
		assert_int_equal(device_bench.rises[PIN], 2 * i + 2);
		assert_int_equal(answer(), set_1[i] | 0x80);
		nothing_more();
	}
	assert_true(i8042_key(&i8042, (const uint8_t[]){0xe0, 0xf0, 0x75}, 3));
	assert_int_equal(answer(), 0xe0);
	assert_int_equal(answer(), 0xc8);
	nothing_more();
}

/* No two of them are one in set 1. */
static void translates_each_key_to_its_own(void **context)
{
	bool seen[256] = {false};

	(void)context;
	for (unsigned code = 1; code < 0x80; code++) {
		uint8_t byte = (uint8_t)code;
		bool released = false;

		assert_true(keyboard_translate(&byte, &released));
		assert_true(byte && byte < 0x80 && !seen[byte]);
		seen[byte] = true;
	}
}

static void types_raw(void **context)
{
	(void)context;
	order_with(0x60, 0x05);
	press(0x1c);
	assert_int_equal(answer(), 0x1c);
	assert_int_equal(answer(), 0xf0);
	assert_int_equal(answer(), 0x1c);
	/* The keyboard's own set 1. */
	write(0xf0);
	assert_int_equal(answer(), 0xfa);
	write(0x01);
	assert_int_equal(answer(), 0xfa);
	press(0x1c);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0x9e);
	nothing_more();
}

static void can_be_turned_off(void **context)
{
	(void)context;
	order(0xad);
	press(0x1c);
	nothing_more();
	order(0xaa);
	assert_false(device_bench.level[PIN]);
	assert_int_equal(answer(), 0x55);
	nothing_more();
	order(0xae);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0x9e);
	/* Its interrupt alone. */
	order_with(0x60, 0x44);
	press(0x1c);
	assert_false(device_bench.level[PIN]);
	assert_int_equal(answer(), 0x1e);
	assert_int_equal(answer(), 0x9e);
	/* To be spoken to turns it on. */
	order_with(0x60, 0x75);
	write(0xee);
	assert_int_equal(answer(), 0xee);
	order(0x20);
	assert_int_equal(answer(), 0x65);
}

static void answers_its_commands(void **context)
{
	(void)context;
	order_with(0x60, 0x25);
	write(0xff);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xaa);
	write(0xfe);
	assert_int_equal(answer(), 0xaa);
	write(0xf2);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x83);
	write(0xed);
	assert_int_equal(answer(), 0xfa);
	write(0x07);
	assert_int_equal(answer(), 0xfa);
	write(0xf0);
	assert_int_equal(answer(), 0xfa);
	write(0x00);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0x02);
	write(0xf0);
	assert_int_equal(answer(), 0xfa);
	write(0x03);
	assert_int_equal(answer(), 0xfe);
	/* A command in the place of a parameter is a command. */
	write(0xf3);
	assert_int_equal(answer(), 0xfa);
	write(0xee);
	assert_int_equal(answer(), 0xee);
	write(0x12);
	assert_int_equal(answer(), 0xfe);
	write(0xf5);
	assert_int_equal(answer(), 0xfa);
	press(0x1c);
	nothing_more();
	write(0xf4);
	assert_int_equal(answer(), 0xfa);
	press(0x1c);
	assert_int_equal(answer(), 0x1c);
}

static void identifies_itself_translated(void **context)
{
	(void)context;
	write(0xf2);
	assert_int_equal(answer(), 0xfa);
	assert_int_equal(answer(), 0xab);
	assert_int_equal(answer(), 0x41);
}

static void takes_a_key_whole_or_not_at_all(void **context)
{
	static const uint8_t code[] = {0xe0, 0xf0, 0x75};
	unsigned most = 0;

	(void)context;
	while (i8042_key(&i8042, code, 3))
		most++;
	/* The first byte is out already. */
	assert_int_equal(most, (BYTE_QUEUE_SIZE + 1) / 3);
	for (unsigned i = 0; i < most; i++) {
		assert_int_equal(answer(), 0xe0);
		assert_int_equal(answer(), 0xc8);
	}
	nothing_more();
	/* A guest that asks and does not read. */
	for (unsigned i = 0; i < 2000; i++)
		order(0xaa);
	for (unsigned i = 0; i <= BYTE_QUEUE_SIZE; i++)
		assert_int_equal(answer(), 0x55);
	nothing_more();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(is_found_ready, start),
		cmocka_unit_test_setup(tests_itself, start),
		cmocka_unit_test_setup(has_no_auxiliary_port, start),
		cmocka_unit_test_setup(keeps_its_memory, start),
		cmocka_unit_test_setup(resets_the_machine, start),
		cmocka_unit_test_setup(has_a_gate_of_a20, start),
		cmocka_unit_test_setup(types_translated, start),
		cmocka_unit_test_setup(translates_each_key_to_its_own, start),
		cmocka_unit_test_setup(types_raw, start),
		cmocka_unit_test_setup(can_be_turned_off, start),
		cmocka_unit_test_setup(answers_its_commands, start),
		cmocka_unit_test_setup(identifies_itself_translated, start),
		cmocka_unit_test_setup(takes_a_key_whole_or_not_at_all, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
