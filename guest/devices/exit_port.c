/* SPDX-License-Identifier: MIT */
#include "guest/devices/exit_port.h"

static uint32_t exit_port_read(void *context, uint16_t offset, unsigned size)
{
	(void)context, (void)offset, (void)size;
	return 0;
}

static void exit_port_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct exit_port *port = context;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	port->ending.end(port->ending.context, ENDING_EXIT, data);
	lock_release(port->lock);
}

static void shutdown_port_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	static const char word[] = "Shutdown";
	struct exit_port *port = context;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	/* No beginning of the word stands within it but the first letter. */
	if ((char)data != word[port->matched])
		port->matched = 0;
	if ((char)data == word[port->matched])
		port->matched++;
	if (!word[port->matched]) {
		port->matched = 0;
		port->ending.end(port->ending.context, ENDING_POWER_OFF, 0);
	}
	lock_release(port->lock);
}

struct port_range exit_port_debug(struct exit_port *port)
{
	return (struct port_range){EXIT_PORT, EXIT_PORTS, exit_port_read, exit_port_write, port};
}

struct port_range exit_port_shutdown(struct exit_port *port)
{
	return (struct port_range){SHUTDOWN_PORT, 1, exit_port_read, shutdown_port_write, port};
}
