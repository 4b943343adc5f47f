/* SPDX-License-Identifier: MIT */
/* A port that prints the bytes written to it: E9h of Bochs, 402h of QEMU's firmware. */
#ifndef GUEST_DEVICES_DEBUG_CONSOLE_H
#define GUEST_DEVICES_DEBUG_CONSOLE_H

#include "guest/devices/lock.h"
#include "guest/devices/port.h"

struct debug_console {
	struct lock *lock;
	void (*put)(void *context, uint8_t byte); /* called with the lock held */
	void *context;
};

/* The same console may stand at several ports. */
struct port_range debug_console_port(struct debug_console *console, uint16_t port);

#endif
