/* SPDX-License-Identifier: MIT */
/* The console: virtio 1.2, 5.3.6. */
#include "guest/devices/virtio_console.h"

#include "tests/unit/virtio_driver.h"

enum { RECEIVE = 0, TRANSMIT = 1, TEXT_AT = 0x8000, INPUT_AT = 0x20000 };

static struct virtio_console console;

static int start(void **context)
{
	virtio_guest_start(context);
	virtio_console_init(&console, virtio_guest_place(), bench_put, &device_bench);
	driver_attach(&console.virtio);
	driver_begin(RING_INDIRECT);
	return 0;
}

static void sends(void **context)
{
	static uint8_t text[309];
	uint16_t head = driver_buffer(TRANSMIT, TEXT_AT, 9, D_NEXT);

	(void)context;
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * i / 7);
	memcpy(virtio_guest_bytes(TEXT_AT), text, sizeof(text));
	driver_buffer(TRANSMIT, TEXT_AT + 9, 300, 0);
	driver_offer(TRANSMIT, head);
	driver_notify(TRANSMIT);
	assert_int_equal(device_bench.nr_bytes, 309);
	assert_memory_equal(device_bench.bytes, text, sizeof(text));
	assert_int_equal(driver_returned(TRANSMIT), 1);
	assert_int_equal(driver_last_written(TRANSMIT), 0);
	assert_int_equal(driver_get(REG_INTERRUPT), 1);
}

static void offer_input(uint32_t size)
{
	driver_offer(RECEIVE, driver_buffer(RECEIVE, INPUT_AT, size, D_WRITE));
	driver_notify(RECEIVE);
}

static void receives_when_there_is_something(void **context)
{
	(void)context;
	offer_input(8);
	assert_int_equal(driver_returned(RECEIVE), 0);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	assert_true(virtio_console_input(&console, 'a'));
	assert_int_equal(driver_returned(RECEIVE), 1);
	assert_int_equal(driver_last_written(RECEIVE), 1);
	assert_int_equal(*virtio_guest_bytes(INPUT_AT), 'a');
	assert_int_equal(driver_get(REG_INTERRUPT), 1);
	/* Without a buffer it waits for one. */
	for (const char *at = "bcdefghi"; *at; at++)
		assert_true(virtio_console_input(&console, (uint8_t)*at));
	offer_input(5);
	assert_int_equal(driver_last_written(RECEIVE), 5);
	assert_memory_equal(virtio_guest_bytes(INPUT_AT), "bcdef", 6);
	offer_input(300);
	assert_int_equal(driver_returned(RECEIVE), 3);
	assert_int_equal(driver_last_written(RECEIVE), 3);
	assert_memory_equal(virtio_guest_bytes(INPUT_AT), "ghief", 6);
}

static void holds_so_many(void **context)
{
	unsigned most = 0;

	(void)context;
	while (virtio_console_input(&console, (uint8_t)most))
		most++;
	assert_int_equal(most, BYTE_QUEUE_SIZE);
	offer_input(4096);
	assert_int_equal(driver_last_written(RECEIVE), BYTE_QUEUE_SIZE);
	for (unsigned i = 0; i < most; i++)
		assert_int_equal(*virtio_guest_bytes(INPUT_AT + i), i);
	/* A driver that is not there yet finds what was typed. */
	driver_set(REG_STATUS, 0);
	assert_true(virtio_console_input(&console, 'x'));
	driver_begin(0);
	offer_input(4);
	assert_int_equal(driver_last_written(RECEIVE), 1);
}

static void refuses_what_is_no_text(void **context)
{
	(void)context;
	driver_buffer(TRANSMIT, GUEST_DEVICE_AT, 4, 0);
	driver_offer(TRANSMIT, 0);
	driver_notify(TRANSMIT);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	driver_begin(0);
	/* More than a console's wire takes in an access. */
	driver_buffer(TRANSMIT, TEXT_AT, 65537, 0);
	driver_offer(TRANSMIT, 0);
	driver_notify(TRANSMIT);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	assert_int_equal(device_bench.nr_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sends, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(receives_when_there_is_something, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(holds_so_many, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_text, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
