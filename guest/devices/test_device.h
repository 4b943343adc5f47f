/* SPDX-License-Identifier: MIT */
/*
 * QEMU's pc-testdev, which kvm-unit-tests use: ports that remember, interrupt lines to pull, and 64 KiB of registers at
 * FF000000h that only an emulated instruction reaches.
 */
#ifndef GUEST_DEVICES_TEST_DEVICE_H
#define GUEST_DEVICES_TEST_DEVICE_H

#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <trapline.h>

#define TEST_DEVICE_AT 0xff000000ull

enum { TEST_DEVICE_SIZE = 0x10000, TEST_DEVICE_LINES = 24 };
/*
 * Four ports each at E0h and E8h for the same word, and at E4h for the address of a page that the CPU is to have no
 * translation of any more, whatever its next access is. They are where a debug console's E9h is: a machine has one or
 * the other.
 */
enum { TEST_DEVICE_PORTS = 0xE0, TEST_DEVICE_NR_PORTS = 12, TEST_DEVICE_IRQ_PORTS = 0x2000 };

struct test_device {
	struct lock *lock;
	struct line line;   /* pin 0; the others are those behind it */
	uint8_t *registers; /* TEST_DEVICE_SIZE bytes */
	uint32_t word;
	void (*flush)(void *context, uint64_t gpa); /* called without the lock */
	void *context;
};

struct port_range test_device_ports(struct test_device *device);
struct port_range test_device_irq_ports(struct test_device *device);
struct tl_range test_device_range(struct test_device *device);

#endif
