/* SPDX-License-Identifier: MIT */
#include "boot/pci.h"

#define PCI_ENABLE 0x80000000u

enum { BUSES = 256, DEVICES = 32, FUNCTIONS = 8 };
/* Registers, PCI 3.0, 6.1. */
enum { PCI_ID = 0x00, PCI_COMMAND = 0x04, PCI_CLASS = 0x08, PCI_HEADER = 0x0C, PCI_BAR0 = 0x10, PCI_BAR1 = 0x14 };
enum { COMMAND_IO = 1, COMMAND_MEMORY = 2 };
enum { HEADER_MULTIFUNCTION = 1 << 23, HEADER_TYPE = 0x7F << 16 /* 0: an ordinary device */ };
enum { CLASS_SERIAL = 0x0700, INTERFACE_MAX = 6 /* 16950 */ };
enum { BAR_IO = 1, BAR_TYPE = 6, BAR_64 = 4 };

static uint32_t place(unsigned bus, unsigned device, unsigned function)
{
	return PCI_ENABLE | bus << 16 | device << 11 | function << 8;
}

/* Where the registers are. false: firmware gave them no address. */
static bool read_bar(const struct pci_access *pci, uint32_t at, struct pci_serial *serial)
{
	uint32_t bar = pci->read(at | PCI_BAR0);

	serial->in_memory = !(bar & BAR_IO);
	if (!serial->in_memory) {
		serial->base = bar & ~3u;
		return serial->base && serial->base <= UINT16_MAX - 7;
	}
	serial->base = bar & ~15u;
	if ((bar & BAR_TYPE) == BAR_64)
		serial->base |= (uint64_t)pci->read(at | PCI_BAR1) << 32;
	return serial->base != 0;
}

static bool take_function(const struct pci_access *pci, uint32_t at, struct pci_serial *serial)
{
	uint32_t class = pci->read(at | PCI_CLASS), command;

	if (class >> 16 != CLASS_SERIAL || (class >> 8 & 0xFF) > INTERFACE_MAX ||
	    pci->read(at | PCI_HEADER) & HEADER_TYPE || !read_bar(pci, at, serial))
		return false;
	/* The upper half is the status, whose bits are cleared by writing ones. */
	command = pci->read(at | PCI_COMMAND) & 0xFFFF;
	pci->write(at | PCI_COMMAND, command | (serial->in_memory ? COMMAND_MEMORY : COMMAND_IO));
	return true;
}

static bool is_there(const struct pci_access *pci, uint32_t at)
{
	return (pci->read(at | PCI_ID) & 0xFFFF) != 0xFFFF;
}

static bool search_device(const struct pci_access *pci, unsigned bus, unsigned device, struct pci_serial *found)
{
	unsigned functions;

	/* Every device has a function 0. */
	if (!is_there(pci, place(bus, device, 0)))
		return false;
	functions = pci->read(place(bus, device, 0) | PCI_HEADER) & HEADER_MULTIFUNCTION ? FUNCTIONS : 1;
	for (unsigned function = 0; function < functions; function++) {
		uint32_t at = place(bus, device, function);

		*found = (struct pci_serial){
			.bus = (uint8_t)bus, .device = (uint8_t)device, .function = (uint8_t)function};
		if (is_there(pci, at) && take_function(pci, at, found))
			return true;
	}
	return false;
}

/* All buses, not those that bridges tell: several roots need not be linked, and 8192 reads take some 10 ms. */
bool pci_find_serial(const struct pci_access *pci, struct pci_serial *found)
{
	for (unsigned bus = 0; bus < BUSES; bus++)
		for (unsigned device = 0; device < DEVICES; device++)
			if (search_device(pci, bus, device, found))
				return true;
	return false;
}
