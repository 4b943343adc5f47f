/* SPDX-License-Identifier: MIT */
#include "guest/devices/debug_console.h"

/* Whoever looks for the port reads this there, wherever it is. */
enum { DEBUG_CONSOLE_IS_THERE = 0xE9 };

static uint32_t debug_console_read(void *context, uint16_t offset, unsigned size)
{
	(void)context, (void)offset, (void)size;
	return DEBUG_CONSOLE_IS_THERE;
}

static void debug_console_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct debug_console *console = context;

	(void)offset, (void)size;
	lock_acquire(console->lock);
	console->put(console->context, (uint8_t)data);
	lock_release(console->lock);
}

struct port_range debug_console_port(struct debug_console *console, uint16_t port)
{
	return (struct port_range){port, 1, debug_console_read, debug_console_write, console};
}
