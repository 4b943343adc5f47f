/* SPDX-License-Identifier: MIT */
/* How a test ends its machine: QEMU's isa-debug-exit, and the shutdown port of Bochs. */
#ifndef GUEST_DEVICES_EXIT_PORT_H
#define GUEST_DEVICES_EXIT_PORT_H

#include "guest/devices/ending.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

enum { EXIT_PORT = 0xF4, EXIT_PORTS = 4, SHUTDOWN_PORT = 0x8900 };

struct exit_port {
	struct lock *lock;
	struct ending ending;
	unsigned matched; /* characters of the word so far */
};

/* ENDING_EXIT with the number written, of which QEMU makes the exit status 2 * number + 1. */
struct port_range exit_port_debug(struct exit_port *port);

/* ENDING_POWER_OFF once the characters of "Shutdown" have been written. */
struct port_range exit_port_shutdown(struct exit_port *port);

#endif
