/* SPDX-License-Identifier: MIT */
/* Configuration space through the ports of mechanism 1 (PCI 3.0, 3.2.2.3.2). */
#include "boot/cpu.h"
#include "boot/pci.h"

enum { CONFIG_ADDRESS = 0xCF8, CONFIG_DATA = 0xCFC };

static uint32_t read_config(uint32_t address)
{
	io_write32(CONFIG_ADDRESS, address);
	return io_read32(CONFIG_DATA);
}

static void write_config(uint32_t address, uint32_t value)
{
	io_write32(CONFIG_ADDRESS, address);
	io_write32(CONFIG_DATA, value);
}

const struct pci_access pci_ports = {.read = read_config, .write = write_config};

bool pci_is_there(void)
{
	const uint32_t probe = 1u << 31;

	io_write32(CONFIG_ADDRESS, probe);
	return io_read32(CONFIG_ADDRESS) == probe;
}
