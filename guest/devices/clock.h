/* SPDX-License-Identifier: MIT */
/* Guest time, and the timers that devices set in it. */
#ifndef GUEST_DEVICES_CLOCK_H
#define GUEST_DEVICES_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_LEAST_TICKS = 10000 };

struct timer {
	void (*expire)(struct timer *timer, uint64_t now); /* may set it again; the clock is its lock's, as always */
	void *context;                                     /* the device */
	/* The clock's. */
	uint64_t at;
	struct timer *next;
	bool set;
};

/*
 * Time in ticks of the guest's TSC. A machine has one for its devices, used under their lock; each local APIC has one
 * of its own, used by its vCPU alone.
 */
struct clock {
	uint64_t (*now)(void *context); /* never goes back */
	/* A timer was set that is earlier than all others: who runs a vCPU may want to be back by then. May be NULL. */
	void (*sooner)(void *context, uint64_t at);
	void *context;
	uint64_t hz; /* ticks in a second, not 0 */
	/* The clock's. */
	struct timer *first; /* earliest first */
	bool expiring;
	uint64_t expired; /* up to when */
};

static inline uint64_t clock_now(const struct clock *clock)
{
	return clock->now(clock->context);
}

/*
 * Sets the timer, also one that is set: it expires in the first clock_expire() whose time is not before `at`. One that
 * is set while timers expire does so in a later call: a timer that asks for the past cannot keep the host there.
 */
void timer_set(struct clock *clock, struct timer *timer, uint64_t at);

/* Nothing happens to one that is not set. */
void timer_cancel(struct clock *clock, struct timer *timer);

/* The earliest `at`, or UINT64_MAX. */
uint64_t clock_next(const struct clock *clock);

/* Has all timers of `now` or earlier expire, in their order. */
void clock_expire(struct clock *clock, uint64_t now);

/* value * to / from, rounded down. Precondition: from * to < 2^64. What passes 2^64 is UINT64_MAX. */
uint64_t clock_scale(uint64_t value, uint64_t from, uint64_t to);

/* The same rounded up: the first time at which so much has been counted. Precondition: from * (to + 1) < 2^64. */
uint64_t clock_scale_up(uint64_t value, uint64_t from, uint64_t to);

/*
 * The shortest period that a device repeats an interrupt in, in ticks: 20 microseconds, and as long as serving one
 * takes several times, however slow the CPU is. A guest that asks for less would have the host do nothing but expire
 * its timers, and itself nothing but take them; it gets this period, as QEMU's and KVM's timers have one.
 */
static inline uint64_t clock_shortest(const struct clock *clock)
{
	const uint64_t ticks = clock->hz / 50000 + 1;

	return ticks < CLOCK_LEAST_TICKS ? CLOCK_LEAST_TICKS : ticks;
}

/*
 * When a timer of `period` that was due at `at` is due again: at the first of its beats after `now`. Beats that were
 * missed are not made up for, however many they are. Precondition: period is not 0.
 */
static inline uint64_t clock_beat(uint64_t at, uint64_t period, uint64_t now)
{
	return now < at ? at : now + period - (now - at) % period;
}

#endif
