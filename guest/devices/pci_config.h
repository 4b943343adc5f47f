/* SPDX-License-Identifier: MIT */
/*
 * The configuration space of a PC's PCI bus 0, by the ports CF8h and CFCh, and the bus' window of I/O ports. A function
 * says what it is and how large its base address registers are, and is told where they are put.
 */
#ifndef GUEST_DEVICES_PCI_CONFIG_H
#define GUEST_DEVICES_PCI_CONFIG_H

#include "guest/devices/lock.h"
#include "guest/devices/port.h"
#include "guest/devices/reset_port.h"

enum { PCI_CONFIG_ADDRESS = 0xCF8, PCI_CONFIG_SIZE = 256, PCI_BARS = 6, PCI_FUNCTIONS = 256 };
/* Where I/O ports of functions may be put: what is not the ISA bus'. */
enum { PCI_IO_FIRST = 0xC000, PCI_IO_COUNT = 0x4000 };

#define PCI_NOWHERE UINT32_MAX

struct pci_bar {
	uint32_t size; /* a power of 2; 0: there is none */
	bool io;
	uint32_t at; /* where it answers, or PCI_NOWHERE */
};

struct pci_function {
	uint8_t config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE];
	struct pci_bar bar[PCI_BARS];
	/*
	 * Memory from now on answers at `at`, or PCI_NOWHERE. Called without the lock, in the access of the guest that
	 * does it, so the map may be changed. Two processors that move one at once need a lock of the guest's own.
	 */
	void (*placed)(void *context, unsigned bar, uint32_t at);
	/* Accesses to I/O ports of the function; the lock is not held. */
	uint32_t (*io_read)(void *context, uint16_t offset, unsigned size);
	void (*io_write)(void *context, uint16_t offset, unsigned size, uint32_t data);
	void *context;
};

struct pci_bus {
	struct lock *lock;
	struct reset_port *reset; /* behind CF9h, which lies in the address register; may be NULL */
	uint32_t address;
	struct pci_function *function[PCI_FUNCTIONS]; /* by device * 8 + function; NULL: there is none */
};

/* A function of a class (24 bits) without base address registers; and one more of those. */
void pci_function_init(struct pci_function *function, uint16_t vendor, uint16_t device, uint32_t class);
void pci_function_add_bar(struct pci_function *function, unsigned bar, uint32_t size, bool io);

/* What QEMU's pc has: the 82441FX at 0.0, the 82371SB's ISA bridge at 1.0. */
void pci_host_bridge_init(struct pci_function *function);
void pci_isa_bridge_init(struct pci_function *function);

struct port_range pci_config_ports(struct pci_bus *bus);
struct port_range pci_io_ports(struct pci_bus *bus);

#endif
