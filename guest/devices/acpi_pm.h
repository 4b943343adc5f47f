/* SPDX-License-Identifier: MIT */
/*
 * ACPI's fixed hardware: the PM1 event and control registers and the power management timer of 24 bits.
 * ACPI 6.4, 4.8.3. There is no SMI_CMD: SCI_EN is 1 from the start.
 */
#ifndef GUEST_DEVICES_ACPI_PM_H
#define GUEST_DEVICES_ACPI_PM_H

#include "guest/devices/clock.h"
#include "guest/devices/ending.h"
#include "guest/devices/line.h"
#include "guest/devices/lock.h"
#include "guest/devices/port.h"

/* What the FADT and the DSDT's \_S5 say. */
enum {
	ACPI_PM_PORT = 0x600,
	ACPI_PM_EVENT = 0, /* from there on, 4 bytes: status, enable */
	ACPI_PM_CONTROL = 4,
	ACPI_PM_TIMER = 8,
	ACPI_PM_PORTS = 12,
	ACPI_PM_TIMER_HZ = 3579545,
	ACPI_PM_S5 = 5, /* SLP_TYP */
	ACPI_PM_SCI = 9,
};

struct acpi_pm {
	struct lock *lock;
	struct clock *clock;
	struct line sci; /* a level */
	struct ending ending;
	struct timer timer;
	uint16_t status, enable, control;
	uint64_t halves; /* of the timer's turns that TMR_STS has been set for */
};

void acpi_pm_init(struct acpi_pm *pm, struct lock *lock, struct clock *clock, struct line sci, struct ending ending);

struct port_range acpi_pm_ports(struct acpi_pm *pm);

/* Asks the guest to shut down. Takes the lock. Context: any but the callbacks. */
void acpi_pm_press_button(struct acpi_pm *pm);

#endif
