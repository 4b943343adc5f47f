/* SPDX-License-Identifier: MIT */
#include "guest/devices/hpet.h"

enum { CAPABILITIES = 0x00, CONFIG = 0x10, STATUS = 0x20, COUNTER = 0xF0, TIMERS = 0x100, TIMER_STRIDE = 0x20 };
enum { TIMER_CONFIG = 0x00, TIMER_COMPARATOR = 0x08 };
enum { CONFIG_ENABLE = 1, CONFIG_LEGACY = 2 };

enum {
	LEVEL = 1 << 1,
	ENABLE = 1 << 2,
	PERIODIC = 1 << 3,
	CAN_REPEAT = 1 << 4,
	HAS_64_BITS = 1 << 5,
	SET_VALUE = 1 << 6,
	USE_32_BITS = 1 << 8,
	ROUTE_SHIFT = 9,
	ROUTE = 31 << ROUTE_SHIFT,
	TIMER_WRITABLE = LEVEL | ENABLE | PERIODIC | SET_VALUE | USE_32_BITS | ROUTE
};

/* The period, in femtoseconds. */
#define CAPABILITIES_VALUE (1000000000000000ull / HPET_HZ << 32 | HPET_ID)

static uint64_t hpet_elapsed(const struct hpet *hpet)
{
	return clock_scale(clock_now(hpet->clock) - hpet->started, hpet->clock->hz, HPET_HZ);
}

static bool hpet_runs(const struct hpet *hpet)
{
	return hpet->config & CONFIG_ENABLE;
}

static uint64_t hpet_counter(const struct hpet *hpet)
{
	return hpet_runs(hpet) ? hpet->counter + hpet_elapsed(hpet) : hpet->counter;
}

static uint64_t timer_mask(const struct hpet_timer *timer)
{
	return timer->config & USE_32_BITS ? UINT32_MAX : UINT64_MAX;
}

static bool timer_repeats(const struct hpet_timer *timer)
{
	return timer->config & PERIODIC && timer->period;
}

/* ---- Wires --------------------------------------------------------------------------------------------------------
 */

/* With legacy replacement comparators 0 and 1 have the wires of the PIT and the RTC, wherever they are routed. */
static struct line hpet_wire(const struct hpet *hpet, unsigned number)
{
	struct line wire = hpet->pins;

	if (hpet->config & CONFIG_LEGACY && number < 2)
		return hpet->legacy[number];
	wire.pin = (hpet->comparator[number].config & ROUTE) >> ROUTE_SHIFT;
	return wire;
}

static bool hpet_asserts(const struct hpet *hpet, unsigned number)
{
	const uint32_t config = hpet->comparator[number].config;

	return hpet->status >> number & 1 && config & LEVEL && config & ENABLE;
}

static void hpet_fire(struct hpet *hpet, unsigned number)
{
	const struct hpet_timer *timer = &hpet->comparator[number];
	struct line wire = hpet_wire(hpet, number);

	if (timer->config & LEVEL) {
		hpet->status |= 1u << number;
		line_set(&wire, hpet_asserts(hpet, number));
	} else if (timer->config & ENABLE) {
		line_set(&wire, true);
		line_set(&wire, false);
	}
}

void hpet_legacy_pin(void *context, unsigned pin, bool level)
{
	struct hpet *hpet = context;

	hpet->legacy_level[pin] = level;
	if (!(hpet->config & CONFIG_LEGACY))
		line_set(&hpet->legacy[pin], level);
}

/* ---- Comparators --------------------------------------------------------------------------------------------------
 */

/* A comparator that repeats, and that the counter has passed, stands at the first of its beats that is to come. */
static void hpet_advance(const struct hpet *hpet, struct hpet_timer *timer)
{
	uint64_t mask = timer_mask(timer), past = (hpet_counter(hpet) - timer->comparator) & mask;

	if (timer_repeats(timer) && past <= mask / 2)
		timer->comparator = (timer->comparator + (past / timer->period + 1) * timer->period) & mask;
}

/* `again`: it has just fired; the counter may still be what it was compared with, and a whole turn is to come. */
static void hpet_schedule(struct hpet *hpet, struct hpet_timer *timer, bool again)
{
	uint64_t mask = timer_mask(timer), left = (timer->comparator - hpet_counter(hpet)) & mask;
	uint64_t now = clock_now(hpet->clock), counted = hpet_elapsed(hpet), at, soonest;

	timer_cancel(hpet->clock, &timer->timer);
	if (!hpet_runs(hpet) || !(timer->config & (ENABLE | LEVEL)))
		return;
	if (again && !left && __builtin_add_overflow(mask, 1, &left))
		return;
	if (__builtin_add_overflow(counted, left, &counted))
		return;
	at = clock_scale_up(counted, HPET_HZ, hpet->clock->hz);
	if (__builtin_add_overflow(at, hpet->started, &at))
		return;
	soonest = now + clock_shortest(hpet->clock);
	timer_set(hpet->clock, &timer->timer, again && at < soonest ? soonest : at);
}

static void hpet_expire(struct timer *expired, uint64_t now)
{
	struct hpet *hpet = expired->context;
	unsigned number = 0;

	(void)now;
	while (&hpet->comparator[number].timer != expired)
		number++;
	hpet_advance(hpet, &hpet->comparator[number]);
	hpet_fire(hpet, number);
	hpet_schedule(hpet, &hpet->comparator[number], true);
}

/* ---- Registers ----------------------------------------------------------------------------------------------------
 */

static uint64_t hpet_read_timer(struct hpet *hpet, struct hpet_timer *timer, uint64_t offset)
{
	switch (offset) {
	case TIMER_CONFIG:
		return timer->config | CAN_REPEAT | HAS_64_BITS | (uint64_t)HPET_ROUTES << 32;
	case TIMER_COMPARATOR:
		hpet_advance(hpet, timer);
		return timer->comparator;
	default:
		return 0;
	}
}

static uint64_t hpet_read(struct hpet *hpet, uint64_t offset)
{
	uint64_t number = (offset - TIMERS) / TIMER_STRIDE;

	switch (offset) {
	case CAPABILITIES:
		return CAPABILITIES_VALUE;
	case CONFIG:
		return hpet->config;
	case STATUS:
		return hpet->status;
	case COUNTER:
		return hpet_counter(hpet);
	default:
		if (offset < TIMERS || number >= HPET_TIMERS)
			return 0;
		return hpet_read_timer(hpet, &hpet->comparator[number], offset % TIMER_STRIDE);
	}
}

/* A wire whose owner changes is left low, but for what the new owner says. */
static void hpet_set_config(struct hpet *hpet, uint32_t value)
{
	uint32_t changed = hpet->config ^ value;
	struct line wire;

	for (unsigned i = 0; i < HPET_TIMERS && changed & CONFIG_LEGACY; i++) {
		wire = hpet_wire(hpet, i);
		line_set(&wire, false);
	}
	if (changed & CONFIG_ENABLE) {
		hpet->counter = hpet_counter(hpet);
		hpet->started = clock_now(hpet->clock);
	}
	hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		if (changed & CONFIG_LEGACY) {
			wire = hpet_wire(hpet, i);
			if (i < 2)
				line_set(&hpet->legacy[i], !(hpet->config & CONFIG_LEGACY) && hpet->legacy_level[i]);
			if (hpet_asserts(hpet, i))
				line_set(&wire, true);
		}
		if (changed & CONFIG_ENABLE)
			hpet_schedule(hpet, &hpet->comparator[i], false);
	}
}

/* What is cleared lets its wire fall. */
static void hpet_clear_status(struct hpet *hpet, uint32_t value)
{
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		struct line wire = hpet_wire(hpet, i);
		bool asserted = hpet_asserts(hpet, i);

		hpet->status &= ~(value & 1u << i);
		if (asserted && !hpet_asserts(hpet, i))
			line_set(&wire, false);
	}
}

/* A route that is not there leaves the old one. */
static void hpet_set_timer_config(struct hpet *hpet, unsigned number, uint32_t value)
{
	struct hpet_timer *timer = &hpet->comparator[number];
	struct line wire = hpet_wire(hpet, number);

	if (hpet_asserts(hpet, number))
		line_set(&wire, false);
	hpet_advance(hpet, timer);
	if (!((uint32_t)HPET_ROUTES >> ((value & ROUTE) >> ROUTE_SHIFT) & 1))
		value = (value & ~(uint32_t)ROUTE) | (timer->config & ROUTE);
	timer->config = value & TIMER_WRITABLE;
	timer->comparator &= timer_mask(timer);
	timer->period &= timer_mask(timer);
	wire = hpet_wire(hpet, number);
	if (hpet_asserts(hpet, number))
		line_set(&wire, true);
	hpet_schedule(hpet, timer, false);
}

/*
 * What a comparator that repeats is given is its period, and the comparator itself only where the guest has asked for
 * that by the bit before. `mask`: which bits of it are written.
 */
static void hpet_set_comparator(struct hpet *hpet, struct hpet_timer *timer, uint64_t value, uint64_t mask)
{
	uint64_t kept = timer_mask(timer);

	hpet_advance(hpet, timer);
	if (!(timer->config & PERIODIC) || timer->config & SET_VALUE)
		timer->comparator = ((timer->comparator & ~mask) | (value & mask)) & kept;
	if (timer->config & PERIODIC)
		timer->period = ((timer->period & ~mask) | (value & mask)) & kept;
	timer->config &= ~(uint32_t)SET_VALUE;
	hpet_schedule(hpet, timer, false);
}

static void hpet_write_timer(struct hpet *hpet, unsigned number, uint64_t offset, uint64_t value, uint64_t mask)
{
	if (offset == TIMER_CONFIG && mask & 1)
		hpet_set_timer_config(hpet, number, (uint32_t)value);
	else if (offset == TIMER_COMPARATOR)
		hpet_set_comparator(hpet, &hpet->comparator[number], value, mask);
}

static void hpet_write(struct hpet *hpet, uint64_t offset, uint64_t value, uint64_t mask)
{
	uint64_t number = (offset - TIMERS) / TIMER_STRIDE;

	switch (offset) {
	case CONFIG:
		if (mask & 1)
			hpet_set_config(hpet, (uint32_t)value & (CONFIG_ENABLE | CONFIG_LEGACY));
		break;
	case STATUS:
		hpet_clear_status(hpet, (uint32_t)value);
		break;
	case COUNTER:
		/* It is written while it stands. */
		if (!hpet_runs(hpet))
			hpet->counter = (hpet->counter & ~mask) | value;
		break;
	default:
		if (offset >= TIMERS && number < HPET_TIMERS)
			hpet_write_timer(hpet, (unsigned)number, offset % TIMER_STRIDE, value, mask);
		break;
	}
}

/* Registers are of 8 bytes and taken whole or by halves. Parts are read; what is written otherwise goes nowhere. */
enum tl_status hpet_access(struct tl_mmio *access)
{
	struct hpet *hpet = access->context;
	uint64_t offset = access->offset & ~7ull;
	unsigned shift = 8 * (unsigned)(access->offset & 7);
	bool taken = access->size == 8 ? !shift : access->size == 4 && shift % 32 == 0;
	uint64_t mask = (access->size == 8 ? UINT64_MAX : UINT32_MAX) << shift;

	lock_acquire(hpet->lock);
	if (!access->write)
		access->data = hpet_read(hpet, offset) >> shift;
	else if (taken)
		hpet_write(hpet, offset, access->data << shift, mask);
	lock_release(hpet->lock);
	return TL_OK;
}

void hpet_init(struct hpet *hpet, struct lock *lock, struct clock *clock, struct line pins, struct line irq0,
	       struct line irq8)
{
	*hpet = (struct hpet){.lock = lock, .clock = clock, .pins = pins, .legacy = {irq0, irq8}};
	for (unsigned i = 0; i < HPET_TIMERS; i++) {
		hpet->comparator[i].timer.expire = hpet_expire;
		hpet->comparator[i].timer.context = hpet;
		hpet->comparator[i].comparator = UINT64_MAX;
		/* The first route that there is. */
		hpet->comparator[i].config = 2 << ROUTE_SHIFT;
	}
}
