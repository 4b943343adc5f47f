/* SPDX-License-Identifier: MIT */
#include "guest/devices/acpi_pm.h"
#include "guest/pc/acpi_layout.h"

enum { RESET_PORT = 0xcf9, RESET_VALUE = 0x06, RTC_CENTURY = 0x32 };

/* Tables one behind the other, and those that the roots list: all by their offsets. */
struct tables {
	struct acpi_layout *layout;
	size_t at;
	uint32_t listed[8];
	unsigned nr_listed;
};

uint8_t firmware_checksum(const void *bytes, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

static void *next_table(struct tables *tables)
{
	tables->at = (tables->at + ACPI_ALIGN - 1) & ~(size_t)(ACPI_ALIGN - 1);
	return tables->layout->tables + tables->at;
}

/* The field lies `at` bytes behind the start of the table that next_table() began. */
static void add_pointer(struct tables *tables, size_t at, uint8_t size)
{
	struct acpi_layout *layout = tables->layout;

	layout->pointer[layout->nr_pointers++] = (struct acpi_pointer){ACPI_TABLES, size, (uint32_t)(tables->at + at)};
}

static void add_sum(struct acpi_layout *layout, enum acpi_part part, size_t at, size_t start, size_t length)
{
	layout->sum[layout->nr_sums++] = (struct acpi_sum){part, (uint32_t)at, (uint32_t)start, (uint32_t)length};
}

static void fill_header(struct acpi_header *header, const char *signature, uint8_t revision, size_t length)
{
	__builtin_memcpy(header->signature, signature, 4);
	header->length = (uint32_t)length;
	header->revision = revision;
	__builtin_memcpy(header->oem, "TRAPLN", 6);
	__builtin_memcpy(header->oem_table, "TRAPLINE", 8);
	header->oem_revision = 1;
	__builtin_memcpy(header->creator, "TRAP", 4);
	header->creator_revision = 1;
	header->checksum = 0;
}

/* Ends the table that next_table() began; returns its offset. */
static uint32_t end_table(struct tables *tables, const char *signature, uint8_t revision, size_t length)
{
	size_t at = tables->at;

	fill_header((struct acpi_header *)(tables->layout->tables + at), signature, revision, length);
	add_sum(tables->layout, ACPI_TABLES, at + offsetof(struct acpi_header, checksum), at, length);
	tables->at += length;
	return (uint32_t)at;
}

static uint32_t write_facs(struct tables *tables)
{
	struct acpi_facs *facs = next_table(tables);
	uint32_t at = (uint32_t)tables->at;

	*facs = (struct acpi_facs){.length = sizeof(*facs), .version = 2};
	__builtin_memcpy(facs->signature, "FACS", 4);
	tables->at += sizeof(*facs);
	return at;
}

static uint32_t write_dsdt(struct tables *tables, const struct firmware *firmware)
{
	struct acpi_header *dsdt = next_table(tables);
	size_t length = firmware_write_dsdt(firmware, (uint8_t *)dsdt, ACPI_TABLES_ROOM - tables->at);

	return end_table(tables, "DSDT", 2, length);
}

static struct acpi_address io_address(uint16_t port, uint8_t bytes)
{
	return (struct acpi_address){.space = ACPI_SPACE_IO, .width = (uint8_t)(8 * bytes), .address = port};
}

static void write_fadt(struct tables *tables, const struct firmware *firmware, uint32_t facs, uint32_t dsdt)
{
	struct acpi_fadt *fadt = next_table(tables);
	uint16_t power = firmware->power;

	*fadt = (struct acpi_fadt){
		.facs = facs,
		.dsdt = dsdt,
		.sci = FIRMWARE_SCI,
		.pm1a_event = power + ACPI_PM_EVENT,
		.pm1a_control = power + ACPI_PM_CONTROL,
		.pm_timer = power + ACPI_PM_TIMER,
		.pm1_event_length = 4,
		.pm1_control_length = 2,
		.pm_timer_length = 4,
		.c2_latency = FADT_NO_LATENCY,
		.c3_latency = FADT_NO_LATENCY,
		.century = RTC_CENTURY,
		.boot_architecture = FADT_HAS_LEGACY_DEVICES | FADT_HAS_8042,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_RTC_NOT_FIXED |
			 FADT_RESET,
		.reset = io_address(RESET_PORT, 1),
		.reset_value = RESET_VALUE,
		.x_facs = 0, /* the 32-bit one counts */
		.x_dsdt = dsdt,
		.x_pm1a_event = io_address(power + ACPI_PM_EVENT, 4),
		.x_pm1a_control = io_address(power + ACPI_PM_CONTROL, 2),
		.x_pm_timer = io_address(power + ACPI_PM_TIMER, 4),
	};
	add_pointer(tables, offsetof(struct acpi_fadt, facs), sizeof(fadt->facs));
	add_pointer(tables, offsetof(struct acpi_fadt, dsdt), sizeof(fadt->dsdt));
	add_pointer(tables, offsetof(struct acpi_fadt, x_dsdt), sizeof(fadt->x_dsdt));
	tables->listed[tables->nr_listed++] = end_table(tables, "FACP", 5, sizeof(*fadt));
}

static void append(struct tables *tables, size_t *length, const void *entry, size_t size)
{
	__builtin_memcpy(tables->layout->tables + tables->at + *length, entry, size);
	*length += size;
}

static void write_madt(struct tables *tables, const struct firmware *firmware)
{
	struct acpi_madt *madt = next_table(tables);
	size_t length = sizeof(*madt);
	struct madt_io_apic io_apic = {.type = MADT_IO_APIC,
				       .length = sizeof(io_apic),
				       .id = firmware->io_apic_id,
				       .address = firmware->io_apic};
	/* The PIT, which drives the ISA bus' line 0, is on input 2. */
	struct madt_override timer = {MADT_OVERRIDE, sizeof(timer), 0, 0, 2, INTI_CONFORMS};
	struct madt_override sci = {MADT_OVERRIDE, sizeof(sci), 0, FIRMWARE_SCI, FIRMWARE_SCI, INTI_HIGH_LEVEL};
	struct madt_local_nmi nmi = {MADT_LOCAL_NMI, sizeof(nmi), 0xff, INTI_CONFORMS, 1};

	*madt = (struct acpi_madt){.local_apic = firmware->local_apic, .flags = MADT_HAS_PICS};
	for (unsigned i = 0; i < firmware->nr_cpus; i++) {
		struct madt_local_apic apic = {MADT_LOCAL_APIC, sizeof(apic), (uint8_t)i, (uint8_t)i, MADT_ENABLED};

		append(tables, &length, &apic, sizeof(apic));
	}
	append(tables, &length, &io_apic, sizeof(io_apic));
	append(tables, &length, &timer, sizeof(timer));
	append(tables, &length, &sci, sizeof(sci));
	append(tables, &length, &nmi, sizeof(nmi));
	tables->listed[tables->nr_listed++] = end_table(tables, "APIC", 3, length);
}

static void write_hpet(struct tables *tables, const struct firmware *firmware)
{
	struct acpi_hpet *hpet = next_table(tables);

	if (!firmware->hpet)
		return;
	*hpet = (struct acpi_hpet){.id = firmware->hpet_id, .address = {.address = firmware->hpet}};
	tables->listed[tables->nr_listed++] = end_table(tables, "HPET", 1, sizeof(*hpet));
}

static uint32_t write_root(struct tables *tables, const char *signature, uint8_t bytes)
{
	uint8_t *table = next_table(tables);
	size_t length = sizeof(struct acpi_header);

	for (unsigned i = 0; i < tables->nr_listed; i++, length += bytes) {
		uint64_t offset = tables->listed[i];

		__builtin_memcpy(table + length, &offset, bytes);
		add_pointer(tables, length, bytes);
	}
	return end_table(tables, signature, 1, length);
}

static void write_pointer(struct acpi_layout *layout, uint32_t rsdt, uint32_t xsdt)
{
	struct acpi_rsdp *root = &layout->root;
	const struct acpi_pointer pointer[] = {
		{ACPI_ROOT, sizeof(root->rsdt), offsetof(struct acpi_rsdp, rsdt)},
		{ACPI_ROOT, sizeof(root->xsdt), offsetof(struct acpi_rsdp, xsdt)},
	};

	*root = (struct acpi_rsdp){.revision = 2, .length = sizeof(*root), .rsdt = rsdt, .xsdt = xsdt};
	__builtin_memcpy(root->signature, "RSD PTR ", 8);
	__builtin_memcpy(root->oem, "TRAPLN", 6);
	for (unsigned i = 0; i < 2; i++)
		layout->pointer[layout->nr_pointers++] = pointer[i];
	add_sum(layout, ACPI_ROOT, offsetof(struct acpi_rsdp, checksum), 0, ACPI_RSDP_SIZE);
	add_sum(layout, ACPI_ROOT, offsetof(struct acpi_rsdp, extended_checksum), 0, sizeof(*root));
}

void acpi_lay_out(const struct firmware *firmware, uint8_t *bytes, struct acpi_layout *layout)
{
	struct tables tables = {.layout = layout};
	uint32_t facs, dsdt, rsdt;

	__builtin_memset(bytes, 0, ACPI_TABLES_ROOM);
	*layout = (struct acpi_layout){.tables = bytes};
	facs = write_facs(&tables);
	dsdt = write_dsdt(&tables, firmware);
	write_fadt(&tables, firmware, facs, dsdt);
	write_madt(&tables, firmware);
	write_hpet(&tables, firmware);
	rsdt = write_root(&tables, "RSDT", 4);
	write_pointer(layout, rsdt, write_root(&tables, "XSDT", 8));
	layout->length = tables.at;
}
