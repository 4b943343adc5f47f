/* SPDX-License-Identifier: MIT */
/* PCI Local Bus Specification 3.0: 3.2.2.3.2, configuration mechanism #1; chapter 6, the header. */
#include "guest/devices/pci_config.h"

enum {
	VENDOR = 0x00,
	DEVICE = 0x02,
	COMMAND = 0x04,
	REVISION = 0x08,
	CLASS = 0x09,
	CACHE_LINE = 0x0c,
	HEADER_TYPE = 0x0e,
	BAR = 0x10,
	INTERRUPT_LINE = 0x3c,
	HEADER_SIZE = 0x40,
};
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_WRITABLE = 0x507, BAR_IO = 1, MULTIPLE_FUNCTIONS = 0x80 };
enum { ADDRESS_PORTS = 4, DATA_PORTS = 4 };

#define ADDRESS_ENABLE  (1u << 31)
#define ADDRESS_DEFINED 0x80fffffcu

static void put16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t)value;
	bytes[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *bytes, uint32_t value)
{
	put16(bytes, (uint16_t)value);
	put16(bytes + 2, (uint16_t)(value >> 16));
}

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)(bytes[0] | bytes[1] << 8 | bytes[2] << 16) | (uint32_t)bytes[3] << 24;
}

void pci_function_init(struct pci_function *function, uint16_t vendor, uint16_t device, uint32_t class)
{
	*function = (struct pci_function){.context = NULL};
	put16(&function->config[VENDOR], vendor);
	put16(&function->config[DEVICE], device);
	function->config[CLASS] = (uint8_t) class;
	put16(&function->config[CLASS + 1], (uint16_t)(class >> 8));
	put16(&function->writable[COMMAND], COMMAND_WRITABLE);
	function->writable[CACHE_LINE] = 0xff;
	function->writable[INTERRUPT_LINE] = 0xff;
	/* What a chip set has beyond the header is kept as it is written, and does nothing. */
	for (unsigned i = HEADER_SIZE; i < PCI_CONFIG_SIZE; i++)
		function->writable[i] = 0xff;
}

void pci_function_add_bar(struct pci_function *function, unsigned bar, uint32_t size, bool io)
{
	function->bar[bar] = (struct pci_bar){size, io, PCI_NOWHERE};
	function->config[BAR + 4 * bar] = io ? BAR_IO : 0;
	/* The size is found by writing ones: the bits below it stay. */
	put32(&function->writable[BAR + 4 * bar], ~(size - 1));
}

void pci_host_bridge_init(struct pci_function *function)
{
	pci_function_init(function, 0x8086, 0x1237, 0x060000);
	function->config[REVISION] = 2;
}

void pci_isa_bridge_init(struct pci_function *function)
{
	pci_function_init(function, 0x8086, 0x7000, 0x060100);
	function->config[HEADER_TYPE] = MULTIPLE_FUNCTIONS;
}

/* Where a base address register answers by its address and the command register. */
static uint32_t pci_bar_place(const struct pci_function *function, unsigned bar)
{
	const struct pci_bar *at = &function->bar[bar];

	if (!at->size || !(function->config[COMMAND] & (at->io ? COMMAND_IO : COMMAND_MEMORY)))
		return PCI_NOWHERE;
	return get32(&function->config[BAR + 4 * bar]) & ~(at->size - 1);
}

/* The function that the address register names; NULL: there is none. Only bus 0 is there. */
static struct pci_function *pci_addressed(const struct pci_bus *bus)
{
	if (!(bus->address & ADDRESS_ENABLE) || bus->address >> 16 & 0xff)
		return NULL;
	return bus->function[bus->address >> 8 & 0xff];
}

static uint32_t pci_read_data(const struct pci_bus *bus, unsigned offset, unsigned size)
{
	const struct pci_function *function = pci_addressed(bus);
	uint32_t data = 0;

	if (!function)
		return UINT32_MAX;
	offset |= bus->address & 0xfc;
	for (unsigned i = 0; i < size; i++)
		data |= (uint32_t)function->config[offset + i] << (8 * i);
	return data;
}

/* The function that was written; NULL: there is none. */
static struct pci_function *pci_write_data(struct pci_bus *bus, unsigned offset, unsigned size, uint32_t data)
{
	struct pci_function *function = pci_addressed(bus);

	if (!function)
		return NULL;
	offset |= bus->address & 0xfc;
	for (unsigned i = 0; i < size; i++) {
		uint8_t *at = &function->config[offset + i], mask = function->writable[offset + i];

		*at = (uint8_t)((*at & ~mask) | (data >> (8 * i) & mask));
	}
	return function;
}

/* Finds one that answers elsewhere by now; PCI_BARS: none does. */
static unsigned pci_moved(struct pci_bus *bus, struct pci_function *function)
{
	unsigned bar;

	lock_acquire(bus->lock);
	for (bar = 0; bar < PCI_BARS; bar++) {
		uint32_t at = pci_bar_place(function, bar);

		if (!function->bar[bar].size || at == function->bar[bar].at)
			continue;
		function->bar[bar].at = at;
		break;
	}
	lock_release(bus->lock);
	return bar;
}

static void pci_tell(struct pci_bus *bus, struct pci_function *function)
{
	unsigned bar;

	while ((bar = pci_moved(bus, function)) < PCI_BARS)
		if (!function->bar[bar].io && function->placed)
			function->placed(function->context, bar, function->bar[bar].at);
}

/* The address is accessed as a whole; a byte in its place belongs to the port behind it. */
static uint32_t pci_config_read(void *context, uint16_t offset, unsigned size)
{
	struct pci_bus *bus = context;
	struct port_range reset;
	uint32_t data = UINT32_MAX;

	if (PCI_CONFIG_ADDRESS + offset == RESET_CONTROL && size == 1 && bus->reset) {
		reset = reset_port_control(bus->reset);
		return reset.read(reset.context, 0, 1);
	}
	lock_acquire(bus->lock);
	if (offset >= ADDRESS_PORTS)
		data = pci_read_data(bus, offset - ADDRESS_PORTS, size);
	else if (size == 4)
		data = bus->address;
	lock_release(bus->lock);
	return data;
}

static void pci_config_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	struct pci_bus *bus = context;
	struct pci_function *written = NULL;
	struct port_range reset;

	if (PCI_CONFIG_ADDRESS + offset == RESET_CONTROL && size == 1 && bus->reset) {
		reset = reset_port_control(bus->reset);
		reset.write(reset.context, 0, 1, data);
		return;
	}
	lock_acquire(bus->lock);
	if (offset >= ADDRESS_PORTS)
		written = pci_write_data(bus, offset - ADDRESS_PORTS, size, data);
	else if (size == 4)
		bus->address = data & ADDRESS_DEFINED;
	lock_release(bus->lock);
	if (written)
		pci_tell(bus, written);
}

/* The function whose ports these are, and in *offset where they begin in its register; NULL: there is none. */
static const struct pci_function *pci_io_find(struct pci_bus *bus, unsigned size, uint16_t *offset)
{
	uint32_t port = PCI_IO_FIRST + (uint32_t)*offset;
	const struct pci_function *found = NULL;

	lock_acquire(bus->lock);
	for (unsigned i = 0; i < PCI_FUNCTIONS && !found; i++) {
		const struct pci_function *function = bus->function[i];

		for (unsigned bar = 0; function && bar < PCI_BARS; bar++) {
			const struct pci_bar *at = &function->bar[bar];

			if (!at->size || !at->io || at->at == PCI_NOWHERE || port < at->at ||
			    port - at->at + size > at->size)
				continue;
			found = function;
			*offset = (uint16_t)(port - at->at);
		}
	}
	lock_release(bus->lock);
	return found;
}

static uint32_t pci_io_read(void *context, uint16_t offset, unsigned size)
{
	const struct pci_function *function = pci_io_find(context, size, &offset);

	return function && function->io_read ? function->io_read(function->context, offset, size) : UINT32_MAX;
}

static void pci_io_write(void *context, uint16_t offset, unsigned size, uint32_t data)
{
	const struct pci_function *function = pci_io_find(context, size, &offset);

	if (function && function->io_write)
		function->io_write(function->context, offset, size, data);
}

struct port_range pci_config_ports(struct pci_bus *bus)
{
	return (struct port_range){PCI_CONFIG_ADDRESS, ADDRESS_PORTS + DATA_PORTS, pci_config_read, pci_config_write,
				   bus};
}

struct port_range pci_io_ports(struct pci_bus *bus)
{
	return (struct port_range){PCI_IO_FIRST, PCI_IO_COUNT, pci_io_read, pci_io_write, bus};
}
