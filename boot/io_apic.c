/* SPDX-License-Identifier: MIT */
#include "boot/io_apic.h"

#include <stddef.h>

#include "boot/console.h"
#include "boot/paging.h"

/* Intel 82093AA, 3.1 and 3.2: a register is reached by its number, through a window. */
enum { SELECT = 0, WINDOW = 0x10, REGISTERS_SIZE = 0x20 };
enum { REGISTER_VERSION = 1, REGISTER_PINS = 0x10 /* two each */, LAST_PIN_SHIFT = 16 };
enum { PIN_DELIVERY = 7 << 8, PIN_SMI = 2 << 8, PIN_MASKED = 1 << 16 };

/* Where no I/O APIC is, everything reads as ones. */
static const uint32_t nothing = UINT32_MAX;

static uint32_t read(volatile uint8_t *registers, uint32_t number)
{
	*(volatile uint32_t *)(registers + SELECT) = number;
	return *(volatile uint32_t *)(registers + WINDOW);
}

static void write(volatile uint8_t *registers, uint32_t number, uint32_t value)
{
	*(volatile uint32_t *)(registers + SELECT) = number;
	*(volatile uint32_t *)(registers + WINDOW) = value;
}

static unsigned silence(volatile uint8_t *registers)
{
	uint32_t version = read(registers, REGISTER_VERSION);
	unsigned last = (uint8_t)(version >> LAST_PIN_SHIFT), open = 0;

	for (unsigned pin = 0; version != nothing && pin <= last; pin++) {
		uint32_t low = read(registers, REGISTER_PINS + 2 * pin);

		if (low & PIN_MASKED || (low & PIN_DELIVERY) == PIN_SMI)
			continue;
		write(registers, REGISTER_PINS + 2 * pin, low | PIN_MASKED);
		open++;
	}
	return open;
}

void io_apics_silence(const struct acpi_apics *apics)
{
	unsigned open = 0;

	for (size_t i = 0; i < apics->nr_io_apics; i++) {
		volatile uint8_t *registers = paging_map_device(apics->io_apic[i], REGISTERS_SIZE);

		if (registers)
			open += silence(registers);
	}
	if (open)
		host_print("I/O APIC: pins that firmware had left open, and that are masked now: %u\n", open);
}
