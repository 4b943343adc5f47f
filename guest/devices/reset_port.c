/* SPDX-License-Identifier: MIT */
/* Intel 82371AB (PIIX4) data sheet: 4.2.6.2, port 92h; RC, reset control register, I/O port CF9h. */
#include "guest/devices/reset_port.h"

enum { PORT_A_RESET = 1, PORT_A_A20 = 2 };
enum { CONTROL_HARD = 2, CONTROL_RESET = 4 };

static uint32_t port_a_read(void *context, uint16_t offset, unsigned size)
{
	const struct reset_port *port = context;
	uint8_t value;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	value = port->port_a;
	lock_release(port->lock);
	return value;
}

static void port_a_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct reset_port *port = context;
	uint8_t before;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	before = port->port_a;
	port->port_a = (uint8_t)data;
	line_set(&port->a20, data & PORT_A_A20);
	/* The reset is a pulse, made as the bit rises. */
	if (data & ~before & PORT_A_RESET)
		port->ending.end(port->ending.context, ENDING_RESET, 0);
	lock_release(port->lock);
}

static uint32_t control_read(void *context, uint16_t offset, unsigned size)
{
	const struct reset_port *port = context;
	uint8_t value;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	value = port->control;
	lock_release(port->lock);
	return value;
}

static void control_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct reset_port *port = context;

	(void)offset, (void)size;
	lock_acquire(port->lock);
	port->control = data & CONTROL_HARD;
	if (data & CONTROL_RESET)
		port->ending.end(port->ending.context, ENDING_RESET, 0);
	lock_release(port->lock);
}

void reset_port_init(struct reset_port *port, struct lock *lock, struct ending ending, struct line a20)
{
	*port = (struct reset_port){.lock = lock, .ending = ending, .a20 = a20, .port_a = PORT_A_A20};
}

struct port_range reset_port_control_a(struct reset_port *port)
{
	return (struct port_range){CONTROL_PORT_A, 1, port_a_read, port_a_write, port};
}

struct port_range reset_port_control(struct reset_port *port)
{
	return (struct port_range){RESET_CONTROL, 1, control_read, control_write, port};
}
