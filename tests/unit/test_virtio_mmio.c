/* SPDX-License-Identifier: MIT */
/* The registers of the MMIO transport: virtio 1.2, 4.2.2, and the life of a device, 3.1. */
#include "guest/devices/virtio_block.h"
#include "guest/devices/virtio_console.h"
#include "guest/devices/virtio_entropy.h"

#include "tests/unit/virtio_driver.h"

static struct virtio_block block;
static struct virtio_console console;
static struct virtio_entropy entropy;
static uint8_t disk[5 * 512 + 100];
static uint8_t counter;

static void fill(void *context, uint8_t *bytes, size_t size)
{
	assert_ptr_equal(context, &counter);
	while (size--)
		*bytes++ = ++counter;
}

static int start(void **context)
{
	virtio_guest_start(context);
	counter = 0;
	virtio_block_init(&block, virtio_guest_place(), disk, sizeof(disk), false, "a disk");
	virtio_console_init(&console, virtio_guest_place(), bench_put, &device_bench);
	virtio_entropy_init(&entropy, virtio_guest_place(), fill, &counter);
	driver_attach(&entropy.virtio);
	return 0;
}

static uint64_t offered(void)
{
	uint64_t low;

	driver_set(REG_FEATURES_SELECT, 0);
	low = driver_get(REG_FEATURES);
	driver_set(REG_FEATURES_SELECT, 1);
	return low | (uint64_t)driver_get(REG_FEATURES) << 32;
}

static void says_what_it_is(void **context)
{
	static const struct {
		struct virtio_mmio *virtio;
		uint32_t id, queues;
		uint64_t features;
	} each[] = {{&block.virtio, 2, 1, 0x246}, {&console.virtio, 3, 2, 0}, {&entropy.virtio, 4, 1, 0}};

	(void)context;
	for (unsigned i = 0; i < 3; i++) {
		driver_attach(each[i].virtio);
		assert_int_equal(driver_get(0), 0x74726976);
		assert_int_equal(driver_get(4), 2);
		assert_int_equal(driver_get(8), each[i].id);
		assert_int_equal(offered(), each[i].features | RING_INDIRECT | VERSION_1);
		driver_set(REG_FEATURES_SELECT, 2);
		assert_int_equal(driver_get(REG_FEATURES), 0);
		for (unsigned queue = 0; queue < 4; queue++) {
			driver_set(REG_QUEUE_SELECT, queue);
			assert_int_equal(driver_get(REG_QUEUE_MOST), queue < each[i].queues ? 128 : 0);
		}
		/* Shared memory that is not there. */
		assert_int_equal(driver_get(0xb0), UINT32_MAX);
		assert_int_equal(driver_get(0xb4), UINT32_MAX);
	}
	virtio_block_init(&block, virtio_guest_place(), disk, sizeof(disk), true, "a disk");
	driver_attach(&block.virtio);
	assert_int_equal(offered(), 0x266 | RING_INDIRECT | VERSION_1);
}

static void registers_are_accessed_whole(void **context)
{
	(void)context;
	assert_int_equal(driver_read(0, 1), 0);
	assert_int_equal(driver_read(0, 2), 0);
	assert_int_equal(driver_read(0, 8), 0);
	assert_int_equal(driver_read(2, 4), 0);
	assert_int_equal(driver_read(0xb2, 4), 0);
	driver_write(REG_STATUS, 1, ACKNOWLEDGED);
	driver_write(REG_STATUS, 8, ACKNOWLEDGED);
	assert_int_equal(driver_get(REG_STATUS), 0);
	/* Nothing is written to what is read only, nor is there anything between. */
	for (uint64_t reg = 0; reg < REG_CONFIG; reg += 4)
		if (reg < REG_STATUS || reg > REG_STATUS)
			driver_set(reg, 0x5a5a5a5a);
	assert_int_equal(driver_get(0), 0x74726976);
	assert_int_equal(driver_get(0x0fc), 0);
}

static void shows_its_configuration(void **context)
{
	(void)context;
	driver_attach(&block.virtio);
	assert_int_equal(driver_read(REG_CONFIG, 8), 5);
	assert_int_equal(driver_read(REG_CONFIG, 4), 5);
	assert_int_equal(driver_read(REG_CONFIG + 4, 4), 0);
	assert_int_equal(driver_read(REG_CONFIG + 8, 4), 65536);
	assert_int_equal(driver_read(REG_CONFIG + 10, 2), 1);
	assert_int_equal(driver_read(REG_CONFIG + 12, 4), 126);
	assert_int_equal(driver_read(REG_CONFIG + 20, 4), 512);
	/* Beyond it, up to the page's end. */
	assert_int_equal(driver_read(REG_CONFIG + 20, 8), 512);
	assert_int_equal(driver_read(4096 - 8, 8), 0);
	driver_write(REG_CONFIG, 4, 99);
	assert_int_equal(driver_read(REG_CONFIG, 4), 5);
}

static uint32_t status_after(uint64_t features)
{
	driver_set(REG_STATUS, 0);
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER);
	driver_set(REG_DRIVER_FEATURES_SELECT, 0);
	driver_set(REG_DRIVER_FEATURES, (uint32_t)features);
	driver_set(REG_DRIVER_FEATURES_SELECT, 1);
	driver_set(REG_DRIVER_FEATURES, (uint32_t)(features >> 32));
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK);
	return driver_get(REG_STATUS);
}

static void agrees_on_features(void **context)
{
	(void)context;
	driver_attach(&block.virtio);
	assert_int_equal(status_after(VERSION_1), ACKNOWLEDGED | DRIVER | FEATURES_OK);
	assert_int_equal(status_after(offered()), ACKNOWLEDGED | DRIVER | FEATURES_OK);
	/* Later they stay. */
	driver_set(REG_DRIVER_FEATURES, 0xffff);
	assert_int_equal(block.virtio.driver_features, offered());
	/* Not the legacy interface, nor what is not offered. */
	assert_int_equal(status_after(0), ACKNOWLEDGED | DRIVER);
	assert_int_equal(status_after(VERSION_1 | 1), ACKNOWLEDGED | DRIVER);
	assert_int_equal(status_after(VERSION_1 | 1ull << 29), ACKNOWLEDGED | DRIVER);
	assert_int_equal(status_after(VERSION_1 | 1ull << 63), ACKNOWLEDGED | DRIVER);
}

static void give_entropy(void)
{
	driver_offer(0, driver_buffer(0, 0x8000, 16, D_WRITE));
	driver_notify(0);
}

static void serves_from_driver_ok_to_reset(void **context)
{
	(void)context;
	driver_begin(0);
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK);
	give_entropy();
	assert_int_equal(driver_returned(0), 0);
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK | DRIVER_OK);
	driver_notify(0);
	assert_int_equal(driver_returned(0), 1);
	assert_int_equal(driver_last_written(0), 16);
	assert_int_equal(*virtio_guest_bytes(0x8000), 1);
	assert_int_equal(*virtio_guest_bytes(0x800f), 16);
	assert_int_equal(*virtio_guest_bytes(0x8010), 0);
	driver_set(REG_STATUS, 0);
	assert_int_equal(driver_get(REG_STATUS), 0);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	assert_false(device_bench.level[VIRTIO_PIN]);
	driver_set(REG_QUEUE_SELECT, 0);
	assert_int_equal(driver_get(REG_QUEUE_READY), 0);
	give_entropy();
	assert_int_equal(driver_returned(0), 1);
	/* And anew. */
	driver_begin(0);
	give_entropy();
	assert_int_equal(driver_returned(0), 1);
}

static void interrupts_until_acknowledged(void **context)
{
	(void)context;
	driver_begin(0);
	give_entropy();
	assert_true(device_bench.level[VIRTIO_PIN]);
	assert_int_equal(driver_get(REG_INTERRUPT), 1);
	driver_set(REG_ACKNOWLEDGE, 2);
	assert_true(device_bench.level[VIRTIO_PIN]);
	driver_set(REG_ACKNOWLEDGE, 1);
	assert_false(device_bench.level[VIRTIO_PIN]);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	/* Nothing to do, nothing to say; nor where the driver does not want to hear it. */
	driver_notify(0);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	driver_queue[0].driver[0] = 1;
	give_entropy();
	assert_int_equal(driver_returned(0), 2);
	assert_int_equal(driver_get(REG_INTERRUPT), 0);
	assert_int_equal(device_bench.rises[VIRTIO_PIN], 1);
}

static void a_queue_in_use_stays_where_it_is(void **context)
{
	(void)context;
	driver_begin(0);
	driver_set(REG_QUEUE_SELECT, 0);
	driver_set(REG_QUEUE_SIZE, 4);
	driver_set(REG_DESCRIPTORS, 0x666000);
	driver_set(REG_DRIVER + 4, 0x666);
	driver_set(REG_DEVICE, 0x666000);
	give_entropy();
	assert_int_equal(driver_returned(0), 1);
	/* One that is not there. */
	driver_set(REG_QUEUE_SELECT, 1);
	driver_set(REG_QUEUE_SIZE, 4);
	driver_set(REG_QUEUE_READY, 1);
	assert_int_equal(driver_get(REG_QUEUE_READY), 0);
	/* Stopped, it takes nothing. */
	driver_set(REG_QUEUE_SELECT, 0);
	driver_set(REG_QUEUE_READY, 0);
	give_entropy();
	assert_int_equal(driver_returned(0), 1);
	assert_int_equal(driver_get(REG_STATUS), ACKNOWLEDGED | DRIVER | FEATURES_OK | DRIVER_OK);
}

static void refuses_queues_that_are_none(void **context)
{
	static const struct {
		uint32_t size, descriptors, driver, device;
	} each[] = {
		{0, 0, 0, 0},       {3, 0, 0, 0}, {256, 0, 0, 0}, {0x10000, 0, 0, 0},
		{0x10008, 0, 0, 0}, {8, 8, 0, 0}, {8, 0, 1, 0},   {8, 0, 0, 2},
	};

	(void)context;
	for (unsigned i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		driver_begin(0);
		driver_set(REG_QUEUE_SELECT, 0);
		driver_set(REG_QUEUE_READY, 0);
		driver_set(REG_QUEUE_SIZE, each[i].size);
		driver_set(REG_DESCRIPTORS, 0x10000 + each[i].descriptors);
		driver_set(REG_DRIVER, 0x11000 + each[i].driver);
		driver_set(REG_DEVICE, 0x12000 + each[i].device);
		driver_set(REG_QUEUE_READY, 1);
		assert_int_equal(driver_get(REG_QUEUE_READY), 0);
		assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
		assert_int_equal(driver_get(REG_INTERRUPT), 2);
		assert_true(device_bench.level[VIRTIO_PIN]);
		/* The driver cannot wish it away. */
		driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK | DRIVER_OK);
		assert_int_equal(driver_get(REG_STATUS) & NEEDS_RESET, NEEDS_RESET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_what_it_is, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(registers_are_accessed_whole, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(shows_its_configuration, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(agrees_on_features, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(serves_from_driver_ok_to_reset, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(interrupts_until_acknowledged, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(a_queue_in_use_stays_where_it_is, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(refuses_queues_that_are_none, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
