/* SPDX-License-Identifier: MIT */
/* The pair of 8259A: priorities of every kind, initialisation, edges and levels, the cascade, polling. */
#include "guest/devices/pic.h"
#include "tests/unit/device_fixture.h"

enum { OUTPUT = 3, BASE = 0x30, SECOND_BASE = 0x70, EOI = 0x20, READ_IRR = 0x0a, READ_ISR = 0x0b, POLL = 0x0c };

static struct pic pic;

static void command(unsigned chip, unsigned word)
{
	bench_out(pic_ports(&pic, chip), 0, 1, word);
}

static void data(unsigned chip, unsigned word)
{
	bench_out(pic_ports(&pic, chip), 1, 1, word);
}

static uint32_t look(unsigned chip, unsigned what)
{
	command(chip, what);
	return bench_in(pic_ports(&pic, chip), 0, 1);
}

static void initialise(unsigned chip, unsigned fourth_word)
{
	command(chip, 0x11);
	data(chip, chip ? SECOND_BASE : BASE);
	data(chip, chip ? 2 : 4);
	data(chip, fourth_word);
}

static void pin(unsigned number, bool level)
{
	lock_acquire(&device_bench.lock);
	pic_pin(&pic, number, level);
	lock_release(&device_bench.lock);
}

static void pulse(unsigned number)
{
	pin(number, true);
	pin(number, false);
}

static bool asks(void)
{
	return device_bench.level[OUTPUT];
}

static int start(void **context)
{
	(void)context;
	device_bench_start();
	pic_init(&pic, &device_bench.lock, bench_line(OUTPUT));
	initialise(0, 1);
	initialise(1, 1);
	return 0;
}

static void edges_are_served_by_priority(void **context)
{
	(void)context;
	for (unsigned number = 0; number < PIC_PINS; number++)
		if (number != 2)
			pulse(number);
	for (unsigned i = 0; i < PIC_PINS - 1; i++) {
		static const unsigned order[] = {0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7};
		unsigned number = order[i];

		assert_true(asks());
		assert_int_equal(pic_acknowledge(&pic), number < 8 ? BASE + number : SECOND_BASE + number - 8);
		assert_false(asks());
		assert_int_equal(look(0, READ_ISR), number < 8 ? 1u << number : 4);
		assert_int_equal(look(1, READ_ISR), number < 8 ? 0 : 1u << (number - 8));
		if (number >= 8)
			command(1, EOI);
		command(0, EOI);
	}
	assert_false(asks());
	assert_int_equal(pic_acknowledge(&pic), BASE + 7);
	assert_int_equal(look(0, READ_ISR), 0);
}

/* Any requests over any in service, with any of the eight orders: who comes next is found by trying. */
static void every_order_of_every_state_is_decided_right(void **context)
{
	struct pic_chip *chip = pic.chip;

	(void)context;
	for (unsigned lowest = 0; lowest < 8; lowest++)
		for (unsigned request = 0; request < 256; request += request % 4 == 3 ? 5 : 1)
			for (unsigned service = 0; service < 256; service++) {
				unsigned expected = 7;

				if (request & 4)
					continue;
				for (unsigned i = 1; i <= 8 && !(service >> (lowest + i) % 8 & 1); i++)
					if (request >> (lowest + i) % 8 & 1) {
						expected = (lowest + i) % 8;
						break;
					}
				chip->lowest = (uint8_t)lowest;
				chip->irr = (uint8_t)request;
				chip->isr = (uint8_t)service;
				assert_int_equal(pic_acknowledge(&pic), BASE + expected);
			}
}

static void a_nested_interrupt_is_one_of_higher_priority(void **context)
{
	(void)context;
	pulse(5);
	assert_int_equal(pic_acknowledge(&pic), BASE + 5);
	pulse(6);
	pulse(5);
	assert_false(asks());
	pulse(1);
	assert_true(asks());
	assert_int_equal(pic_acknowledge(&pic), BASE + 1);
	command(0, EOI);
	assert_int_equal(look(0, READ_ISR), 1 << 5);
	/* A specific end, of what is there and of what is not. */
	command(0, 0x60 | 3);
	assert_false(asks());
	command(0, 0x60 | 5);
	assert_int_equal(pic_acknowledge(&pic), BASE + 5);
}

static void masks_hold_requests_back(void **context)
{
	(void)context;
	data(0, 0x10);
	assert_int_equal(bench_in(pic_ports(&pic, 0), 1, 1), 0x10);
	pulse(4);
	assert_false(asks());
	assert_int_equal(look(0, READ_IRR), 0x10);
	data(0, 0);
	assert_true(asks());
	/* The special mask mode lets lower ones through under a masked one. */
	assert_int_equal(pic_acknowledge(&pic), BASE + 4);
	pulse(6);
	data(0, 0x10);
	assert_false(asks());
	command(0, 0x68);
	assert_true(asks());
	command(0, 0x48);
	assert_false(asks());
	/* The cascade masked, the second chip is not heard. */
	command(0, EOI);
	data(0, 0xff);
	pulse(12);
	assert_false(asks());
	data(0, 0xfb);
	assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 4);
	/* What is read stays the same through words about something else. */
	assert_int_equal(look(0, READ_ISR), 4);
	assert_int_equal(look(0, 0x48), 4);
}

static void rotation(void **context)
{
	(void)context;
	for (unsigned number = 0; number < 8; number += number == 1 ? 2 : 1) {
		/* A rotating end makes the one that was served the lowest. */
		start(context);
		pulse(number);
		assert_int_equal(pic_acknowledge(&pic), BASE + number);
		command(0, number % 2 ? 0xa0 : 0xe0 | number);
		for (unsigned other = 0; other < 8; other++)
			if (other != 2)
				pulse(other);
		for (unsigned i = 1; i <= 8; i++)
			if ((number + i) % 8 != 2) {
				assert_int_equal(pic_acknowledge(&pic), BASE + (number + i) % 8);
				command(0, EOI);
			}
		/* So does a word of its own. */
		command(0, 0xc0 | 4);
		pulse(0);
		pulse(5);
		assert_int_equal(pic_acknowledge(&pic), BASE + 5);
	}
}

static void automatic_ends(void **context)
{
	(void)context;
	initialise(0, 3);
	initialise(1, 3);
	for (unsigned i = 0; i < 3; i++) {
		pulse(9);
		pulse(10);
		assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 1);
		assert_true(asks());
		assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 2);
		assert_false(asks());
		assert_int_equal(look(0, READ_ISR) | look(1, READ_ISR), 0);
	}
	command(0, 0x80);
	pulse(3);
	pulse(4);
	assert_int_equal(pic_acknowledge(&pic), BASE + 3);
	pulse(3);
	assert_int_equal(pic_acknowledge(&pic), BASE + 4);
	command(0, 0x00);
	pulse(4);
	assert_int_equal(pic_acknowledge(&pic), BASE + 3);
	pulse(3);
	assert_int_equal(pic_acknowledge(&pic), BASE + 3);
}

static void levels_are_there_while_their_wire_is_up(void **context)
{
	struct port_range elcr = pic_elcr_ports(&pic);

	(void)context;
	bench_out(elcr, 0, 2, 0xffff);
	assert_int_equal(bench_in(elcr, 0, 2), 0xdef8);
	bench_out(elcr, 0, 1, 0x20);
	bench_out(elcr, 1, 1, 0x08);
	assert_int_equal(bench_in(elcr, 0, 1), 0x20);
	for (unsigned i = 0; i < 2; i++) {
		unsigned number = i ? 11 : 5, vector = i ? SECOND_BASE + 3 : BASE + 5;

		pin(number, true);
		for (unsigned again = 0; again < 3; again++) {
			assert_int_equal(pic_acknowledge(&pic), vector);
			assert_false(asks());
			command(1, EOI);
			command(0, EOI);
			assert_true(asks());
		}
		pin(number, false);
		assert_false(asks());
		assert_int_equal(pic_acknowledge(&pic), BASE + 7);
	}
	/* A pin that becomes one for levels is what its wire is. */
	pin(6, true);
	assert_int_equal(pic_acknowledge(&pic), BASE + 6);
	command(0, EOI);
	assert_false(asks());
	bench_out(elcr, 0, 1, 0x40);
	assert_true(asks());
}

static void initialisation_forgets_edges_and_masks(void **context)
{
	(void)context;
	pulse(3);
	pulse(4);
	pin(5, true);
	assert_int_equal(pic_acknowledge(&pic), BASE + 3);
	data(0, 0x55);
	command(0, 0xc3);
	command(0, READ_ISR);
	command(0, 0x10);
	/* Reads give the IRR again. */
	assert_int_equal(bench_in(pic_ports(&pic, 0), 0, 1), 0);
	assert_int_equal(bench_in(pic_ports(&pic, 0), 1, 1), 0);
	assert_false(asks());
	/* Three words without a fourth; the low bits of the vectors are the pin's. */
	data(0, 0x4f);
	data(0, 0xff);
	data(0, 0x02);
	assert_int_equal(bench_in(pic_ports(&pic, 0), 1, 1), 0x02);
	/* A wire that was up has to go down first. */
	pin(5, true);
	assert_false(asks());
	pin(5, false);
	pin(5, true);
	pulse(7);
	assert_int_equal(pic_acknowledge(&pic), 0x4d);
	command(0, EOI);
	assert_int_equal(pic_acknowledge(&pic), 0x4f);
}

static void a_chip_can_be_polled(void **context)
{
	(void)context;
	assert_int_equal(look(0, POLL), 0);
	pulse(6);
	pulse(14);
	assert_int_equal(look(0, POLL), 0x82);
	assert_int_equal(look(1, POLL), 0x86);
	command(1, EOI);
	command(0, EOI);
	assert_int_equal(look(0, POLL), 0x86);
	/* Once: then it is a read of the IRR. */
	pulse(7);
	assert_int_equal(bench_in(pic_ports(&pic, 0), 0, 1), 0x80);
	assert_int_equal(look(0, READ_ISR), 0x40);
}

/* In the special fully nested mode the second chip interrupts itself. */
static void special_fully_nested_mode(void **context)
{
	(void)context;
	for (unsigned special = 0; special < 2; special++) {
		start(context);
		initialise(0, special ? 0x11 : 0x01);
		pulse(13);
		assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 5);
		pulse(9);
		assert_int_equal(asks(), special);
		pulse(14);
		assert_int_equal(asks(), special);
		if (special)
			assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 1);
	}
	/* On the second chip the mode is nothing. */
	start(context);
	initialise(0, 0x11);
	initialise(1, 0x11);
	pulse(10);
	assert_int_equal(pic_acknowledge(&pic), SECOND_BASE + 2);
	pulse(12);
	assert_false(asks());
	pulse(10);
	assert_false(asks());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(edges_are_served_by_priority, start),
		cmocka_unit_test_setup(every_order_of_every_state_is_decided_right, start),
		cmocka_unit_test_setup(a_nested_interrupt_is_one_of_higher_priority, start),
		cmocka_unit_test_setup(masks_hold_requests_back, start),
		cmocka_unit_test_setup(rotation, start),
		cmocka_unit_test_setup(automatic_ends, start),
		cmocka_unit_test_setup(levels_are_there_while_their_wire_is_up, start),
		cmocka_unit_test_setup(initialisation_forgets_edges_and_masks, start),
		cmocka_unit_test_setup(a_chip_can_be_polled, start),
		cmocka_unit_test_setup(special_fully_nested_mode, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
