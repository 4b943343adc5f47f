/* SPDX-License-Identifier: MIT */
/* The chip set's two ports that reset a PC: system control port A, 92h, which has the A20 gate, too, and CF9h. */
#ifndef GUEST_DEVICES_RESET_PORT_H
#define GUEST_DEVICES_RESET_PORT_H

#include "guest/devices/ending.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

enum { CONTROL_PORT_A = 0x92, RESET_CONTROL = 0xCF9 };

struct reset_port {
	struct lock *lock;
	struct ending ending;
	struct line a20; /* high: address bit 20 is the CPU's */
	uint8_t port_a, control;
};

/* As after a reset, with A20 as it is after the firmware: enabled. */
void reset_port_init(struct reset_port *port, struct lock *lock, struct ending ending, struct line a20);

struct port_range reset_port_control_a(struct reset_port *port);
struct port_range reset_port_control(struct reset_port *port);

#endif
