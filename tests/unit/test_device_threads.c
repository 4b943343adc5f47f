/* SPDX-License-Identifier: MIT */
/*
 * Devices that several vCPUs and the host use at once. Each is whole under the machine's lock: what is sent comes out,
 * once, and what is typed comes in. Under the thread sanitizer, too.
 */
#include "guest/devices/pci_config.h"
#include "guest/devices/serial.h"
#include "guest/devices/virtio_console.h"

#include "tests/unit/hosted.h"
#include "tests/unit/range_access.h"
#include "tests/unit/vm_fixture.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { VCPUS = 3, EACH = 400, RAM = 1 << 20, AREAS_AT = 0x10000, TEXT_AT = 0x20000, LSR = 5, CONFIG_DATA = 4 };

static struct lock lock;
static struct serial serial;
static struct pci_bus bus;
static struct pci_function function;
static struct virtio_console console;
static struct port_range serial_port, config_port;
static unsigned long sent[256], sent_virtio, edges;
static bool level, in_order = true;
static unsigned typed, got; /* of the host, and of the vCPU that reads */
static _Atomic bool typing, done;

static void put(void *context, uint8_t byte)
{
	if (context)
		sent_virtio++;
	else
		sent[byte]++;
}

static void set_line(void *context, unsigned pin, bool now)
{
	(void)context, (void)pin;
	edges += level != now;
	level = now;
}

static uint8_t serial_in(unsigned reg)
{
	return (uint8_t)serial_port.read(serial_port.context, (uint16_t)reg, 1);
}

static void write_register(uint64_t offset, uint32_t value)
{
	struct tl_range range = virtio_mmio_range(&console.virtio, 0xd0000000);
	struct tl_mmio access = {.offset = offset, .size = 4, .write = true, .data = value, .context = range.context};

	assert_int_equal(range_access(&range, &access), TL_OK);
}

/* The next of what was typed, if there is any. */
static void read_typed(void)
{
	if (serial_in(LSR) & 1)
		in_order &= serial_in(0) == (uint8_t)got++;
}

/* Writes a letter of its own, uses configuration space, tells a virtio device to look. One of them reads. */
static void *vcpu(void *context)
{
	unsigned number = *(unsigned *)context;

	for (unsigned i = 0; i < EACH; i++) {
		serial_port.write(serial_port.context, 0, 1, 'a' + number);
		if (number == 0)
			read_typed();
		config_port.write(config_port.context, CONFIG_DATA, 4, i);
		(void)config_port.read(config_port.context, CONFIG_DATA, 4);
		write_register(0x50, 1);
	}
	return NULL;
}

static void *host(void *context)
{
	(void)context;
	while (!done) {
		typed += serial_input(&serial, (uint8_t)typed);
		typing = true;
	}
	return NULL;
}

/* A driver that has given its whole transmit queue, 128 buffers of 10 bytes, before it tells the device. */
static void start_console(void)
{
	static const uint32_t steps[][2] = {{0x70, 3},
					    {0x24, 1},
					    {0x20, 1},
					    {0x70, 11},
					    {0x30, 1},
					    {0x38, 128},
					    {0x80, AREAS_AT},
					    {0x90, AREAS_AT + 0x1000},
					    {0xa0, AREAS_AT + 0x2000},
					    {0x44, 1},
					    {0x70, 15}};
	uint64_t *descriptor = (uint64_t *)hosted_memory(AREAS_AT);
	uint16_t *available = (uint16_t *)hosted_memory(AREAS_AT + 0x1000);

	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		write_register(steps[i][0], steps[i][1]);
	available[1] = 128;
	for (uint16_t i = 0; i < 128; i++) {
		available[2 + i] = i;
		descriptor[2 * i] = TEXT_AT;
		descriptor[2 * i + 1] = 10;
	}
}

static int start(void **context)
{
	vm_setup(context);
	range_add(ram_range(0, RAM));
	virtio_console_init(&console, (struct virtio_place){vm, &lock, {set_line, NULL, 1}}, put, &console);
	serial_init(&serial, &lock, (struct line){set_line, NULL, 0}, put, NULL);
	serial_port = serial_ports(&serial, 0x3f8);
	serial_port.write(&serial, 2, 1, 1);
	serial_port.write(&serial, 1, 1, 3);
	bus.lock = &lock;
	pci_host_bridge_init(&function);
	bus.function[0] = &function;
	config_port = pci_config_ports(&bus);
	config_port.write(&bus, 0, 4, 0x80000040);
	start_console();
	return 0;
}

static void all_of_them_at_once(void **context)
{
	pthread_t threads[VCPUS], typist;
	unsigned numbers[VCPUS];

	(void)context;
	assert_int_equal(pthread_create(&typist, NULL, host, NULL), 0);
	/* On a busy machine the others might be done before it begins. */
	while (!typing)
		sched_yield();
	for (unsigned i = 0; i < VCPUS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, vcpu, &numbers[i]), 0);
	}
	for (unsigned i = 0; i < VCPUS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sent['a' + i], EACH);
	}
	done = true;
	pthread_join(typist, NULL);
	while (got < typed && serial_in(LSR) & 1)
		read_typed();
	assert_int_equal(got, typed);
	assert_true(in_order && typed > 0);
	assert_int_equal(sent_virtio, 1280);
	assert_int_equal(*(uint16_t *)hosted_memory(AREAS_AT + 0x2002), 128);
	assert_true(edges > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_of_them_at_once, start, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
