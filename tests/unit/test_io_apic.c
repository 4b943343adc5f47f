/* SPDX-License-Identifier: MIT */
/* The I/O APIC: its registers, edges and levels, remote IRR, and levels that are still there when their interrupt ends.
 */
#include "guest/devices/io_apic.h"
#include "tests/unit/local_apic_fixture.h"

enum { SELECT = 0x00, WINDOW = 0x10, EOI = 0x40, LOCAL_EOI = 0xB0 };
enum { LOGICAL = 1 << 11, LOW = 1 << 13, REMOTE = 1 << 14, LEVEL = 1 << 15, MASKED = 1 << 16 };

static struct lock lock;
static struct io_apic io_apic;

static void broadcast(void *context, uint8_t vector)
{
	(void)context;
	apic_ends[vector]++;
	io_apic_end_of_interrupt(&io_apic, vector);
}

static int start(void **context)
{
	apics_start(context);
	apic_bus.end_of_interrupt = broadcast;
	for (unsigned i = 0; i < APICS; i++)
		apic_enable_software(i);
	io_apic_init(&io_apic, &lock, &apic_bus, 2);
	return 0;
}

static uint64_t access_io_apic(unsigned offset, bool write, uint32_t data)
{
	struct tl_mmio access = {.gpa = IO_APIC_AT + offset,
				 .offset = offset,
				 .size = 4,
				 .write = write,
				 .data = data,
				 .context = &io_apic};

	assert_int_equal(io_apic_access(&access), TL_OK);
	assert_int_equal(atomic_load(&lock.held), 0);
	return access.data;
}

static uint32_t get(unsigned number)
{
	access_io_apic(SELECT, true, number);
	return (uint32_t)access_io_apic(WINDOW, false, 0);
}

static void put(unsigned number, uint32_t value)
{
	access_io_apic(SELECT, true, number);
	access_io_apic(WINDOW, true, value);
}

static void put_entry(unsigned pin, uint32_t low, unsigned destination)
{
	put(0x11 + 2 * pin, destination << 24);
	put(0x10 + 2 * pin, low);
}

static uint32_t get_entry(unsigned pin)
{
	return get(0x10 + 2 * pin);
}

static void pin(unsigned number, bool level)
{
	lock_acquire(&lock);
	io_apic_pin(&io_apic, number, level);
	lock_release(&lock);
}

static void every_register_holds_its_writable_bits(void **context)
{
	(void)context;
	for (unsigned number = 0; number < 256; number++) {
		bool entry = number >= 0x10 && number < 0x40;
		uint32_t reset = entry && number % 2 == 0 ? MASKED
				 : number == 1            ? 0x170020
				 : number % 2             ? 0
							  : 0x2000000;
		uint32_t ones = entry                        ? number % 2 ? 0xff000000 : 0x1afff
				: number == 0 || number == 2 ? 0x0f000000
							     : reset;

		if (number > 2 && !entry)
			reset = ones = 0;
		start(context);
		assert_int_equal(get(number), reset);
		put(number, UINT32_MAX);
		if (number == 2)
			put(0, UINT32_MAX);
		assert_int_equal(get(number), ones);
		assert_int_equal(access_io_apic(SELECT, false, 0), number);
	}
	assert_int_equal(access_io_apic(EOI, false, 0), 0);
	assert_int_equal(access_io_apic(0x20, false, 0), 0);
}

static void the_window_is_written_whole(void **context)
{
	struct tl_mmio access = {.offset = WINDOW, .write = true, .data = 0x44, .context = &io_apic};

	(void)context;
	access_io_apic(SELECT, true, 0x10);
	for (access.size = 1; access.size <= 8; access.size++)
		if (access.size != 4)
			assert_int_equal(io_apic_access(&access), TL_OK);
	assert_int_equal(get(0x10), MASKED);
}

static void an_edge_is_one_interrupt_and_lost_while_masked(void **context)
{
	(void)context;
	for (unsigned number = 0; number < IO_APIC_PINS; number++) {
		unsigned cpu = number % APICS, vector = 0x30 + number;

		pin(number, true);
		put_entry(number, vector, cpu);
		assert_false(local_apic_pending(&apics[cpu]));
		pin(number, true);
		assert_false(local_apic_pending(&apics[cpu]));
		pin(number, false);
		pin(number, true);
		assert_int_equal(local_apic_acknowledge(&apics[cpu]), vector);
		assert_int_equal(get_entry(number), vector);
		apic_put(cpu, LOCAL_EOI, 0);
		assert_int_equal(apic_ends[vector], 0);
		assert_false(local_apic_pending(&apics[cpu]));
		put_entry(number, MASKED | vector, cpu);
		pin(number, false);
		pin(number, true);
		put_entry(number, vector, cpu);
		assert_false(local_apic_pending(&apics[cpu]));
	}
}

static void a_level_comes_again_until_it_is_gone(void **context)
{
	(void)context;
	put_entry(17, LEVEL | LOW | 0x71, 3);
	pin(17, true);
	assert_int_equal(get_entry(17), LEVEL | LOW | REMOTE | 0x71);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(local_apic_acknowledge(&apics[3]), 0x71);
		/* Not again before its end. */
		pin(17, false);
		pin(17, true);
		assert_int_equal(apic_get(3, 0x230), 0);
		apic_put(3, LOCAL_EOI, 0);
		assert_int_equal(apic_ends[0x71], i + 1);
		assert_int_equal(get_entry(17), LEVEL | LOW | REMOTE | 0x71);
	}
	assert_int_equal(local_apic_acknowledge(&apics[3]), 0x71);
	pin(17, false);
	apic_put(3, LOCAL_EOI, 0);
	assert_int_equal(get_entry(17), LEVEL | LOW | 0x71);
	assert_false(local_apic_pending(&apics[3]));
}

static void a_masked_level_comes_when_it_is_unmasked(void **context)
{
	(void)context;
	put_entry(5, MASKED | LEVEL | 0x45, 0);
	pin(5, true);
	assert_false(local_apic_pending(&apics[0]));
	put_entry(5, LEVEL | 0x45, 0);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x45);
	/* Masked and served meanwhile, it is not sent, and when it is unmasked, it is. */
	put_entry(5, MASKED | LEVEL | 0x45, 0);
	assert_int_equal(get_entry(5), MASKED | LEVEL | REMOTE | 0x45);
	apic_put(0, LOCAL_EOI, 0);
	assert_false(local_apic_pending(&apics[0]));
	assert_int_equal(get_entry(5), MASKED | LEVEL | 0x45);
	put_entry(5, LEVEL | 0x45, 0);
	assert_int_equal(local_apic_acknowledge(&apics[0]), 0x45);
}

static void the_eoi_register_and_edges_end_what_a_vector_waits_for(void **context)
{
	(void)context;
	put_entry(3, LEVEL | 0x50, 0);
	put_entry(4, LEVEL | 0x51, 0);
	pin(3, true);
	pin(4, true);
	pin(3, false);
	pin(4, false);
	access_io_apic(EOI, true, 0x50);
	assert_int_equal(get_entry(3), LEVEL | 0x50);
	assert_int_equal(get_entry(4), LEVEL | REMOTE | 0x51);
	put_entry(4, 0x51, 0);
	put_entry(4, LEVEL | 0x51, 0);
	assert_int_equal(get_entry(4), LEVEL | 0x51);
}

/* What it asks for of nobody is no interrupt that it waits for. */
static void a_level_that_nobody_took_is_sent_again(void **context)
{
	(void)context;
	apic_put(1, 0xF0, 0xff);
	put_entry(9, LEVEL | 0x60, 1);
	pin(9, true);
	assert_int_equal(get_entry(9), LEVEL | 0x60);
	apic_enable_software(1);
	pin(9, true);
	assert_int_equal(get_entry(9), LEVEL | REMOTE | 0x60);
	assert_int_equal(local_apic_acknowledge(&apics[1]), 0x60);
}

/* Every delivery mode, edge and level, to one, to a logical set and to all. */
static void delivery_modes_and_destinations(void **context)
{
	for (unsigned mode = 0; mode < 8; mode++)
		for (unsigned level = 0; level < 2; level++)
			for (unsigned to = 0; to < 3; to++) {
				static const unsigned destination[3] = {2, 0xff, 0x06}, reached[3] = {4, 0xf, 6};
				unsigned got = 0, count = 0;
				bool fixed = mode == APIC_FIXED || mode == APIC_LOWEST_PRIORITY;

				start(context);
				for (unsigned i = 0; i < APICS; i++)
					apic_put(i, 0xD0, 1u << (24 + i));
				put_entry(1, level << 15 | (to == 2 ? LOGICAL : 0) | mode << 8 | 0x80, destination[to]);
				pin(1, true);
				for (unsigned i = 0; i < APICS; i++) {
					unsigned had = (local_apic_acknowledge(&apics[i]) == 0x80) + told[i].nmis +
						       told[i].inits + told[i].smis + told[i].startups;

					assert_true(had <= 1);
					got |= had << i;
					count += had;
				}
				if (mode == 3 || mode == APIC_EXTINT)
					assert_int_equal(count, 0);
				else if (mode == APIC_LOWEST_PRIORITY)
					assert_true(count == 1 && got & reached[to]);
				else
					assert_int_equal(got, reached[to]);
				assert_int_equal(get_entry(1) & REMOTE, fixed && level ? REMOTE : 0);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_register_holds_its_writable_bits),
		cmocka_unit_test_setup(the_window_is_written_whole, start),
		cmocka_unit_test_setup(an_edge_is_one_interrupt_and_lost_while_masked, start),
		cmocka_unit_test_setup(a_level_comes_again_until_it_is_gone, start),
		cmocka_unit_test_setup(a_masked_level_comes_when_it_is_unmasked, start),
		cmocka_unit_test_setup(the_eoi_register_and_edges_end_what_a_vector_waits_for, start),
		cmocka_unit_test_setup(a_level_that_nobody_took_is_sent_again, start),
		cmocka_unit_test(delivery_modes_and_destinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
