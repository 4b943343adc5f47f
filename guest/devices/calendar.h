/* SPDX-License-Identifier: MIT */
/* The Gregorian calendar, from the year 0 on. */
#ifndef GUEST_DEVICES_CALENDAR_H
#define GUEST_DEVICES_CALENDAR_H

#include <stdint.h>

#define CALENDAR_1970 (719528ull * 86400)

struct calendar {
	unsigned year, month, day; /* months and days from 1 */
	unsigned weekday;          /* 1: Sunday */
	unsigned hour, minute, second;
};

/* Fields beyond their range count on: the 30th of February is in March. */
uint64_t calendar_seconds(const struct calendar *calendar);

struct calendar calendar_of(uint64_t seconds);

#endif
