/* SPDX-License-Identifier: MIT */
/* A serial port on PCI. Pure C that reaches configuration space through functions, so it runs hosted as well. */
#ifndef BOOT_PCI_H
#define BOOT_PCI_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A doubleword of configuration space; `address` is what mechanism 1 takes at port 0xCF8 (PCI 3.0, 3.2.2.3.2): bit 31,
 * bus, device, function, register.
 */
struct pci_access {
	uint32_t (*read)(uint32_t address);
	void (*write)(uint32_t address, uint32_t value);
};

/* This machine's (boot/pci_io.c), and whether it has any: a microvm of QEMU has none. */
extern const struct pci_access pci_ports;
bool pci_is_there(void);

struct pci_serial {
	uint8_t bus, device, function;
	bool in_memory; /* else its registers are ports */
	uint64_t base;
};

/*
 * Finds the first function of class 07h/00h (a serial port with the registers of the 8250 family) whose first BAR has
 * an address, on any bus, and turns on that it answers there. false: there is none. Context: host, one CPU.
 */
bool pci_find_serial(const struct pci_access *pci, struct pci_serial *found);

#endif
