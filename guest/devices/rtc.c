/* SPDX-License-Identifier: MIT */
#include "guest/devices/rtc.h"
#include "guest/devices/calendar.h"

enum {
	SECONDS,
	SECONDS_ALARM,
	MINUTES,
	MINUTES_ALARM,
	HOURS,
	HOURS_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REGISTER_A,
	REGISTER_B,
	REGISTER_C,
	REGISTER_D
};

enum { A_UPDATING = 0x80, A_DIVIDER = 0x70, A_RUNS = 0x20, A_RATE = 0x0f };
enum { B_SET = 0x80, B_BINARY = 4, B_24_HOURS = 2 };
/* C's flags stand where B's enable bits do. */
enum { C_REQUEST = 0x80, C_PERIODIC = 0x40, C_ALARM = 0x20, C_UPDATE = 0x10 };
enum { D_VALID = 0x80, ANY = 0xc0, AFTERNOON = 0x80, CRYSTAL_HZ = 32768, UPDATE_TAKES = 8, MINUTES_OF_A_DAY = 1440 };

static bool rtc_runs(const struct rtc *rtc)
{
	return !(rtc->ram[REGISTER_B] & B_SET) && (rtc->ram[REGISTER_A] & A_DIVIDER) == A_RUNS;
}

static uint64_t rtc_seconds(const struct rtc *rtc)
{
	return rtc->seconds + (clock_now(rtc->clock) - rtc->since) / rtc->clock->hz;
}

/* ---- Numbers in the registers' form -------------------------------------------------------------------------------
 */

static uint8_t rtc_encode(const struct rtc *rtc, unsigned value)
{
	return (uint8_t)(rtc->ram[REGISTER_B] & B_BINARY ? value : value / 10 % 10 << 4 | value % 10);
}

static unsigned rtc_decode(const struct rtc *rtc, uint8_t byte)
{
	return rtc->ram[REGISTER_B] & B_BINARY ? byte : (byte >> 4) * 10u + (byte & 15);
}

static uint8_t rtc_encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->ram[REGISTER_B] & B_24_HOURS)
		return rtc_encode(rtc, hour);
	return (uint8_t)(rtc_encode(rtc, (hour + 11) % 12 + 1) | (hour >= 12 ? AFTERNOON : 0));
}

static unsigned rtc_decode_hour(const struct rtc *rtc, uint8_t byte)
{
	if (rtc->ram[REGISTER_B] & B_24_HOURS)
		return rtc_decode(rtc, byte);
	return rtc_decode(rtc, byte & ~AFTERNOON & 0xff) % 12 + (byte & AFTERNOON ? 12 : 0);
}

/* Puts the time into its registers, and takes it from there. */
static void rtc_store(struct rtc *rtc)
{
	const struct calendar now = calendar_of(rtc_seconds(rtc));

	rtc->ram[SECONDS] = rtc_encode(rtc, now.second);
	rtc->ram[MINUTES] = rtc_encode(rtc, now.minute);
	rtc->ram[HOURS] = rtc_encode_hour(rtc, now.hour);
	rtc->ram[WEEKDAY] = rtc_encode(rtc, now.weekday);
	rtc->ram[DAY] = rtc_encode(rtc, now.day);
	rtc->ram[MONTH] = rtc_encode(rtc, now.month);
	rtc->ram[YEAR] = rtc_encode(rtc, now.year % 100);
	rtc->ram[RTC_RAM_CENTURY] = rtc_encode(rtc, now.year / 100);
}

static void rtc_load(struct rtc *rtc)
{
	const struct calendar now = {
		.year = rtc_decode(rtc, rtc->ram[RTC_RAM_CENTURY]) * 100 + rtc_decode(rtc, rtc->ram[YEAR]),
		.month = rtc_decode(rtc, rtc->ram[MONTH]),
		.day = rtc_decode(rtc, rtc->ram[DAY]),
		.hour = rtc_decode_hour(rtc, rtc->ram[HOURS]),
		.minute = rtc_decode(rtc, rtc->ram[MINUTES]),
		.second = rtc_decode(rtc, rtc->ram[SECONDS]),
	};
	uint64_t whole = (clock_now(rtc->clock) - rtc->since) / rtc->clock->hz;

	/* The second that has begun stays as long as it is. */
	rtc->since += whole * rtc->clock->hz;
	rtc->seconds = calendar_seconds(&now);
	rtc->noted = rtc->seconds;
}

/* ---- Interrupts ---------------------------------------------------------------------------------------------------
 */

static bool rtc_matches(uint8_t alarm, uint8_t value)
{
	return alarm == value || (alarm & ANY) == ANY;
}

/* The next second after `after` at which the alarm is due, minute by minute; UINT64_MAX: never. */
static uint64_t rtc_next_alarm(const struct rtc *rtc, uint64_t after)
{
	uint64_t second = after + 1;

	for (unsigned i = 0; i <= MINUTES_OF_A_DAY; i++, second = (second / 60 + 1) * 60) {
		const struct calendar at = calendar_of(second);

		if (!rtc_matches(rtc->ram[HOURS_ALARM], rtc_encode_hour(rtc, at.hour)) ||
		    !rtc_matches(rtc->ram[MINUTES_ALARM], rtc_encode(rtc, at.minute)))
			continue;
		for (unsigned j = at.second; j < 60; j++)
			if (rtc_matches(rtc->ram[SECONDS_ALARM], rtc_encode(rtc, j)))
				return second + j - at.second;
	}
	return UINT64_MAX;
}

/* The next one after what is noted; looked for again only when that has passed, or a register was written. */
static uint64_t rtc_alarm(struct rtc *rtc)
{
	if (rtc->alarm <= rtc->noted)
		rtc->alarm = rtc_next_alarm(rtc, rtc->noted);
	return rtc->alarm;
}

/* In hertz; 0: none. The first two rates are those of slower ones. */
static unsigned rtc_rate(const struct rtc *rtc)
{
	unsigned rate = rtc->ram[REGISTER_A] & A_RATE;

	if (!rate || (rtc->ram[REGISTER_A] & A_DIVIDER) != A_RUNS)
		return 0;
	return CRYSTAL_HZ >> ((rate < 3 ? rate + 7 : rate) - 1);
}

/* Sets the flags of what has come since the last time. */
static void rtc_note(struct rtc *rtc)
{
	uint64_t seconds = rtc_seconds(rtc), beats;
	uint8_t *flags = &rtc->ram[REGISTER_C];

	if (rtc_runs(rtc) && seconds > rtc->noted) {
		*flags |= C_UPDATE;
		if (rtc_alarm(rtc) <= seconds)
			*flags |= C_ALARM;
		rtc->noted = seconds;
	}
	if (rtc_rate(rtc)) {
		beats = clock_scale(clock_now(rtc->clock) - rtc->beats_since, rtc->clock->hz, rtc_rate(rtc));
		if (beats > rtc->beats_noted)
			*flags |= C_PERIODIC;
		rtc->beats_noted = beats;
	}
}

/* Timers are set only for what would raise the wire: never for a flag that is set already. */
static void rtc_update(struct rtc *rtc)
{
	uint8_t *flags = &rtc->ram[REGISTER_C], wanted = rtc->ram[REGISTER_B] & (uint8_t) ~*flags;
	uint64_t second = UINT64_MAX, at = UINT64_MAX, beat;

	if (*flags & rtc->ram[REGISTER_B] & (C_PERIODIC | C_ALARM | C_UPDATE)) {
		*flags |= C_REQUEST;
		wanted = 0;
	} else {
		*flags &= (uint8_t)~C_REQUEST;
	}
	line_set(&rtc->line, *flags & C_REQUEST);
	timer_cancel(rtc->clock, &rtc->timer);
	if (rtc_runs(rtc) && wanted & C_UPDATE)
		second = rtc->noted + 1;
	else if (rtc_runs(rtc) && wanted & C_ALARM)
		second = rtc_alarm(rtc);
	if (second != UINT64_MAX)
		at = rtc->since + (second - rtc->seconds) * rtc->clock->hz;
	if (rtc_rate(rtc) && wanted & C_PERIODIC) {
		beat = rtc->beats_since + clock_scale_up(rtc->beats_noted + 1, rtc_rate(rtc), rtc->clock->hz);
		at = beat < at ? beat : at;
	}
	if (at != UINT64_MAX)
		timer_set(rtc->clock, &rtc->timer, at);
}

static void rtc_expire(struct timer *timer, uint64_t now)
{
	struct rtc *rtc = timer->context;

	(void)now;
	rtc_note(rtc);
	rtc_update(rtc);
}

/* ---- Registers ----------------------------------------------------------------------------------------------------
 */

static bool rtc_is_time(unsigned index)
{
	return index == SECONDS || index == MINUTES || index == HOURS || (index >= WEEKDAY && index <= YEAR) ||
	       index == RTC_RAM_CENTURY;
}

/* An update takes the last eight cycles of the crystal before its second. */
static bool rtc_updates(const struct rtc *rtc)
{
	uint64_t hz = rtc->clock->hz, into = (clock_now(rtc->clock) - rtc->since) % hz;

	return rtc_runs(rtc) && clock_scale(hz - into, hz, CRYSTAL_HZ) < UPDATE_TAKES;
}

static uint8_t rtc_get(struct rtc *rtc)
{
	uint8_t value;

	if (rtc_is_time(rtc->index) && rtc_runs(rtc))
		rtc_store(rtc);
	value = rtc->ram[rtc->index];
	if (rtc->index == REGISTER_A)
		return value | (rtc_updates(rtc) ? A_UPDATING : 0);
	if (rtc->index == REGISTER_C)
		rtc->ram[REGISTER_C] = 0;
	return value;
}

/* A and B: what stops or starts the clock, changes its form, or its rate. */
static void rtc_set_control(struct rtc *rtc, uint8_t value)
{
	bool ran = rtc_runs(rtc);

	if (ran)
		rtc_store(rtc);
	if (rtc->index == REGISTER_A) {
		rtc->beats_since = clock_now(rtc->clock);
		rtc->beats_noted = 0;
		rtc->ram[REGISTER_A] = value & (uint8_t)~A_UPDATING;
	} else {
		rtc->ram[REGISTER_B] = value & B_SET ? value & (uint8_t)~C_UPDATE : value;
	}
	/* In another form the registers hold the same time: what is stored is stored anew. */
	if (ran && rtc_runs(rtc)) {
		rtc_store(rtc);
	} else if (rtc_runs(rtc)) {
		rtc->since = clock_now(rtc->clock);
		rtc_load(rtc);
	}
}

static void rtc_put(struct rtc *rtc, uint8_t value)
{
	rtc->alarm = 0;
	switch (rtc->index) {
	case REGISTER_A:
	case REGISTER_B:
		rtc_set_control(rtc, value);
		break;
	case REGISTER_C:
	case REGISTER_D:
		break;
	default:
		if (rtc_is_time(rtc->index) && rtc_runs(rtc))
			rtc_store(rtc);
		rtc->ram[rtc->index] = value;
		if (rtc_is_time(rtc->index) && rtc_runs(rtc))
			rtc_load(rtc);
		break;
	}
}

/* The index is not read back, and its highest bit is the gate of NMIs, of which there are none. */
static uint32_t rtc_read(void *context, uint16_t offset, unsigned size)
{
	struct rtc *rtc = context;
	uint32_t data = 0xff;

	lock_acquire(rtc->lock);
	rtc_note(rtc);
	rtc_update(rtc);
	if (offset || size > 1)
		data = offset ? rtc_get(rtc) : 0xffu | (uint32_t)rtc_get(rtc) << 8;
	rtc_update(rtc);
	lock_release(rtc->lock);
	return data;
}

static void rtc_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct rtc *rtc = context;

	lock_acquire(rtc->lock);
	rtc_note(rtc);
	if (!offset)
		rtc->index = data % RTC_RAM;
	if (offset || size > 1)
		rtc_put(rtc, (uint8_t)(offset ? data : data >> 8));
	rtc_update(rtc);
	lock_release(rtc->lock);
}

struct port_range rtc_ports(struct rtc *rtc)
{
	return (struct port_range){RTC_PORT, 2, rtc_read, rtc_write, rtc};
}

void rtc_init(struct rtc *rtc, struct lock *lock, struct clock *clock, struct line line, uint64_t unix_time)
{
	*rtc = (struct rtc){.lock = lock, .clock = clock, .line = line};
	rtc->timer.expire = rtc_expire;
	rtc->timer.context = rtc;
	/* As firmware leaves them: 1024 Hz, and no interrupt. */
	rtc->ram[REGISTER_A] = A_RUNS | 6;
	rtc->ram[REGISTER_B] = B_24_HOURS;
	rtc->ram[REGISTER_D] = D_VALID;
	rtc->seconds = rtc->noted = CALENDAR_1970 + unix_time;
	rtc->since = rtc->beats_since = clock_now(clock);
}

static void rtc_set_number(struct rtc *rtc, unsigned index, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc->ram[index + i] = (uint8_t)(value >> (8 * i));
}

static uint64_t rtc_units(uint64_t memory, uint64_t from, uint64_t unit, uint64_t most)
{
	uint64_t units = memory > from ? (memory - from) / unit : 0;

	return units < most ? units : most;
}

/* KiB below 640 and above 1024, twice; 64 KiB above 16 MiB, and above 4 GiB. */
void rtc_set_memory(struct rtc *rtc, uint64_t below_4g, uint64_t above_4g)
{
	rtc_set_number(rtc, 0x15, 640, 2);
	rtc_set_number(rtc, 0x17, rtc_units(below_4g, 1 << 20, 1024, UINT16_MAX), 2);
	rtc_set_number(rtc, 0x30, rtc_units(below_4g, 1 << 20, 1024, UINT16_MAX), 2);
	rtc_set_number(rtc, 0x34, rtc_units(below_4g, 16 << 20, 65536, UINT16_MAX), 2);
	rtc_set_number(rtc, 0x5B, rtc_units(above_4g, 0, 65536, (1 << 24) - 1), 3);
}
