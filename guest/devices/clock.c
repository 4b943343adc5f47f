/* SPDX-License-Identifier: MIT */
#include "guest/devices/clock.h"

static void timer_unlink(struct clock *clock, struct timer *timer)
{
	struct timer **link = &clock->first;

	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->set = false;
}

/* A list, since a machine has some ten timers and most are not set. */
void timer_set(struct clock *clock, struct timer *timer, uint64_t at)
{
	struct timer **link = &clock->first;

	if (timer->set)
		timer_unlink(clock, timer);
	if (clock->expiring && at <= clock->expired)
		at = clock->expired + 1;
	while (*link && (*link)->at <= at)
		link = &(*link)->next;
	timer->at = at;
	timer->next = *link;
	timer->set = true;
	*link = timer;
	if (clock->first == timer && clock->sooner)
		clock->sooner(clock->context, at);
}

void timer_cancel(struct clock *clock, struct timer *timer)
{
	if (timer->set)
		timer_unlink(clock, timer);
}

uint64_t clock_next(const struct clock *clock)
{
	return clock->first ? clock->first->at : UINT64_MAX;
}

void clock_expire(struct clock *clock, uint64_t now)
{
	clock->expiring = true;
	clock->expired = now;
	while (clock->first && clock->first->at <= now) {
		struct timer *timer = clock->first;

		timer_unlink(clock, timer);
		timer->expire(timer, now);
	}
	clock->expiring = false;
}

static uint64_t clock_scale_rounded(uint64_t value, uint64_t from, uint64_t to, uint64_t round)
{
	uint64_t whole = value / from, rest = (value % from * to + round) / from, scaled;

	if (__builtin_mul_overflow(whole, to, &scaled) || __builtin_add_overflow(scaled, rest, &scaled))
		return UINT64_MAX;
	return scaled;
}

uint64_t clock_scale(uint64_t value, uint64_t from, uint64_t to)
{
	return clock_scale_rounded(value, from, to, 0);
}

uint64_t clock_scale_up(uint64_t value, uint64_t from, uint64_t to)
{
	return clock_scale_rounded(value, from, to, from - 1);
}
