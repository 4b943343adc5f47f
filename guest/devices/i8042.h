/* SPDX-License-Identifier: MIT */
/*
 * The keyboard controller of a PC, with its keyboard and without an auxiliary port. It resets the machine, too, and has
 * a gate of A20. A guest finds it as firmware leaves it: self-tested, translating, keyboard and interrupt on.
 */
#ifndef GUEST_DEVICES_I8042_H
#define GUEST_DEVICES_I8042_H

#include "guest/devices/byte_queue.h"
#include "guest/devices/ending.h"
#include "guest/devices/keyboard.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

enum { I8042_DATA = 0x60, I8042_COMMAND = 0x64, I8042_RAM = 32 };

struct i8042 {
	struct lock *lock;
	struct line line, a20;
	struct ending ending;
	uint8_t status, output, output_port;
	uint8_t command;        /* one whose parameter comes next; 0: none */
	uint8_t ram[I8042_RAM]; /* the first byte is the command byte */
	bool released;          /* a break code's first byte has been swallowed by the translation */
	struct byte_queue replies;
	struct keyboard keyboard;
};

void i8042_init(struct i8042 *i8042, struct lock *lock, struct line line, struct line a20, struct ending ending);

struct port_range i8042_data_port(struct i8042 *i8042);
struct port_range i8042_command_port(struct i8042 *i8042);

/*
 * A key's scan code of set 2, as one to eight bytes that come together or not at all: false, and the caller tries again
 * later, when too many wait. What comes while the guest has turned scanning off is lost. Takes the lock. Context: any
 * but the callbacks.
 */
bool i8042_key(struct i8042 *i8042, const uint8_t *code, unsigned size);

#endif
