/* SPDX-License-Identifier: MIT */
#include "guest/devices/acpi_pm.h"

enum { STATUS_TIMER = 1 << 0, STATUS_BUTTON = 1 << 8, ENABLE_ALL = 0x0721 };
enum { CONTROL_SCI = 1 << 0, CONTROL_WRITABLE = 0x1c02, CONTROL_TYPE_SHIFT = 10, CONTROL_SLEEP = 1 << 13 };
enum { TIMER_BITS = 24 };

static uint64_t acpi_pm_counted(const struct acpi_pm *pm)
{
	return clock_scale(clock_now(pm->clock), pm->clock->hz, ACPI_PM_TIMER_HZ);
}

/* The timer's highest bit has changed since this was asked for the last time. */
static void acpi_pm_note(struct acpi_pm *pm)
{
	uint64_t halves = acpi_pm_counted(pm) >> (TIMER_BITS - 1);

	if (halves != pm->halves)
		pm->status |= STATUS_TIMER;
	pm->halves = halves;
}

/* No timer is set for what the guest does not hear of, or has not ended. */
static void acpi_pm_update(struct acpi_pm *pm)
{
	uint64_t next = (pm->halves + 1) << (TIMER_BITS - 1);

	timer_cancel(pm->clock, &pm->timer);
	if (pm->enable & ~pm->status & STATUS_TIMER)
		timer_set(pm->clock, &pm->timer, clock_scale_up(next, ACPI_PM_TIMER_HZ, pm->clock->hz));
	line_set(&pm->sci, pm->status & pm->enable);
}

static void acpi_pm_expire(struct timer *timer, uint64_t now)
{
	struct acpi_pm *pm = timer->context;

	(void)now;
	acpi_pm_note(pm);
	acpi_pm_update(pm);
}

static uint32_t acpi_pm_register(const struct acpi_pm *pm, unsigned offset)
{
	switch (offset) {
	case ACPI_PM_EVENT:
		return pm->status | (uint32_t)pm->enable << 16;
	case ACPI_PM_CONTROL:
		return pm->control | CONTROL_SCI;
	default:
		return (uint32_t)acpi_pm_counted(pm) & ((1u << TIMER_BITS) - 1);
	}
}

/* Parts of registers are read as such; nothing is read beyond the one in which an access begins. */
static uint32_t acpi_pm_read(void *context, uint16_t offset, unsigned size)
{
	struct acpi_pm *pm = context;
	uint32_t data;

	(void)size;
	lock_acquire(pm->lock);
	acpi_pm_note(pm);
	acpi_pm_update(pm);
	data = acpi_pm_register(pm, offset & ~3u) >> (8 * (offset & 3));
	lock_release(pm->lock);
	return data;
}

static void acpi_pm_control(struct acpi_pm *pm, uint16_t value)
{
	pm->control = value & CONTROL_WRITABLE;
	if (value & CONTROL_SLEEP && (value >> CONTROL_TYPE_SHIFT & 7) == ACPI_PM_S5)
		pm->ending.end(pm->ending.context, ENDING_POWER_OFF, 0);
}

/* Byte by byte what is written is merged into what is there; a status bit is cleared by a 1. */
static void acpi_pm_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct acpi_pm *pm = context;
	uint32_t mask = (UINT32_MAX >> (32 - 8 * size)) << (8 * (offset & 3)), value;

	lock_acquire(pm->lock);
	acpi_pm_note(pm);
	value = (data << (8 * (offset & 3))) & mask;
	if ((offset & ~3u) == ACPI_PM_EVENT) {
		pm->status &= (uint16_t)~value;
		pm->enable = (uint16_t)((pm->enable & ~(mask >> 16)) | value >> 16) & ENABLE_ALL;
	} else if ((offset & ~3u) == ACPI_PM_CONTROL) {
		acpi_pm_control(pm, (uint16_t)((pm->control & ~mask) | value));
	}
	acpi_pm_update(pm);
	lock_release(pm->lock);
}

struct port_range acpi_pm_ports(struct acpi_pm *pm)
{
	return (struct port_range){ACPI_PM_PORT, ACPI_PM_PORTS, acpi_pm_read, acpi_pm_write, pm};
}

void acpi_pm_press_button(struct acpi_pm *pm)
{
	lock_acquire(pm->lock);
	pm->status |= STATUS_BUTTON;
	acpi_pm_update(pm);
	lock_release(pm->lock);
}

void acpi_pm_init(struct acpi_pm *pm, struct lock *lock, struct clock *clock, struct line sci, struct ending ending)
{
	*pm = (struct acpi_pm){.lock = lock, .clock = clock, .sci = sci, .ending = ending};
	pm->timer.expire = acpi_pm_expire;
	pm->timer.context = pm;
	pm->halves = acpi_pm_counted(pm) >> (TIMER_BITS - 1);
}
