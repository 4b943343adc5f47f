/* SPDX-License-Identifier: MIT */
/*
 * For the image of the system tests: firmware that lists a processor that no machine has, has written the first one's
 * TSC, and whose timer still interrupts, by a vector that is more urgent than a kick.
 */
#include "boot/acpi.h"
#include "boot/cpu.h"
#include "boot/idt.h"
#include "boot/tsc.h"

void test_firmware(struct acpi_apics *apics);

enum { PHANTOM_APIC_ID = 200 };
enum {
	PIT_COUNTER0 = 0x40,
	PIT_COMMAND = 0x43,
	COUNTER0_PERIODIC = 0x34,
	PERIOD = 1193,
	A_FEW_PERIODS = 3000 /* us */
};
enum { LOCAL_APIC = 0xFEE00000, SPURIOUS = 0xF0, SOFTWARE_ENABLE = 1 << 8 };
enum { IO_APIC = 0xFEC00000, SELECT = 0, WINDOW = 0x10, PIN_OF_PIT = 2, REGISTER_PINS = 0x10 };
enum { URGENT = IDT_VECTOR_KICK + 8 /* fixed, on an edge, to the first processor */ };

#define HIDDEN_TICKS (1ull << 32)

static volatile uint32_t *at(uint64_t address)
{
	return (volatile uint32_t *)address;
}

static void write_pin(uint32_t number, uint32_t value)
{
	*at(IO_APIC + SELECT) = number;
	*at(IO_APIC + WINDOW) = value;
}

static void leave_timer_on(void)
{
	*at(LOCAL_APIC + SPURIOUS) |= SOFTWARE_ENABLE;
	write_pin(REGISTER_PINS + 2 * PIN_OF_PIT + 1, 0);
	write_pin(REGISTER_PINS + 2 * PIN_OF_PIT, URGENT);
	io_write8(PIT_COMMAND, COUNTER0_PERIODIC);
	io_write8(PIT_COUNTER0, (uint8_t)PERIOD);
	io_write8(PIT_COUNTER0, (uint8_t)(PERIOD >> 8));
	/* One was taken and not ended, and another one is on its way behind it. */
	tsc_delay(A_FEW_PERIODS);
	__asm__ volatile("sti\n\tnop\n\tcli" : : : "memory");
	tsc_delay(A_FEW_PERIODS);
}

void test_firmware(struct acpi_apics *apics)
{
	leave_timer_on();
	tsc_adjust(tsc_adjustment() + HIDDEN_TICKS);
	if (apics->count < ACPI_CPUS_MAX)
		apics->apic_id[apics->count++] = PHANTOM_APIC_ID;
}
