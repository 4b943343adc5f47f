/* SPDX-License-Identifier: MIT */
/* A machine around one device of guest/devices/: what its wires, its ending and its bytes out were, and its lock. */
#ifndef UNIT_DEVICE_FIXTURE_H
#define UNIT_DEVICE_FIXTURE_H

#include "guest/devices/ending.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { BENCH_PINS = 16, BENCH_BYTES = 4096 };

/* Every callback checks that the lock is held, every access that it is free again. */
struct device_bench {
	struct lock lock;
	bool level[BENCH_PINS];
	unsigned rises[BENCH_PINS];
	unsigned endings;
	enum ending_kind kind;
	uint32_t code;
	uint8_t bytes[BENCH_BYTES];
	unsigned nr_bytes;
};

extern struct device_bench device_bench;

/* Forgets everything. */
void device_bench_start(void);

struct line bench_line(unsigned pin);
struct ending bench_ending(void);
void bench_put(void *context, uint8_t byte);

uint32_t bench_in(struct port_range range, unsigned offset, unsigned size);
void bench_out(struct port_range range, unsigned offset, unsigned size, uint32_t data);

#endif
