/* SPDX-License-Identifier: MIT */
/*
 * The real-time clock of a PC with its memory: MC146818 (Motorola's data sheet, 1984), and what firmware keeps there.
 * It interrupts by a wire that stays up until register C is read: no guest gets a second interrupt before.
 */
#ifndef GUEST_DEVICES_RTC_H
#define GUEST_DEVICES_RTC_H

#include "guest/devices/clock.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

enum { RTC_PORT = 0x70, RTC_RAM = 128 };

/* What firmware keeps in the memory. */
enum {
	RTC_RAM_SHUTDOWN = 0x0F,
	RTC_RAM_CENTURY = 0x32,
	RTC_RAM_PROCESSORS = 0x5F, /* less one */
};

struct rtc {
	struct lock *lock;
	struct clock *clock;
	struct line line;
	struct timer timer;
	uint8_t index;
	uint8_t ram[RTC_RAM];              /* registers A to D among it; the time is there while it stands */
	uint64_t seconds;                  /* since the year 0, at `since`, while it runs */
	uint64_t since, noted;             /* ticks of the clock; the second up to which C's flags are set */
	uint64_t alarm;                    /* when it is due next; not after what is noted: not known */
	uint64_t beats_since, beats_noted; /* the same of the periodic interrupt */
};

/* A clock of 24 hours and decimal numbers that runs: it is `unix_time`, in seconds since 1970, now. */
void rtc_init(struct rtc *rtc, struct lock *lock, struct clock *clock, struct line line, uint64_t unix_time);

/* Puts down how much memory there is, in bytes, as QEMU's pc and its firmware have it. Context: host. */
void rtc_set_memory(struct rtc *rtc, uint64_t below_4g, uint64_t above_4g);

struct port_range rtc_ports(struct rtc *rtc);

#endif
