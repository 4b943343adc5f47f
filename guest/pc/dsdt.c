/* SPDX-License-Identifier: MIT */
#include "guest/devices/acpi_pm.h"
#include "guest/pc/acpi_spec.h"
#include "guest/pc/aml.h"
#include "guest/pc/firmware.h"

/* \_S5: the number that turns the machine off; ACPI 6.5, 7.4.2. */
static void write_s5(struct aml *aml)
{
	size_t package;

	aml_name(aml, "\\_S5_");
	package = aml_package(aml, 4);
	aml_integer(aml, ACPI_PM_S5);
	for (unsigned i = 0; i < 3; i++)
		aml_integer(aml, 0);
	aml_end(aml, package);
}

static void write_virtio(struct aml *aml, const struct firmware_virtio *virtio, unsigned number)
{
	const char name[] = {'V', 'R', '0', (char)('0' + number), '\0'};
	size_t device = aml_device(aml, name), resources;

	aml_name(aml, "_HID");
	aml_string(aml, "LNRO0005");
	aml_name(aml, "_UID");
	aml_integer(aml, number);
	aml_name(aml, "_CCA");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_memory32(aml, virtio->address, 0x1000);
	aml_interrupt(aml, virtio->irq);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

/* A device of the ISA bus with two blocks of ports at most. */
static void write_isa(struct aml *aml, const char *name, const char *id, const uint16_t ports[2], uint8_t count,
		      uint8_t irq)
{
	size_t device = aml_device(aml, name), resources;

	aml_name(aml, "_HID");
	aml_eisa(aml, id);
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_STA");
	aml_integer(aml, 0xf);
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	for (unsigned i = 0; i < 2; i++)
		if (ports[i])
			aml_ports(aml, ports[i], count);
	aml_isa_irq(aml, irq);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

static void write_pci(struct aml *aml)
{
	size_t device = aml_device(aml, "PCI0"), resources;

	aml_name(aml, "_HID");
	aml_eisa(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_resources(aml);
	aml_buses(aml, 0);
	aml_ports(aml, 0xcf8, 8);
	aml_end_resources(aml, resources);
	aml_end(aml, device);
}

size_t firmware_write_dsdt(const struct firmware *firmware, uint8_t *bytes, size_t size)
{
	struct aml aml = {.bytes = bytes, .size = size, .length = sizeof(struct acpi_header)};
	size_t scope;

	write_s5(&aml);
	scope = aml_scope(&aml, "_SB_");
	write_isa(&aml, "COM1", "PNP0501", (const uint16_t[]){0x3f8, 0}, 8, 4);
	write_isa(&aml, "RTC_", "PNP0B00", (const uint16_t[]){0x70, 0}, 2, 8);
	write_isa(&aml, "KBD_", "PNP0303", (const uint16_t[]){0x60, 0x64}, 1, 1);
	if (firmware->has_pci)
		write_pci(&aml);
	for (unsigned i = 0; i < firmware->nr_virtio; i++)
		write_virtio(&aml, &firmware->virtio[i], i);
	aml_end(&aml, scope);
	return aml.length;
}
