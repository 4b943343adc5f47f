/* SPDX-License-Identifier: MIT */
/*
 * The serial port of a PC: a 16550A, with FIFOs of 16 bytes. What the guest sends is sent at once, whatever the
 * divisor; what it is sent waits in a queue of the host's and moves up as the guest reads, so nothing overruns. The
 * receiver's time-out, which a guest below its FIFO's trigger level waits for, is over at once, too.
 */
#ifndef GUEST_DEVICES_SERIAL_H
#define GUEST_DEVICES_SERIAL_H

#include "guest/devices/byte_queue.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

enum { SERIAL_FIFO = 16, SERIAL_PORTS = 8 };

struct serial {
	struct lock *lock; /* the machine's */
	struct line line;
	void (*put)(void *context, uint8_t byte); /* what the guest sends; called with the lock held */
	void *context;
	uint8_t interrupt_enable, fifo_control, line_control, modem_control, line_status, modem_status, scratch;
	uint8_t divisor[2];
	bool sent; /* the transmitter has become empty, and the guest has not been told yet */
	uint8_t fifo[SERIAL_FIFO];
	unsigned first, count;
	struct byte_queue input;
};

/* As after a reset. */
void serial_init(struct serial *serial, struct lock *lock, struct line line, void (*put)(void *context, uint8_t byte),
		 void *context);

/* Its ports, from `first` on: 3F8h is COM1. */
struct port_range serial_ports(struct serial *serial, uint16_t first);

/* A byte for the guest; false: so many wait already that it has to be tried again later. Takes the lock. Context: any
 * but `put`. */
bool serial_input(struct serial *serial, uint8_t byte);

#endif
