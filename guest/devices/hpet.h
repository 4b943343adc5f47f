/* SPDX-License-Identifier: MIT */
/*
 * A high precision event timer: IA-PC HPET specification 1.0a (2004). Three comparators of 64 bits, each of which
 * repeats; no interrupts by message. One that would repeat more often than clock_shortest() does so as often as that.
 */
#ifndef GUEST_DEVICES_HPET_H
#define GUEST_DEVICES_HPET_H

#include "guest/devices/clock.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include <stdint.h>
#include <trapline.h>

#define HPET_AT 0xFED00000ull

/* Intel's, 64 bits, legacy replacement, the number of the last comparator; revision 1: capabilities, and ACPI's table.
 */
#define HPET_ID (0x8086u << 16 | 1 << 15 | 1 << 13 | (HPET_TIMERS - 1) << 8 | 1)

enum {
	HPET_SIZE = 0x400,
	HPET_TIMERS = 3,
	HPET_HZ = 100000000,
	HPET_ROUTES = 0x00FF0104, /* pins of the I/O APIC that a comparator may interrupt by: 2, 8, 16 to 23 */
};

struct hpet_timer {
	struct timer timer;
	uint32_t config;
	uint64_t comparator, period;
};

struct hpet {
	struct lock *lock;
	struct clock *clock;
	struct line pins;      /* of the I/O APIC: `pin` is a comparator's route */
	struct line legacy[2]; /* of the PIT and of the RTC */
	bool legacy_level[2];  /* what they say of theirs */
	uint32_t config, status;
	uint64_t counter; /* at `started`, or while it stands */
	uint64_t started; /* in ticks of the clock */
	struct hpet_timer comparator[HPET_TIMERS];
};

/*
 * Standing, at 0. `pins` leads to the I/O APIC; the legacy lines are those of IRQ 0 and IRQ 8, to which the PIT's and
 * the RTC's lead by hpet_legacy_pin() only.
 */
void hpet_init(struct hpet *hpet, struct lock *lock, struct clock *clock, struct line pins, struct line irq0,
	       struct line irq8);

/* `set` of the PIT's line (pin 0) and the RTC's (pin 1): cut off while comparators replace them. The lock is held. */
void hpet_legacy_pin(void *context, unsigned pin, bool level);

/* The tl_mmio_fn of its registers; the range's context is the HPET. Takes the lock. */
enum tl_status hpet_access(struct tl_mmio *access);

#endif
