/* SPDX-License-Identifier: MIT */
/*
 * Rings as they should be, and as a hostile driver makes them: in a device's registers, outside memory, over each
 * other and themselves, with loops of descriptors. The device asks to be reset; nothing outside the guest is touched.
 */
#include "guest/devices/virtio_entropy.h"

#include "tests/unit/virtio_driver.h"

enum { BUFFER_AT = 0x8000, TABLE_AT = 0x9000 };

static struct virtio_entropy entropy;
static uint64_t filled;

static bool feeds_itself;
static unsigned fills;

static void fill(void *context, uint8_t *bytes, size_t size)
{
	assert_ptr_equal(context, &filled);
	filled += size;
	memset(bytes, 0xa5, size);
	/* As another processor of the guest does, or a buffer that lies over the index. */
	fills++;
	if (feeds_itself)
		driver_offer(0, 0);
}

static int start(void **context)
{
	virtio_guest_start(context);
	filled = 0;
	feeds_itself = false;
	virtio_entropy_init(&entropy, virtio_guest_place(), fill, &filled);
	driver_attach(&entropy.virtio);
	driver_begin(RING_INDIRECT);
	return 0;
}

static void offer(uint16_t head)
{
	driver_offer(0, head);
	driver_notify(0);
}

static void expect_served(uint16_t count, uint32_t written)
{
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, 0);
	assert_int_equal(driver_returned(0), count);
	assert_int_equal(driver_last_written(0), written);
}

static void expect_broken(void)
{
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	assert_int_equal(driver_get(REG_INTERRUPT) & 2, 2);
	assert_true(device_bench.level[VIRTIO_PIN]);
	/* It is as new after a reset. */
	driver_begin(RING_INDIRECT);
	offer(driver_buffer(0, BUFFER_AT, 8, D_WRITE));
	expect_served(1, 8);
	driver_begin(RING_INDIRECT);
}

/* What the device reads is a rule broken for this one, so chains have only buffers to write. */
static void takes_chains_as_they_come(void **context)
{
	uint16_t head[3];

	(void)context;
	/* Two at once, given in another order than they were made. */
	head[0] = driver_buffer(0, BUFFER_AT, 10, D_WRITE | D_NEXT);
	driver_buffer(0, BUFFER_AT + 100, 20, D_WRITE | D_NEXT);
	driver_buffer(0, BUFFER_AT + 200, 0, D_WRITE);
	head[1] = driver_buffer(0, BUFFER_AT + 300, 5, D_WRITE);
	driver_offer(0, head[1]);
	driver_offer(0, head[0]);
	driver_notify(0);
	expect_served(2, 30);
	assert_int_equal(driver_last_head(0), head[0]);
	assert_int_equal(*virtio_guest_bytes(BUFFER_AT + 9), 0xa5);
	assert_int_equal(*virtio_guest_bytes(BUFFER_AT + 10), 0);
	assert_int_equal(*virtio_guest_bytes(BUFFER_AT + 119), 0xa5);
	assert_int_equal(*virtio_guest_bytes(BUFFER_AT + 120), 0);
	assert_int_equal(*virtio_guest_bytes(BUFFER_AT + 304), 0xa5);
	assert_int_equal(filled, 35);
}

/* The indices run to 2^16 and on from 0, in queues of every size. */
static void goes_round_and_round(void **context)
{
	(void)context;
	for (uint16_t size = 1; size <= 128; size = (uint16_t)(size * 8)) {
		driver_begin(0);
		driver_set(REG_QUEUE_SELECT, 0);
		driver_set(REG_QUEUE_READY, 0);
		driver_set_up(0, size);
		for (unsigned i = 0; i < 70000; i++) {
			uint16_t head = driver_buffer(0, BUFFER_AT, 1 + i % 7, D_WRITE);

			offer(head);
			assert_int_equal(driver_last_head(0), head);
			expect_served((uint16_t)(i + 1), 1 + i % 7);
		}
	}
}

static uint16_t indirect(uint32_t size, uint16_t flags)
{
	return driver_buffer(0, TABLE_AT, size, D_INDIRECT | flags);
}

static struct driver_descriptor *table(void)
{
	return (struct driver_descriptor *)virtio_guest_bytes(TABLE_AT);
}

static void follows_indirect_tables(void **context)
{
	struct driver_descriptor *entry = table();
	uint16_t head;

	(void)context;
	entry[0] = (struct driver_descriptor){BUFFER_AT, 3, D_WRITE | D_NEXT, 2};
	entry[2] = (struct driver_descriptor){BUFFER_AT + 16, 4, D_WRITE | D_NEXT, 1};
	entry[1] = (struct driver_descriptor){BUFFER_AT + 32, 5, D_WRITE, 0};
	/* The table's own write flag says nothing. */
	offer(indirect(48, D_WRITE));
	expect_served(1, 12);
	/* Behind direct ones. */
	head = driver_buffer(0, BUFFER_AT + 64, 7, D_WRITE | D_NEXT);
	indirect(48, 0);
	offer(head);
	expect_served(2, 19);
	/* Not negotiated. */
	driver_begin(0);
	offer(indirect(48, 0));
	expect_broken();
}

static void refuses_indirect_tables_that_are_none(void **context)
{
	struct driver_descriptor *entry = table();

	(void)context;
	entry[0] = (struct driver_descriptor){BUFFER_AT, 3, D_WRITE, 0};
	offer(indirect(0, 0));
	expect_broken();
	offer(indirect(17, 0));
	expect_broken();
	/* With one behind it. */
	offer(indirect(16, D_NEXT));
	expect_broken();
	/* In itself. */
	entry[0] = (struct driver_descriptor){TABLE_AT, 16, D_INDIRECT, 0};
	offer(indirect(16, 0));
	expect_broken();
	/* Beyond its end. */
	entry[0] = (struct driver_descriptor){BUFFER_AT, 3, D_WRITE | D_NEXT, 1};
	offer(indirect(16, 0));
	expect_broken();
	/* Where there is no memory. */
	offer(driver_buffer(0, GUEST_DEVICE_AT, 32, D_INDIRECT));
	expect_broken();
	offer(driver_buffer(0, ~0ull - 15, 32, D_INDIRECT));
	expect_broken();
	/* A loop in a table that is larger than any chain. */
	for (unsigned i = 0; i < 200; i++)
		entry[i] = (struct driver_descriptor){BUFFER_AT, 1, D_WRITE | D_NEXT, (uint16_t)(i + 1)};
	entry[199].next = 0;
	offer(indirect(200 * 16, 0));
	expect_broken();
	/* As long as a chain may be, and one more. */
	entry[127].flags = D_WRITE;
	offer(indirect(200 * 16, 0));
	expect_served(1, 128);
	entry[127].flags = D_WRITE | D_NEXT;
	entry[128].flags = D_WRITE;
	offer(indirect(200 * 16, 0));
	expect_broken();
}

static void does_nothing_more_until_it_is_reset(void **context)
{
	(void)context;
	driver_buffer(0, GUEST_HOLE_AT, 4, D_WRITE);
	offer(0);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	filled = 0;
	driver_queue[0].descriptor[0].gpa = BUFFER_AT;
	driver_offer(0, 0);
	driver_notify(0);
	driver_set(REG_ACKNOWLEDGE, 3);
	assert_int_equal(filled, 0);
	assert_int_equal(driver_returned(0), 0);
}

static void refuses_loops(void **context)
{
	(void)context;
	for (unsigned length = 1; length <= DRIVER_QUEUE; length++) {
		for (unsigned i = 0; i < length; i++)
			driver_buffer(0, BUFFER_AT, 4, D_WRITE | D_NEXT);
		driver_queue[0].descriptor[length - 1].next = 0;
		offer(0);
		expect_broken();
	}
}

static void refuses_indices_beyond_the_queue(void **context)
{
	(void)context;
	offer(DRIVER_QUEUE);
	expect_broken();
	offer(0xffff);
	expect_broken();
	driver_buffer(0, BUFFER_AT, 4, D_WRITE | D_NEXT);
	driver_queue[0].descriptor[0].next = DRIVER_QUEUE;
	offer(0);
	expect_broken();
	/* More chains than there are entries. */
	driver_buffer(0, BUFFER_AT, 4, D_WRITE);
	driver_queue[0].driver[1] = DRIVER_QUEUE + 1;
	driver_notify(0);
	expect_broken();
	driver_queue[0].driver[1] = 0xffff;
	driver_notify(0);
	expect_broken();
}

static void refuses_buffers_out_of_order(void **context)
{
	(void)context;
	driver_buffer(0, BUFFER_AT, 4, D_WRITE | D_NEXT);
	driver_buffer(0, BUFFER_AT, 4, D_NEXT);
	driver_buffer(0, BUFFER_AT, 4, D_WRITE);
	offer(0);
	expect_broken();
	/* This device has nothing to read, and something to write. */
	driver_buffer(0, BUFFER_AT, 4, 0);
	offer(0);
	expect_broken();
	driver_buffer(0, BUFFER_AT, 0, D_WRITE);
	offer(0);
	expect_broken();
}

static void refuses_more_bytes_than_there_may_be(void **context)
{
	(void)context;
	driver_buffer(0, BUFFER_AT, VIRTIO_CHAIN_BYTES, D_WRITE);
	offer(0);
	expect_served(1, 256);
	driver_begin(0);
	driver_buffer(0, BUFFER_AT, VIRTIO_CHAIN_BYTES, D_WRITE | D_NEXT);
	driver_buffer(0, BUFFER_AT, 1, D_WRITE);
	offer(0);
	expect_broken();
	driver_buffer(0, BUFFER_AT, UINT32_MAX, D_WRITE | D_NEXT);
	driver_buffer(0, BUFFER_AT, UINT32_MAX, D_WRITE);
	offer(0);
	expect_broken();
}

static void refuses_buffers_that_are_no_memory(void **context)
{
	static const uint64_t each[] = {GUEST_DEVICE_AT, GUEST_ROM_AT, GUEST_HOLE_AT, GUEST_RAM - 4,
					~0ull - 3,       1ull << 52,   ~0ull - 7};

	(void)context;
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		driver_buffer(0, each[i], 8, D_WRITE);
		offer(0);
		expect_broken();
	}
	driver_buffer(0, GUEST_RAM - 8, 8, D_WRITE);
	offer(0);
	expect_served(1, 8);
}

static void place_area(uint64_t reg, uint64_t gpa)
{
	driver_begin(RING_INDIRECT);
	driver_buffer(0, BUFFER_AT, 8, D_WRITE);
	driver_set(REG_QUEUE_SELECT, 0);
	driver_set(REG_QUEUE_READY, 0);
	driver_set(reg, (uint32_t)gpa);
	driver_set(reg + 4, (uint32_t)(gpa >> 32));
	driver_set(REG_QUEUE_READY, 1);
	offer(0);
}

static void refuses_areas_that_are_no_memory(void **context)
{
	static const uint64_t area[] = {REG_DESCRIPTORS, REG_DRIVER, REG_DEVICE};
	static const uint64_t at[] = {GUEST_DEVICE_AT, GUEST_HOLE_AT, GUEST_RAM, ~15ull, 1ull << 52};

	(void)context;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < sizeof(at) / sizeof(at[0]); k++) {
			place_area(area[i], at[k]);
			expect_broken();
		}
	}
	place_area(REG_DEVICE, GUEST_ROM_AT);
	expect_broken();
	/* It ends within the ring: as far as there is memory it works. */
	place_area(REG_DRIVER, GUEST_RAM - 4);
	memset(virtio_guest_bytes(GUEST_RAM - 4), 0, 4);
	*(uint16_t *)virtio_guest_bytes(GUEST_RAM - 2) = 1;
	driver_notify(0);
	expect_broken();
}

/*
 * Areas and buffers on each other: what the device writes is what it reads next. Whatever comes of it, it comes to an
 * end, and stays in memory.
 */
static void survives_rings_on_themselves(void **context)
{
	static const uint64_t area[] = {REG_DESCRIPTORS, REG_DRIVER, REG_DEVICE};

	(void)context;
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned k = 0; k < 3; k++) {
			const uint64_t at[] = {driver_descriptors_at(0), driver_ring_at(0), device_ring_at(0)};

			place_area(area[i], at[k]);
			for (unsigned n = 0; n < 20; n++)
				driver_notify(0);
			place_area(area[i], 0);
			driver_queue[0].descriptor[0].gpa = at[k];
			driver_queue[0].descriptor[0].size = 256;
			for (unsigned n = 0; n < 20; n++)
				offer(0);
		}
	}
}

/*
 * A driver that makes a chain available while each is served would hold the CPU for ever. It gets an interrupt, though
 * it wants none, and when it acknowledges that, the device goes on.
 */
static void does_so_much_at_once(void **context)
{
	(void)context;
	driver_buffer(0, BUFFER_AT, 8, D_WRITE);
	driver_queue[0].driver[0] = 1;
	feeds_itself = true;
	fills = 0;
	offer(0);
	assert_int_equal(fills, 32);
	assert_int_equal(driver_returned(0), 32);
	assert_int_equal(driver_get(REG_INTERRUPT), 1);
	feeds_itself = false;
	driver_set(REG_ACKNOWLEDGE, 1);
	assert_int_equal(driver_returned(0), 33);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_chains_as_they_come, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(goes_round_and_round, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(follows_indirect_tables, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_indirect_tables_that_are_none, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(does_nothing_more_until_it_is_reset, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_loops, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_indices_beyond_the_queue, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_buffers_out_of_order, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_more_bytes_than_there_may_be, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_buffers_that_are_no_memory, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_areas_that_are_no_memory, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(survives_rings_on_themselves, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(does_so_much_at_once, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
