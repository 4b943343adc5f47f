/* SPDX-License-Identifier: MIT */
/*
 * An I/O APIC of 24 pins, version 20h: 82093AA with the EOI register of its successors (Intel's ICH9 data sheet, 13.5).
 * What its pins hear goes to local APICs.
 */
#ifndef GUEST_DEVICES_IO_APIC_H
#define GUEST_DEVICES_IO_APIC_H

#include "guest/devices/local_apic_bus.h"
#include "guest/devices/lock.h"
#include <stdint.h>
#include <trapline.h>

#define IO_APIC_AT 0xFEC00000ull

enum { IO_APIC_SIZE = 0x1000, IO_APIC_PINS = 24 };

struct io_apic {
	struct lock *lock; /* the machine's */
	struct local_apic_bus *bus;
	uint64_t entry[IO_APIC_PINS];
	uint32_t level; /* of the pins: asserted, whatever polarity the guest gives them */
	uint8_t select, id;
};

/* As after reset: all pins masked. Context: host, before vCPUs run. */
void io_apic_init(struct io_apic *io_apic, struct lock *lock, struct local_apic_bus *bus, uint8_t id);

/* The tl_mmio_fn of its registers; the range's context is the I/O APIC. Takes the lock. */
enum tl_status io_apic_access(struct tl_mmio *access);

/* `set` of a struct line, whose context is the I/O APIC. The lock is held. */
void io_apic_pin(void *context, unsigned pin, bool level);

/* Whether a pin is an NMI or an INIT to somebody. The lock is held. */
bool io_apic_sends_unmaskable(const struct io_apic *io_apic);

/* What struct local_apic_bus' end_of_interrupt() has to tell it. Takes the lock. Context: callback. */
void io_apic_end_of_interrupt(struct io_apic *io_apic, uint8_t vector);

#endif
