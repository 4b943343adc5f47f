/* SPDX-License-Identifier: MIT */
#include "guest/devices/test_device.h"

enum { WORD_PORTS = 4, FLUSH_PORTS = 8 };

static bool test_is_word(uint16_t offset)
{
	return offset < WORD_PORTS || offset >= FLUSH_PORTS;
}

/* An access that passes from one group of ports to the next goes by bytes, each to its own. */
static uint32_t test_read(void *context, uint16_t offset, unsigned size)
{
	struct test_device *device = context;
	uint32_t data = 0;

	lock_acquire(device->lock);
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(offset + i);

		if (test_is_word(at))
			data |= (device->word >> (8 * (at % WORD_PORTS)) & 0xff) << (8 * i);
	}
	lock_release(device->lock);
	return data;
}

static void test_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct test_device *device = context;

	if (offset == WORD_PORTS && size == 4) {
		device->flush(device->context, data);
		return;
	}
	lock_acquire(device->lock);
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(offset + i);
		unsigned shift = 8 * (at % WORD_PORTS);

		if (test_is_word(at))
			device->word = (device->word & ~(0xffu << shift)) | (data >> (8 * i) & 0xff) << shift;
	}
	lock_release(device->lock);
}

static uint32_t test_irq_read(void *context, uint16_t offset, unsigned size)
{
	(void)context, (void)offset, (void)size;
	return 0;
}

/* A byte is a line: QEMU's registers are a byte wide, and a wider access goes to one after the other. */
static void test_irq_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct test_device *device = context;

	lock_acquire(device->lock);
	for (unsigned i = 0; i < size; i++) {
		struct line line = device->line;

		line.pin += offset + i;
		line_set(&line, data >> (8 * i) & 0xff);
	}
	lock_release(device->lock);
}

static enum tl_status test_access(struct tl_mmio *access)
{
	struct test_device *device = access->context;
	uint8_t *at = device->registers + access->offset;

	lock_acquire(device->lock);
	if (!access->write)
		access->data = 0;
	for (unsigned i = 0; i < access->size; i++) {
		if (access->write)
			at[i] = (uint8_t)(access->data >> (8 * i));
		else
			access->data |= (uint64_t)at[i] << (8 * i);
	}
	lock_release(device->lock);
	return TL_OK;
}

struct port_range test_device_ports(struct test_device *device)
{
	return (struct port_range){TEST_DEVICE_PORTS, TEST_DEVICE_NR_PORTS, test_read, test_write, device};
}

struct port_range test_device_irq_ports(struct test_device *device)
{
	return (struct port_range){TEST_DEVICE_IRQ_PORTS, TEST_DEVICE_LINES, test_irq_read, test_irq_write, device};
}

struct tl_range test_device_range(struct test_device *device)
{
	return (struct tl_range){.kind = TL_RANGE_MMIO,
				 .start = TEST_DEVICE_AT,
				 .size = TEST_DEVICE_SIZE,
				 .access = test_access,
				 .context = device};
}
