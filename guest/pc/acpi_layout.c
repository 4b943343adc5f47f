/* SPDX-License-Identifier: MIT */
#include "guest/pc/acpi_layout.h"

static uint8_t *part_bytes(struct acpi_layout *layout, enum acpi_part part)
{
	return part == ACPI_ROOT ? (uint8_t *)&layout->root : layout->tables;
}

static void place_pointer(struct acpi_layout *layout, const struct acpi_pointer *pointer, uint32_t address)
{
	uint8_t *field = part_bytes(layout, pointer->part) + pointer->at;
	uint64_t value = 0;

	__builtin_memcpy(&value, field, pointer->size);
	value += address;
	__builtin_memcpy(field, &value, pointer->size);
}

void acpi_place(struct acpi_layout *layout, uint32_t address)
{
	for (unsigned i = 0; i < layout->nr_pointers; i++)
		place_pointer(layout, &layout->pointer[i], address);
	for (unsigned i = 0; i < layout->nr_sums; i++) {
		const struct acpi_sum *sum = &layout->sum[i];
		uint8_t *bytes = part_bytes(layout, sum->part);

		bytes[sum->at] = firmware_checksum(bytes + sum->start, sum->length);
	}
}
