/* SPDX-License-Identifier: MIT */
/*
 * A driver of a virtio device, and the guest around it: 1 MiB of RAM, a page of a device, a page of ROM. Each queue has
 * its three areas at fixed places, and buffers that are taken one behind the other.
 */
#ifndef UNIT_VIRTIO_DRIVER_H
#define UNIT_VIRTIO_DRIVER_H

#include "guest/devices/virtio_mmio.h"
#include "tests/unit/device_fixture.h"

enum { GUEST_RAM = 1 << 20, GUEST_DEVICE_AT = 0x200000, GUEST_ROM_AT = 0x300000, GUEST_HOLE_AT = 0x400000 };
enum { VIRTIO_PIN = 5, DRIVER_QUEUE = 8 /* entries, if nothing else is said */ };

/* The registers that tests write by themselves. */
enum {
	REG_FEATURES = 0x10,
	REG_FEATURES_SELECT = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SELECT = 0x24,
	REG_QUEUE_SELECT = 0x30,
	REG_QUEUE_MOST = 0x34,
	REG_QUEUE_SIZE = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_NOTIFY = 0x50,
	REG_INTERRUPT = 0x60,
	REG_ACKNOWLEDGE = 0x64,
	REG_STATUS = 0x70,
	REG_DESCRIPTORS = 0x80,
	REG_DRIVER = 0x90,
	REG_DEVICE = 0xa0,
	REG_CONFIG = 0x100,
};
enum { ACKNOWLEDGED = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 0x40 };
#define RING_INDIRECT (1ull << 28)
#define VERSION_1     (1ull << 32)

enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };

struct driver_descriptor {
	uint64_t gpa;
	uint32_t size;
	uint16_t flags, next;
};

/* The areas of a queue in the guest's memory. */
struct driver_queue {
	struct driver_descriptor *descriptor;
	uint16_t *driver; /* flags, index, ring */
	uint16_t *device; /* flags, index, then pairs of 32 bits */
	uint16_t next, size;
};

extern struct driver_queue driver_queue[2];

/* The VM, and the place for a device in it. */
int virtio_guest_start(void **context);
int virtio_guest_stop(void **context);
struct virtio_place virtio_guest_place(void);
uint8_t *virtio_guest_bytes(uint64_t gpa);

/* Has the driver at that device's registers; nothing is written yet. */
void driver_attach(struct virtio_mmio *virtio);
uint64_t driver_read(uint64_t offset, unsigned size);
void driver_write(uint64_t offset, unsigned size, uint64_t data);
uint32_t driver_get(uint64_t reg);
void driver_set(uint64_t reg, uint32_t value);

/* Resets it and takes it into use by the book, with these features and VERSION_1, as far as it has them. */
void driver_begin(uint64_t features);
void driver_set_up(unsigned queue, uint16_t size);
/* Where the areas lie. */
uint64_t driver_descriptors_at(unsigned queue);
uint64_t driver_ring_at(unsigned queue);
uint64_t device_ring_at(unsigned queue);

/* One more buffer of the chain that begins with the descriptor `head`; its number. */
uint16_t driver_buffer(unsigned queue, uint64_t gpa, uint32_t size, uint16_t flags);
/* The chain is available; and the device is told. */
void driver_offer(unsigned queue, uint16_t head);
void driver_notify(unsigned queue);

/* The last chain that came back, and how many have. */
uint16_t driver_returned(unsigned queue);
uint32_t driver_last_head(unsigned queue);
uint32_t driver_last_written(unsigned queue);

#endif
