/* SPDX-License-Identifier: MIT */
/* Intel's 8254 data sheet (1993). Time is what passed since a counter was started; nothing is counted down. */
#include "guest/devices/pit.h"

enum { CONTROL_PORT = 3, READ_BACK = 3, FULL_COUNT = 0x10000, FULL_BCD = 10000 };
enum { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };
enum { CONTROL_BCD = 1, READ_BACK_NO_COUNT = 0x20, READ_BACK_NO_STATUS = 0x10 };
enum { STATUS_OUTPUT = 0x80, STATUS_NULL_COUNT = 0x40 };
enum { MODE_TERMINAL, MODE_ONE_SHOT, MODE_RATE, MODE_SQUARE, MODE_SOFT_STROBE, MODE_HARD_STROBE };
enum { SPEAKER_GATE = 1, SPEAKER_WRITABLE = 3, SPEAKER_REFRESH = 0x10, SPEAKER_OUTPUT = 0x20, REFRESH_HZ = 66288 };

static uint64_t pit_counted(const struct pit *pit, const struct pit_counter *counter)
{
	if (!counter->counting)
		return counter->counted;
	return clock_scale(clock_now(pit->clock) - counter->started, pit->clock->hz, PIT_HZ);
}

/* The gate's edge starts it, and until then nothing runs. */
static bool counter_is_triggered(const struct pit_counter *counter)
{
	return counter->mode == MODE_ONE_SHOT || counter->mode == MODE_HARD_STROBE;
}

static bool counter_is_periodic(const struct pit_counter *counter)
{
	return counter->mode == MODE_RATE || counter->mode == MODE_SQUARE;
}

static bool pit_output(const struct pit *pit, const struct pit_counter *counter)
{
	uint64_t counted = pit_counted(pit, counter), count = counter->count;
	bool began = counter->counting || counted;

	if (!count)
		return counter->mode != MODE_TERMINAL;
	switch (counter->mode) {
	case MODE_TERMINAL:
		return counted >= count;
	case MODE_ONE_SHOT:
		return !began || counted >= count;
	case MODE_RATE:
		return !counter->gate || counted % count != count - 1;
	case MODE_SQUARE:
		return !counter->gate || counted % count < (count + 1) / 2;
	default:
		return !began || counted != count;
	}
}

static uint16_t pit_value(const struct pit *pit, const struct pit_counter *counter)
{
	uint64_t counted = pit_counted(pit, counter), count = counter->count;
	uint32_t full = counter->bcd ? FULL_BCD : FULL_COUNT, value;

	if (!count)
		return 0;
	if (counter->mode == MODE_RATE)
		value = (uint32_t)(count - counted % count);
	else if (counter->mode == MODE_SQUARE)
		value = (uint32_t)(count - 2 * counted % count) & ~1u;
	else
		value = (uint32_t)((count + full - counted % full) % full);
	value %= full;
	if (!counter->bcd)
		return (uint16_t)value;
	return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10);
}

/* ---- Counter 0's interrupt ----------------------------------------------------------------------------------------
 */

/* The first tick of the clock at which counter 0 has counted as much. */
static uint64_t pit_time_of(const struct pit *pit, uint64_t counted)
{
	return pit->counter[0].started + clock_scale_up(counted, PIT_HZ, pit->clock->hz);
}

static void pit_schedule(struct pit *pit, bool again)
{
	const struct pit_counter *counter = &pit->counter[0];
	uint64_t counted = pit_counted(pit, counter), at, soonest;

	timer_cancel(pit->clock, &pit->timer);
	if (!counter->counting || (again && !counter_is_periodic(counter)))
		return;
	if (counter_is_periodic(counter))
		at = pit_time_of(pit, (counted / counter->count + 1) * counter->count);
	else
		at = pit_time_of(pit, counter->count + (counter->mode == MODE_SOFT_STROBE));
	soonest = clock_now(pit->clock) + clock_shortest(pit->clock);
	timer_set(pit->clock, &pit->timer, again && at < soonest ? soonest : at);
}

static void pit_expire(struct timer *timer, uint64_t now)
{
	struct pit *pit = timer->context;

	(void)now;
	line_set(&pit->output, false);
	line_set(&pit->output, true);
	pit_schedule(pit, true);
}

/* ---- Counters -----------------------------------------------------------------------------------------------------
 */

static void pit_start(struct pit *pit, struct pit_counter *counter)
{
	counter->counting = true;
	counter->started = clock_now(pit->clock);
	if (counter != pit->counter)
		return;
	line_set(&pit->output, pit_output(pit, counter));
	pit_schedule(pit, false);
}

static void pit_stop(struct pit *pit, struct pit_counter *counter)
{
	counter->counted = pit_counted(pit, counter);
	counter->counting = false;
}

static void pit_set_mode(struct pit *pit, struct pit_counter *counter, uint8_t control)
{
	unsigned mode = control >> 1 & 7;

	/* Modes 2 and 3 have a bit that is not looked at. */
	counter->mode = (uint8_t)(mode > MODE_HARD_STROBE ? mode - 4 : mode);
	counter->access = control >> 4 & 3;
	counter->bcd = control & CONTROL_BCD;
	counter->count = 0;
	counter->counting = false;
	counter->counted = 0;
	counter->high_next_read = counter->high_next_write = false;
	counter->latched = 0;
	counter->status_latched = false;
	if (counter == pit->counter) {
		line_set(&pit->output, pit_output(pit, counter));
		pit_schedule(pit, false);
	}
}

/* A new count of a counter that repeats is taken from now on: when the old period ends is nothing that guests rely on.
 */
static void pit_load(struct pit *pit, struct pit_counter *counter, uint32_t value)
{
	if (counter->bcd)
		value = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 + (value & 15);
	counter->count = value ? value : counter->bcd ? FULL_BCD : FULL_COUNT;
	if (counter_is_triggered(counter))
		return;
	counter->counted = 0;
	counter->counting = false;
	if (counter->gate)
		pit_start(pit, counter);
}

static void pit_write_count(struct pit *pit, struct pit_counter *counter, uint8_t byte)
{
	switch (counter->access) {
	case ACCESS_LOW:
		pit_load(pit, counter, byte);
		break;
	case ACCESS_HIGH:
		pit_load(pit, counter, (uint32_t)byte << 8);
		break;
	default:
		if (counter->high_next_write)
			pit_load(pit, counter, (uint32_t)byte << 8 | counter->low_written);
		else
			counter->low_written = byte;
		counter->high_next_write = !counter->high_next_write;
		break;
	}
}

static void pit_latch_count(const struct pit *pit, struct pit_counter *counter)
{
	if (counter->latched)
		return;
	counter->latch = pit_value(pit, counter);
	counter->latched = counter->access == ACCESS_BOTH ? 2 : 1;
}

static void pit_latch_status(const struct pit *pit, struct pit_counter *counter)
{
	if (counter->status_latched)
		return;
	counter->status =
		(uint8_t)((pit_output(pit, counter) ? STATUS_OUTPUT : 0) | (counter->count ? 0 : STATUS_NULL_COUNT) |
			  counter->access << 4 | counter->mode << 1 | counter->bcd);
	counter->status_latched = true;
}

static void pit_control(struct pit *pit, uint8_t control)
{
	unsigned which = control >> 6;

	if (which != READ_BACK) {
		if (control >> 4 & 3)
			pit_set_mode(pit, &pit->counter[which], control);
		else
			pit_latch_count(pit, &pit->counter[which]);
		return;
	}
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		if (!(control >> (i + 1) & 1))
			continue;
		if (!(control & READ_BACK_NO_COUNT))
			pit_latch_count(pit, &pit->counter[i]);
		if (!(control & READ_BACK_NO_STATUS))
			pit_latch_status(pit, &pit->counter[i]);
	}
}

/* A latched status comes first, then a latched count, then the count as it is. */
static uint8_t pit_read_count(struct pit *pit, struct pit_counter *counter)
{
	uint16_t value = counter->latched ? counter->latch : pit_value(pit, counter);
	bool high = counter->access == ACCESS_HIGH || counter->high_next_read;

	if (counter->status_latched) {
		counter->status_latched = false;
		return counter->status;
	}
	if (counter->latched)
		counter->latched--;
	if (counter->access == ACCESS_BOTH)
		counter->high_next_read = !counter->high_next_read;
	return (uint8_t)(high ? value >> 8 : value);
}

/* ---- Ports --------------------------------------------------------------------------------------------------------
 */

static uint32_t pit_read(void *context, uint16_t offset, unsigned size)
{
	struct pit *pit = context;
	uint32_t data = 0;

	lock_acquire(pit->lock);
	for (unsigned i = 0; i < size; i++)
		if (offset + i == CONTROL_PORT)
			data |= 0xffu << (8 * i);
		else
			data |= (uint32_t)pit_read_count(pit, &pit->counter[offset + i]) << (8 * i);
	lock_release(pit->lock);
	return data;
}

static void pit_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct pit *pit = context;

	lock_acquire(pit->lock);
	for (unsigned i = 0; i < size; i++)
		if (offset + i == CONTROL_PORT)
			pit_control(pit, (uint8_t)(data >> (8 * i)));
		else
			pit_write_count(pit, &pit->counter[offset + i], (uint8_t)(data >> (8 * i)));
	lock_release(pit->lock);
}

struct port_range pit_ports(struct pit *pit)
{
	return (struct port_range){PIT_PORT, 4, pit_read, pit_write, pit};
}

/* A rising gate starts the counter anew, but for modes 0 and 4, which go on where they were stopped. */
static void pit_set_gate(struct pit *pit, struct pit_counter *counter, bool gate)
{
	bool goes_on = counter->mode == MODE_TERMINAL || counter->mode == MODE_SOFT_STROBE;

	if (counter->gate == gate)
		return;
	counter->gate = gate;
	if (!gate) {
		if (!counter_is_triggered(counter) && counter->counting)
			pit_stop(pit, counter);
		return;
	}
	if (!counter->count)
		return;
	pit_start(pit, counter);
	if (goes_on)
		counter->started -= clock_scale_up(counter->counted, PIT_HZ, pit->clock->hz);
}

static uint32_t pit_read_speaker(void *context, uint16_t offset, unsigned size)
{
	struct pit *pit = context;
	uint32_t data;

	(void)offset;
	(void)size;
	lock_acquire(pit->lock);
	data = pit->speaker | (pit_output(pit, &pit->counter[2]) ? SPEAKER_OUTPUT : 0);
	/* It toggles at each refresh of the memory, every 15 microseconds; old guests wait by it. */
	if (clock_scale(clock_now(pit->clock), pit->clock->hz, REFRESH_HZ) & 1)
		data |= SPEAKER_REFRESH;
	lock_release(pit->lock);
	return data;
}

static void pit_write_speaker(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct pit *pit = context;

	(void)offset;
	(void)size;
	lock_acquire(pit->lock);
	pit->speaker = data & SPEAKER_WRITABLE;
	pit_set_gate(pit, &pit->counter[2], data & SPEAKER_GATE);
	lock_release(pit->lock);
}

struct port_range pit_speaker_port(struct pit *pit)
{
	return (struct port_range){PIT_SPEAKER_PORT, 1, pit_read_speaker, pit_write_speaker, pit};
}

void pit_init(struct pit *pit, struct lock *lock, struct clock *clock, struct line output)
{
	*pit = (struct pit){.lock = lock, .clock = clock, .output = output};
	pit->timer.expire = pit_expire;
	pit->timer.context = pit;
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		pit->counter[i].access = ACCESS_BOTH;
		pit->counter[i].mode = MODE_SQUARE;
		pit->counter[i].gate = i != 2;
	}
}
