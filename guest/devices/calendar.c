/* SPDX-License-Identifier: MIT */
#include "guest/devices/calendar.h"
#include <stdbool.h>

enum { DAY = 86400, YEARS_OF_CYCLE = 400, DAYS_OF_CYCLE = 146097, SATURDAY = 6 };

/* Days of a year that is not a leap year before each of its months. */
static const uint16_t days_before_month[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};

static bool is_leap(uint64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The year 0 is a leap year. */
static uint64_t days_before_year(uint64_t year)
{
	return 365 * year + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400;
}

static unsigned days_before(uint64_t year, unsigned month)
{
	return (unsigned)days_before_month[month - 1] + (month > 2 && is_leap(year));
}

uint64_t calendar_seconds(const struct calendar *calendar)
{
	unsigned month = calendar->month ? calendar->month - 1 : 0;
	uint64_t year = calendar->year + month / 12;
	uint64_t days = days_before_year(year) + days_before(year, month % 12 + 1) + calendar->day;

	if (days)
		days--;
	return days * DAY + calendar->hour * 3600ull + calendar->minute * 60ull + calendar->second;
}

struct calendar calendar_of(uint64_t seconds)
{
	uint64_t days = seconds / DAY, year = days * YEARS_OF_CYCLE / DAYS_OF_CYCLE;
	unsigned rest = (unsigned)(seconds % DAY), month = 12;

	/* An estimate that leap years make wrong by one at most. */
	if (days_before_year(year) > days)
		year--;
	else if (days_before_year(year + 1) <= days)
		year++;
	days -= days_before_year(year);
	while (days_before(year, month) > days)
		month--;
	return (struct calendar){.year = (unsigned)year,
				 .month = month,
				 .day = (unsigned)days - days_before(year, month) + 1,
				 .weekday = (unsigned)((seconds / DAY + SATURDAY) % 7) + 1,
				 .hour = rest / 3600,
				 .minute = rest / 60 % 60,
				 .second = rest % 60};
}
