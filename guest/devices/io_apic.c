/* SPDX-License-Identifier: MIT */
#include "guest/devices/io_apic.h"

enum { SELECT = 0x00, WINDOW = 0x10, EOI = 0x40 };
enum { REGISTER_ID, REGISTER_VERSION, REGISTER_ARBITRATION, REGISTER_ENTRIES = 0x10 };
enum { VERSION = 0x20 | (IO_APIC_PINS - 1) << 16, ID_SHIFT = 24, ID_MASK = 0xf };

/* Of a redirection entry. */
enum {
	ENTRY_VECTOR = 0xff,
	ENTRY_DELIVERY_SHIFT = 8,
	ENTRY_LOGICAL = 1 << 11,
	ENTRY_REMOTE_IRR = 1 << 14,
	ENTRY_LEVEL = 1 << 15,
	ENTRY_MASKED = 1 << 16,
	ENTRY_WRITABLE = 0x1afff,
	ENTRY_DESTINATION_SHIFT = 56,
	EVERYBODY = 0xff
};

void io_apic_init(struct io_apic *io_apic, struct lock *lock, struct local_apic_bus *bus, uint8_t id)
{
	*io_apic = (struct io_apic){.lock = lock, .bus = bus, .id = id & ID_MASK};
	for (unsigned i = 0; i < IO_APIC_PINS; i++)
		io_apic->entry[i] = ENTRY_MASKED;
}

/* A level that nobody takes stays a request, and is sent again when something changes. */
static void io_apic_send(struct io_apic *io_apic, unsigned pin)
{
	uint64_t entry = io_apic->entry[pin];
	uint32_t destination = (uint32_t)(entry >> ENTRY_DESTINATION_SHIFT);
	struct apic_message message = {.destination = destination == EVERYBODY ? APIC_BROADCAST : destination,
				       .delivery = entry >> ENTRY_DELIVERY_SHIFT & 7,
				       .vector = entry & ENTRY_VECTOR,
				       .logical = entry & ENTRY_LOGICAL,
				       .level = entry & ENTRY_LEVEL};

	/* Those that have no vector are edges, whatever the entry says. */
	if (message.delivery != APIC_FIXED && message.delivery != APIC_LOWEST_PRIORITY)
		message.level = false;
	if (local_apic_bus_send(io_apic->bus, &message) && message.level)
		io_apic->entry[pin] |= ENTRY_REMOTE_IRR;
}

/* A level is sent while it is there, and not again until its interrupt has ended. */
static void io_apic_serve_level(struct io_apic *io_apic, unsigned pin)
{
	if (io_apic->level >> pin & 1 &&
	    (io_apic->entry[pin] & (ENTRY_LEVEL | ENTRY_MASKED | ENTRY_REMOTE_IRR)) == ENTRY_LEVEL)
		io_apic_send(io_apic, pin);
}

/* An edge on a masked pin is lost. 82093AA data sheet, 3.2.4. */
void io_apic_pin(void *context, unsigned pin, bool level)
{
	struct io_apic *io_apic = context;
	uint32_t bit = 1u << pin;
	bool rises = level && !(io_apic->level & bit);

	io_apic->level = level ? io_apic->level | bit : io_apic->level & ~bit;
	if (io_apic->entry[pin] & ENTRY_LEVEL)
		io_apic_serve_level(io_apic, pin);
	else if (rises && !(io_apic->entry[pin] & ENTRY_MASKED))
		io_apic_send(io_apic, pin);
}

bool io_apic_sends_unmaskable(const struct io_apic *io_apic)
{
	for (unsigned i = 0; i < IO_APIC_PINS; i++) {
		unsigned delivery = io_apic->entry[i] >> ENTRY_DELIVERY_SHIFT & 7;

		if (!(io_apic->entry[i] & ENTRY_MASKED) && (delivery == APIC_NMI || delivery == APIC_INIT))
			return true;
	}
	return false;
}

static void io_apic_end(struct io_apic *io_apic, uint8_t vector)
{
	for (unsigned i = 0; i < IO_APIC_PINS; i++) {
		uint64_t *entry = &io_apic->entry[i];

		if (!(*entry & ENTRY_REMOTE_IRR) || (*entry & ENTRY_VECTOR) != vector)
			continue;
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
		io_apic_serve_level(io_apic, i);
	}
}

void io_apic_end_of_interrupt(struct io_apic *io_apic, uint8_t vector)
{
	lock_acquire(io_apic->lock);
	io_apic_end(io_apic, vector);
	lock_release(io_apic->lock);
}

static uint32_t io_apic_read(const struct io_apic *io_apic)
{
	unsigned number = io_apic->select - REGISTER_ENTRIES;

	switch (io_apic->select) {
	case REGISTER_ID:
	case REGISTER_ARBITRATION:
		return (uint32_t)io_apic->id << ID_SHIFT;
	case REGISTER_VERSION:
		return VERSION;
	default:
		if (io_apic->select < REGISTER_ENTRIES || number / 2 >= IO_APIC_PINS)
			return 0;
		return (uint32_t)(io_apic->entry[number / 2] >> 32 * (number % 2));
	}
}

/* An entry that becomes one for edges has no interrupt to wait for any more: guests end an interrupt so, too. */
static void io_apic_write_entry(struct io_apic *io_apic, unsigned number, uint32_t value)
{
	uint64_t *entry = &io_apic->entry[number / 2];

	if (number % 2) {
		*entry = (uint32_t)*entry | (uint64_t)(value >> 24) << ENTRY_DESTINATION_SHIFT;
		return;
	}
	*entry = (*entry & ~(uint64_t)ENTRY_WRITABLE) | (value & ENTRY_WRITABLE);
	if (!(value & ENTRY_LEVEL))
		*entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
	io_apic_serve_level(io_apic, number / 2);
}

static void io_apic_write(struct io_apic *io_apic, uint64_t offset, uint32_t value)
{
	unsigned number = io_apic->select - REGISTER_ENTRIES;

	if (offset == SELECT)
		io_apic->select = (uint8_t)value;
	else if (offset == EOI)
		io_apic_end(io_apic, (uint8_t)value);
	else if (offset != WINDOW)
		return;
	else if (io_apic->select == REGISTER_ID)
		io_apic->id = value >> ID_SHIFT & ID_MASK;
	else if (io_apic->select >= REGISTER_ENTRIES && number / 2 < IO_APIC_PINS)
		io_apic_write_entry(io_apic, number, value);
}

/* The window is taken in whole; of the others the low byte is all there is. */
enum tl_status io_apic_access(struct tl_mmio *access)
{
	struct io_apic *io_apic = access->context;

	lock_acquire(io_apic->lock);
	if (access->write) {
		if (access->size == 4 || access->offset != WINDOW)
			io_apic_write(io_apic, access->offset, (uint32_t)access->data);
	} else if (access->offset == WINDOW) {
		access->data = io_apic_read(io_apic);
	} else {
		access->data = access->offset == SELECT ? io_apic->select : 0;
	}
	lock_release(io_apic->lock);
	return TL_OK;
}
