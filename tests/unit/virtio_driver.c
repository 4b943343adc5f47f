/* SPDX-License-Identifier: MIT */
#include "tests/unit/virtio_driver.h"

#include "tests/unit/hosted.h"
#include "tests/unit/range_access.h"
#include "tests/unit/vm_fixture.h"

enum { AREAS_AT = 0x10000, QUEUE_AREAS = 0x4000, DRIVER_AREA = 0x1000, DEVICE_AREA = 0x2000 };

struct driver_queue driver_queue[2];

static struct virtio_mmio *attached;
static struct tl_range registers;

int virtio_guest_start(void **context)
{
	struct tl_range rom = ram_range(GUEST_ROM_AT, 4096);

	vm_setup(context);
	device_bench_start();
	rom.kind = TL_RANGE_ROM;
	range_add(ram_range(0, GUEST_RAM));
	range_add(mmio_range(GUEST_DEVICE_AT, 4096));
	range_add(rom);
	memset(virtio_guest_bytes(0), 0, GUEST_RAM);
	return 0;
}

int virtio_guest_stop(void **context)
{
	return vm_teardown(context);
}

uint8_t *virtio_guest_bytes(uint64_t gpa)
{
	return hosted_memory(gpa);
}

struct virtio_place virtio_guest_place(void)
{
	return (struct virtio_place){vm, &device_bench.lock, bench_line(VIRTIO_PIN)};
}

void driver_attach(struct virtio_mmio *virtio)
{
	attached = virtio;
	registers = virtio_mmio_range(virtio, 0xd0000000);
	assert_int_equal(registers.kind, TL_RANGE_DOORBELL);
	assert_int_equal(registers.start, 0xd0000000);
	assert_int_equal(registers.size, 4096);
}

static struct tl_mmio access_to(uint64_t offset, unsigned size)
{
	assert_true(offset + size <= registers.size);
	return (struct tl_mmio){
		.gpa = registers.start + offset, .offset = offset, .size = size, .context = registers.context};
}

static void serve(struct tl_mmio *access)
{
	assert_int_equal(range_access(&registers, access), TL_OK);
	lock_acquire(&device_bench.lock);
	lock_release(&device_bench.lock);
}

uint64_t driver_read(uint64_t offset, unsigned size)
{
	struct tl_mmio access = access_to(offset, size);

	serve(&access);
	return access.data;
}

void driver_write(uint64_t offset, unsigned size, uint64_t data)
{
	struct tl_mmio access = access_to(offset, size);

	access.write = true;
	access.data = data;
	serve(&access);
}

uint32_t driver_get(uint64_t reg)
{
	return (uint32_t)driver_read(reg, 4);
}

void driver_set(uint64_t reg, uint32_t value)
{
	driver_write(reg, 4, value);
}

uint64_t driver_descriptors_at(unsigned queue)
{
	return AREAS_AT + queue * QUEUE_AREAS;
}

uint64_t driver_ring_at(unsigned queue)
{
	return driver_descriptors_at(queue) + DRIVER_AREA;
}

uint64_t device_ring_at(unsigned queue)
{
	return driver_descriptors_at(queue) + DEVICE_AREA;
}

static void set_address(uint64_t reg, uint64_t gpa)
{
	driver_set(reg, (uint32_t)gpa);
	driver_set(reg + 4, (uint32_t)(gpa >> 32));
}

void driver_set_up(unsigned queue, uint16_t size)
{
	memset(virtio_guest_bytes(driver_descriptors_at(queue)), 0, QUEUE_AREAS);
	driver_queue[queue] = (struct driver_queue){
		.descriptor = (struct driver_descriptor *)virtio_guest_bytes(driver_descriptors_at(queue)),
		.driver = (uint16_t *)virtio_guest_bytes(driver_ring_at(queue)),
		.device = (uint16_t *)virtio_guest_bytes(device_ring_at(queue)),
		.size = size,
	};
	driver_set(REG_QUEUE_SELECT, queue);
	assert_int_equal(driver_get(REG_QUEUE_READY), 0);
	driver_set(REG_QUEUE_SIZE, size);
	set_address(REG_DESCRIPTORS, driver_descriptors_at(queue));
	set_address(REG_DRIVER, driver_ring_at(queue));
	set_address(REG_DEVICE, device_ring_at(queue));
	driver_set(REG_QUEUE_READY, 1);
	assert_int_equal(driver_get(REG_QUEUE_READY), 1);
}

void driver_begin(uint64_t features)
{
	driver_set(REG_STATUS, 0);
	assert_int_equal(driver_get(REG_STATUS), 0);
	driver_set(REG_STATUS, ACKNOWLEDGED);
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER);
	features |= VERSION_1;
	for (unsigned half = 0; half < 2; half++) {
		driver_set(REG_FEATURES_SELECT, half);
		driver_set(REG_DRIVER_FEATURES_SELECT, half);
		driver_set(REG_DRIVER_FEATURES, driver_get(REG_FEATURES) & (uint32_t)(features >> (32 * half)));
	}
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK);
	assert_int_equal(driver_get(REG_STATUS), ACKNOWLEDGED | DRIVER | FEATURES_OK);
	for (unsigned queue = 0; queue < attached->model->nr_queues; queue++)
		driver_set_up(queue, DRIVER_QUEUE);
	driver_set(REG_STATUS, ACKNOWLEDGED | DRIVER | FEATURES_OK | DRIVER_OK);
}

uint16_t driver_buffer(unsigned queue, uint64_t gpa, uint32_t size, uint16_t flags)
{
	struct driver_queue *at = &driver_queue[queue];
	uint16_t number = at->next;

	at->next = (uint16_t)((at->next + 1) % at->size);
	at->descriptor[number] = (struct driver_descriptor){gpa, size, flags, at->next};
	return number;
}

void driver_offer(unsigned queue, uint16_t head)
{
	uint16_t *driver = driver_queue[queue].driver;

	driver[2 + driver[1] % driver_queue[queue].size] = head;
	driver[1]++;
}

void driver_notify(unsigned queue)
{
	driver_set(REG_NOTIFY, queue);
}

uint16_t driver_returned(unsigned queue)
{
	return driver_queue[queue].device[1];
}

static uint32_t last_word(unsigned queue, unsigned word)
{
	const struct driver_queue *at = &driver_queue[queue];
	uint32_t value;

	assert_true(at->device[1] || at->size);
	memcpy(&value, at->device + 2 + 4 * ((uint16_t)(at->device[1] - 1) % at->size) + 2 * word, sizeof(value));
	return value;
}

uint32_t driver_last_head(unsigned queue)
{
	return last_word(queue, 0);
}

uint32_t driver_last_written(unsigned queue)
{
	return last_word(queue, 1);
}
