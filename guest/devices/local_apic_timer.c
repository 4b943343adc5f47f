/* SPDX-License-Identifier: MIT */
/* The timer: one-shot, periodic, TSC-deadline. SDM vol. 3, 11.5.4. */
#include "guest/devices/local_apic_state.h"

/* The divide configuration register counts 2, 4, ... 128, 1. */
static unsigned timer_shift(const struct local_apic *apic)
{
	unsigned code = (apic->divide & 3) | (apic->divide >> 1 & 4);

	return (code + 1) & 7;
}

static uint32_t timer_mode(const struct local_apic *apic)
{
	return apic_word(&apic->lvt[LVT_TIMER]) & LVT_TIMER_MODE;
}

static uint64_t timer_period(const struct local_apic *apic)
{
	return clock_scale((uint64_t)apic->initial_count << timer_shift(apic), apic->bus->timer_hz, apic->clock.hz);
}

static uint64_t sum_or_never(uint64_t at, uint64_t ticks)
{
	return at + ticks < at ? UINT64_MAX : at + ticks;
}

/* A guest that asks for a period shorter than the shortest gets the shortest. */
static void timer_expire(struct timer *timer, uint64_t now)
{
	struct local_apic *apic = timer->context;
	uint64_t period = timer_period(apic), shortest = clock_shortest(&apic->clock), next;

	if (timer_mode(apic) == LVT_PERIODIC) {
		period = period < shortest ? shortest : period;
		next = clock_beat(timer->at, period, now);
		apic->started = next - period;
		timer_set(&apic->clock, timer, next);
	}
	apic->deadline = 0;
	local_apic_raise(apic, LVT_TIMER);
}

void local_apic_timer_init(struct local_apic *apic, const struct clock *clock)
{
	apic->clock.now = clock->now;
	apic->clock.sooner = clock->sooner;
	apic->clock.context = clock->context;
	apic->clock.hz = clock->hz;
	apic->timer.expire = timer_expire;
	apic->timer.context = apic;
}

void local_apic_timer_reset(struct local_apic *apic)
{
	timer_cancel(&apic->clock, &apic->timer);
	apic->divide = 0;
	apic->initial_count = 0;
	apic->deadline = 0;
}

void local_apic_set_initial_count(struct local_apic *apic, uint32_t count)
{
	uint64_t now = clock_now(&apic->clock);

	if (timer_mode(apic) == LVT_TSC_DEADLINE)
		return;
	apic->initial_count = count;
	apic->started = now;
	if (count)
		timer_set(&apic->clock, &apic->timer, sum_or_never(now, timer_period(apic)));
	else
		timer_cancel(&apic->clock, &apic->timer);
}

uint32_t local_apic_current_count(const struct local_apic *apic)
{
	uint64_t counted;

	/* Periodic mode starts a count again at its end, not one that had ended before. */
	if (timer_mode(apic) == LVT_TSC_DEADLINE || !apic->timer.set)
		return 0;
	counted = clock_scale(clock_now(&apic->clock) - apic->started, apic->clock.hz, apic->bus->timer_hz) >>
		  timer_shift(apic);
	if (timer_mode(apic) == LVT_PERIODIC)
		return apic->initial_count - (uint32_t)(counted % apic->initial_count);
	return counted < apic->initial_count ? apic->initial_count - (uint32_t)counted : 0;
}

/* What is left is counted on with the new divider. */
void local_apic_set_divide(struct local_apic *apic, uint32_t divide)
{
	uint32_t left = local_apic_current_count(apic);
	uint64_t now = clock_now(&apic->clock), counted;

	apic->divide = divide & 0xb;
	if (!left)
		return;
	counted = (uint64_t)(apic->initial_count - left) << timer_shift(apic);
	apic->started = now - clock_scale(counted, apic->bus->timer_hz, apic->clock.hz);
	timer_set(&apic->clock, &apic->timer, sum_or_never(apic->started, timer_period(apic)));
}

static void timer_set_deadline(struct local_apic *apic)
{
	uint64_t deadline = apic->deadline, adjust = (uint64_t)apic->tsc_adjust;

	if (!deadline)
		timer_cancel(&apic->clock, &apic->timer);
	else if (apic->tsc_adjust < 0)
		timer_set(&apic->clock, &apic->timer, sum_or_never(deadline, -adjust));
	else
		timer_set(&apic->clock, &apic->timer, deadline > adjust ? deadline - adjust : 0);
}

void local_apic_set_deadline(struct local_apic *apic, uint64_t deadline)
{
	if (timer_mode(apic) != LVT_TSC_DEADLINE)
		return;
	apic->deadline = deadline;
	timer_set_deadline(apic);
}

void local_apic_adjust_tsc(struct local_apic *apic, int64_t adjust)
{
	apic->tsc_adjust = adjust;
	if (timer_mode(apic) == LVT_TSC_DEADLINE)
		timer_set_deadline(apic);
}

/* Into and out of TSC-deadline mode the timer is disarmed. Otherwise the count goes on; one that has come to its end,
 * and whose interrupt is only due to be sent yet, has ended in the mode that was. */
void local_apic_timer_mode(struct local_apic *apic, uint32_t old)
{
	uint32_t was = old & LVT_TIMER_MODE, mode = timer_mode(apic);

	if ((mode == LVT_TSC_DEADLINE) != (was == LVT_TSC_DEADLINE)) {
		timer_cancel(&apic->clock, &apic->timer);
		apic->initial_count = 0;
		apic->deadline = 0;
	} else if (!was && mode == LVT_PERIODIC && apic->timer.set && apic->timer.at <= clock_now(&apic->clock)) {
		timer_cancel(&apic->clock, &apic->timer);
		local_apic_raise(apic, LVT_TIMER);
	}
}
