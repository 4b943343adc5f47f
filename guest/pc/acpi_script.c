/* SPDX-License-Identifier: MIT */
#include "guest/pc/acpi_layout.h"

enum { FILE_NAME = 56, ORDER_ALLOCATE = 1, ORDER_ADD_POINTER = 2, ORDER_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_F_SEGMENT = 2, ROOT_ALIGN = 16 /* where it is looked for: ACPI 6.5, 5.2.5.1 */ };

/* Little-endian, and the names ended by a zero. */
struct order {
	uint32_t what;
	union {
		struct {
			char file[FILE_NAME];
			uint32_t align;
			uint8_t zone;
		} __attribute__((packed)) allocate;
		struct {
			char file[FILE_NAME], to[FILE_NAME];
			uint32_t at;
			uint8_t size;
		} __attribute__((packed)) pointer;
		struct {
			char file[FILE_NAME];
			uint32_t at, start, length;
		} __attribute__((packed)) sum;
		uint8_t room[ACPI_ORDER_SIZE - 4];
	};
} __attribute__((packed));

_Static_assert(sizeof(struct order) == ACPI_ORDER_SIZE, "an order as firmware reads it");

static void name_file(char *name, enum acpi_part part)
{
	static const char root[] = ACPI_ROOT_FILE, tables[] = ACPI_TABLES_FILE;

	if (part == ACPI_ROOT)
		__builtin_memcpy(name, root, sizeof(root));
	else
		__builtin_memcpy(name, tables, sizeof(tables));
}

static void allocate(struct order *order, enum acpi_part part, uint32_t align, uint8_t zone)
{
	*order = (struct order){.what = ORDER_ALLOCATE, .allocate = {.align = align, .zone = zone}};
	name_file(order->allocate.file, part);
}

static void add_pointer(struct order *order, const struct acpi_pointer *pointer)
{
	*order = (struct order){.what = ORDER_ADD_POINTER, .pointer = {.at = pointer->at, .size = pointer->size}};
	name_file(order->pointer.file, pointer->part);
	name_file(order->pointer.to, ACPI_TABLES);
}

static void add_checksum(struct order *order, const struct acpi_sum *sum)
{
	*order = (struct order){.what = ORDER_ADD_CHECKSUM,
				.sum = {.at = sum->at, .start = sum->start, .length = sum->length}};
	name_file(order->sum.file, sum->part);
}

uint32_t acpi_write_script(const struct acpi_layout *layout, uint8_t *script)
{
	struct order *order = (struct order *)script;

	allocate(order++, ACPI_ROOT, ROOT_ALIGN, ZONE_F_SEGMENT);
	allocate(order++, ACPI_TABLES, ACPI_ALIGN, ZONE_HIGH);
	for (unsigned i = 0; i < layout->nr_pointers; i++)
		add_pointer(order++, &layout->pointer[i]);
	for (unsigned i = 0; i < layout->nr_sums; i++)
		add_checksum(order++, &layout->sum[i]);
	return (uint32_t)((uint8_t *)order - script);
}
