/* SPDX-License-Identifier: MIT */
/* The tables that a PC's firmware leaves, read as a kernel reads them, and by ACPI's own compiler. */
#include "guest/pc/acpi_spec.h"
#include "guest/pc/firmware.h"
#include "tests/unit/firmware_pc.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t rom[FIRMWARE_SIZE];
static struct firmware pc;

static int setup(void **context)
{
	(void)context;
	pc = firmware_pc;
	memset(rom, 0xee, sizeof(rom));
	return 0;
}

static uint8_t sum(const void *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++)
		total = (uint8_t)(total + ((const uint8_t *)bytes)[i]);
	return total;
}

static const void *at(uint64_t address, size_t size)
{
	assert_in_range(address, FIRMWARE_AT, FIRMWARE_AT + FIRMWARE_SIZE - size);
	return rom + (address - FIRMWARE_AT);
}

/* As Xen looks for room below 640 KiB: 16-bit segments and counts of kibibytes. */
static void bios_data_says_where_memory_ends(void **context)
{
	enum { EBDA = 0x9fc00 };
	static uint8_t memory[EBDA + 1];
	uint16_t segment, kibibytes, serial;

	(void)context;
	firmware_write_bios_data(memory, EBDA);
	memcpy(&serial, memory + 0x400, sizeof(serial));
	memcpy(&segment, memory + 0x40e, sizeof(segment));
	memcpy(&kibibytes, memory + 0x413, sizeof(kibibytes));
	assert_int_equal(serial, 0x3f8);
	assert_int_equal(segment << 4, EBDA);
	assert_int_equal(kibibytes, 639);
	assert_int_equal(memory[EBDA], 1);
	/* Neighbours do not cut each other short. */
	assert_int_equal(memory[0x449], 3);
	assert_int_equal(memory[0x44a], 80);
	assert_int_equal(memory[0x484], 24);
	assert_int_equal(memory[0x485], 16);
}

static const struct acpi_rsdp *find_root(void)
{
	for (size_t i = 0; i < sizeof(rom); i += 16)
		if (!memcmp(rom + i, "RSD PTR ", 8) && !sum(rom + i, 20))
			return (const struct acpi_rsdp *)(rom + i);
	fail_msg("there is no root pointer");
	return NULL;
}

static const struct acpi_header *table_at(uint64_t address)
{
	const struct acpi_header *header = at(address, sizeof(*header));

	assert_int_equal(sum(at(address, header->length), header->length), 0);
	return header;
}

/* By the XSDT, which must list what the RSDT lists; NULL: it does not. */
static const void *find_table(const char *signature)
{
	const struct acpi_rsdp *root = find_root();
	const struct acpi_header *xsdt = table_at(root->xsdt), *rsdt = table_at(root->rsdt);
	unsigned count = (xsdt->length - 36) / 8;

	assert_int_equal(sum(root, 36), 0);
	assert_memory_equal(xsdt->signature, "XSDT", 4);
	assert_memory_equal(rsdt->signature, "RSDT", 4);
	assert_int_equal((rsdt->length - 36) / 4, count);
	for (unsigned i = 0; i < count; i++) {
		uint64_t wide;
		uint32_t narrow;

		memcpy(&wide, (const uint8_t *)xsdt + 36 + i * 8, 8);
		memcpy(&narrow, (const uint8_t *)rsdt + 36 + i * 4, 4);
		assert_int_equal(wide, narrow);
		if (!memcmp(table_at(wide)->signature, signature, 4))
			return table_at(wide);
	}
	return NULL;
}

static void acpi_is_found(void **context)
{
	const struct acpi_fadt *fadt;
	const struct acpi_hpet *hpet;
	const struct acpi_facs *facs;
	uint32_t rsdp;

	(void)context;
	rsdp = firmware_write(&pc, rom);
	assert_int_equal(rsdp, FIRMWARE_AT + ((const uint8_t *)find_root() - rom));
	fadt = find_table("FACP");
	assert_non_null(fadt);
	assert_memory_equal(table_at(fadt->dsdt)->signature, "DSDT", 4);
	assert_int_equal(fadt->x_dsdt, fadt->dsdt);
	assert_int_equal(fadt->pm1a_control, 0x604);
	assert_int_equal(fadt->pm_timer, 0x608);
	facs = at(fadt->facs, sizeof(*facs));
	assert_memory_equal(facs->signature, "FACS", 4);
	assert_int_equal(fadt->facs % 64, 0);
	hpet = find_table("HPET");
	assert_non_null(hpet);
	assert_int_equal(hpet->address.address, pc.hpet);
	pc.hpet = 0;
	firmware_write(&pc, rom);
	assert_null(find_table("HPET"));
}

static void madt_lists_the_processors(void **context)
{
	const struct acpi_madt *madt;
	unsigned cpus = 0, io_apics = 0, overrides = 0;

	(void)context;
	firmware_write(&pc, rom);
	madt = find_table("APIC");
	assert_non_null(madt);
	assert_int_equal(madt->local_apic, pc.local_apic);
	for (const uint8_t *entry = (const uint8_t *)(madt + 1); entry < (const uint8_t *)madt + madt->header.length;
	     entry += entry[1]) {
		assert_in_range(entry[1], 2, 64);
		if (entry[0] == MADT_LOCAL_APIC)
			assert_int_equal(((const struct madt_local_apic *)entry)->id, cpus++);
		if (entry[0] == MADT_IO_APIC)
			io_apics += ((const struct madt_io_apic *)entry)->address == pc.io_apic;
		overrides += entry[0] == MADT_OVERRIDE && entry[3] == 0 && entry[4] == 2;
	}
	assert_int_equal(cpus, 4);
	assert_int_equal(io_apics, 1);
	assert_int_equal(overrides, 1);
}

static void mp_table_lists_the_same(void **context)
{
	static const unsigned size_of[] = {20, 8, 8, 8, 8};
	const uint8_t *pointer = NULL, *table, *entry;
	unsigned seen[5] = {0}, count;
	uint32_t address;

	(void)context;
	firmware_write(&pc, rom);
	for (size_t i = 0; i < sizeof(rom); i += 16)
		if (!memcmp(rom + i, "_MP_", 4) && !sum(rom + i, 16))
			pointer = rom + i;
	assert_non_null(pointer);
	memcpy(&address, pointer + 4, 4);
	table = at(address, 44);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(sum(table, (size_t)(table[4] | table[5] << 8)), 0);
	count = table[34];
	entry = table + 44;
	for (unsigned i = 0; i < count; i++) {
		assert_in_range(entry[0], 0, 4);
		seen[entry[0]]++;
		entry += size_of[entry[0]];
	}
	assert_ptr_equal(entry, table + (table[4] | table[5] << 8));
	assert_int_equal(seen[0], 4);
	assert_int_equal(seen[1], 1);
	assert_int_equal(seen[2], 1);
	assert_int_equal(seen[3], 15);
	assert_int_equal(seen[4], 2);
}

static int run(const char *command)
{
	pid_t child = fork();
	int status = -1;

	if (!child) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* ACPI's compiler takes the table apart, and finds nothing wrong with what it reads there. */
static void dsdt_is_understood(void **context)
{
	static const char script[] = "cd %s && iasl -d dsdt.aml >log 2>&1 && "
				     "iasl dsdt.dsl >>log 2>&1 && grep -q ' 0 Errors, 0 Warnings' log";
	const struct acpi_fadt *fadt;
	const struct acpi_header *dsdt;
	char folder[] = P_tmpdir "/test_firmware.XXXXXX", path[64], command[256];
	FILE *file;

	(void)context;
	assert_non_null(mkdtemp(folder));
	firmware_write(&pc, rom);
	fadt = find_table("FACP");
	dsdt = table_at(fadt->dsdt);
	snprintf(path, sizeof(path), "%s/dsdt.aml", folder);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(dsdt, 1, dsdt->length, file), dsdt->length);
	fclose(file);
	snprintf(command, sizeof(command), script, folder);
	assert_int_equal(run(command), 0);
	snprintf(command, sizeof(command), "grep -q LNRO0005 %s/dsdt.dsl && grep -q 0xFEB01000 %s/dsdt.dsl && rm -r %s",
		 folder, folder, folder);
	assert_int_equal(run(command), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(acpi_is_found),      TEST(madt_lists_the_processors),        TEST(mp_table_lists_the_same),
		TEST(dsdt_is_understood), TEST(bios_data_says_where_memory_ends),
	};

	return cmocka_run_group_tests_name("firmware", tests, NULL, NULL);
}
