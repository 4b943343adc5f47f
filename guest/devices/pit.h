/* SPDX-License-Identifier: MIT */
/*
 * The 8254 timer of a PC with its three counters, and port 61h: the gate and the output of counter 2, the refresh's
 * toggle. Counter 0 interrupts by its rising edges; one that would come more often than clock_shortest() comes as often
 * as that.
 */
#ifndef GUEST_DEVICES_PIT_H
#define GUEST_DEVICES_PIT_H

#include "guest/devices/clock.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include <stdint.h>

enum { PIT_PORT = 0x40, PIT_SPEAKER_PORT = 0x61, PIT_HZ = 1193182, PIT_COUNTERS = 3 };

struct pit_counter {
	uint32_t count; /* 1 to 10000h; 0: none was written since the mode was set */
	uint8_t mode, access;
	bool bcd, gate;
	bool high_next_read, high_next_write;
	uint8_t low_written;
	uint8_t latched; /* bytes of `latch` that are still to be read */
	bool status_latched;
	uint16_t latch;
	uint8_t status;
	bool counting;
	uint64_t started; /* in the clock's ticks; not counting: */
	uint64_t counted; /* how far it came */
};

struct pit {
	struct lock *lock;
	struct clock *clock;
	struct line output; /* of counter 0 */
	struct timer timer;
	uint8_t speaker; /* bits 1:0 of port 61h */
	struct pit_counter counter[PIT_COUNTERS];
};

/* No counter has a mode yet. Context: host, before vCPUs run. */
void pit_init(struct pit *pit, struct lock *lock, struct clock *clock, struct line output);

struct port_range pit_ports(struct pit *pit);
struct port_range pit_speaker_port(struct pit *pit);

#endif
