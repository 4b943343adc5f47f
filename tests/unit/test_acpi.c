/* SPDX-License-Identifier: MIT */
/* The processors that ACPI lists: good tables of all kinds, broken ones, and any bytes at all. */
#include "boot/acpi.h"
#include "boot/acpi_spec.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The memory that can be read: the first MiB, and some of what firmware takes at the end of RAM. */
enum { LOW_SIZE = 0x100000, TABLES_AT = 0x7FF0000, TABLES_SIZE = 0x10000 };
enum { RSDT_AT = TABLES_AT, XSDT_AT = TABLES_AT + 0x1000, MADT_AT = TABLES_AT + 0x2000, FADT_AT = TABLES_AT + 0xF000 };
enum { EBDA_AT = 0x9FC00, COPIES = 65536 };

static uint8_t low[LOW_SIZE], tables[TABLES_SIZE];
static struct acpi_apics cpus;
static char reason[256];
static uint32_t madt_size;

/* Each look is a copy of its own on the heap, so that the sanitizer sees a read beyond it. */
static void *copies[COPIES];
static size_t nr_copies;

static void *place(uint64_t physical, uint64_t size)
{
	if (size <= LOW_SIZE && physical <= LOW_SIZE - size)
		return low + physical;
	if (physical >= TABLES_AT && size <= TABLES_SIZE && physical - TABLES_AT <= TABLES_SIZE - size)
		return tables + (physical - TABLES_AT);
	return NULL;
}

static const void *bytes_at(uint64_t physical, uint64_t size)
{
	const void *from = place(physical, size);
	void *copy;

	if (!from)
		return NULL;
	assert_true(nr_copies < COPIES);
	copy = malloc(size);
	memcpy(copy, from, size);
	copies[nr_copies++] = copy;
	return copy;
}

static bool find(const void *rsdp, size_t size)
{
	bool found;

	strcpy(reason, "nothing.");
	memset(&cpus, 0xEE, sizeof(cpus));
	found = acpi_find_apics(bytes_at, rsdp, size, &cpus, reason, sizeof(reason));
	while (nr_copies)
		free(copies[--nr_copies]);
	assert_true(found == (cpus.count > 0));
	return found;
}

static void assert_refused(bool found, const char *words)
{
	assert_false(found);
	if (!strstr(reason, words))
		fail_msg("\"%s\" does not say \"%s\"", reason, words);
	assert_int_equal(reason[strlen(reason) - 1], '.');
}

/* ---- Making tables ---------------------------------------------------------------------------------------- */

static void make_sum_zero(uint8_t *bytes, size_t size, uint8_t *checksum)
{
	*checksum = 0;
	for (size_t i = 0; i < size; i++)
		if (bytes + i != checksum)
			*checksum = (uint8_t)(*checksum - bytes[i]);
}

static void seal(uint64_t at, uint32_t length)
{
	struct acpi_header *header = place(at, length);

	header->length = length;
	make_sum_zero((uint8_t *)header, length, &header->checksum);
}

static void put_table(uint64_t at, const char *signature, uint32_t length)
{
	memcpy(place(at, length), signature, 4);
	seal(at, length);
}

static void put_root(uint64_t at, const char *signature, size_t entry_size, uint64_t first, uint64_t second)
{
	uint8_t *entries = (uint8_t *)place(at, 64) + sizeof(struct acpi_header);

	memcpy(entries, &first, entry_size);
	memcpy(entries + entry_size, &second, entry_size);
	put_table(at, signature, (uint32_t)(sizeof(struct acpi_header) + 2 * entry_size));
}

static void put_entry(const void *entry, size_t size)
{
	memcpy(place(MADT_AT + madt_size, size), entry, size);
	madt_size += (uint32_t)size;
	put_table(MADT_AT, "APIC", madt_size);
}

static void put_cpu(uint8_t id, uint32_t flags)
{
	struct madt_local_apic entry = {MADT_LOCAL_APIC, sizeof(entry), 7, id, flags};

	put_entry(&entry, sizeof(entry));
}

static void put_x2apic(uint32_t id, uint32_t flags)
{
	struct madt_local_x2apic entry = {MADT_LOCAL_X2APIC, sizeof(entry), 0, id, flags, 7};

	put_entry(&entry, sizeof(entry));
}

/* Any other kind: an I/O APIC. */
static void put_other(void)
{
	uint8_t entry[12] = {1, sizeof(entry)};

	put_entry(entry, sizeof(entry));
}

static struct acpi_rsdp make_rsdp(uint8_t revision)
{
	struct acpi_rsdp rsdp = {.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
				 .revision = revision,
				 .rsdt = RSDT_AT,
				 .length = sizeof(rsdp),
				 .xsdt = XSDT_AT};

	make_sum_zero((uint8_t *)&rsdp, ACPI_RSDP_SIZE, &rsdp.checksum);
	make_sum_zero((uint8_t *)&rsdp, ACPI_RSDP_EXTENDED_SIZE, &rsdp.extended_checksum);
	return rsdp;
}

/* Both roots, another table before the MADT, and no processor yet. */
static int empty_tables(void **context)
{
	(void)context;
	memset(low, 0, sizeof(low));
	memset(tables, 0, sizeof(tables));
	put_table(FADT_AT, "FACP", 100);
	put_root(RSDT_AT, "RSDT", 4, FADT_AT, MADT_AT);
	put_root(XSDT_AT, "XSDT", 8, FADT_AT, MADT_AT);
	madt_size = sizeof(struct acpi_madt);
	return 0;
}

static bool find_from(uint8_t revision)
{
	struct acpi_rsdp rsdp = make_rsdp(revision);

	return find(&rsdp, revision ? ACPI_RSDP_EXTENDED_SIZE : ACPI_RSDP_SIZE);
}

/* ---- Good tables ------------------------------------------------------------------------------------------ */

static void lists_processors(void **context)
{
	(void)context;
	put_other();
	put_cpu(0, MADT_ENABLED);
	put_cpu(2, MADT_ENABLED);
	put_other();
	put_cpu(1, 0);    /* turned off */
	put_cpu(3, 2);    /* could be plugged in */
	put_cpu(0xFF, 0); /* stands for none */
	put_cpu(0xFF, MADT_ENABLED);
	put_x2apic(2, MADT_ENABLED); /* the same one again */
	put_x2apic(0x12345, MADT_ENABLED);
	put_x2apic(UINT32_MAX, MADT_ENABLED);
	for (uint8_t revision = 0; revision <= 2; revision += 2) {
		assert_true(find_from(revision));
		assert_int_equal(cpus.count, 3);
		assert_int_equal(cpus.apic_id[0], 0);
		assert_int_equal(cpus.apic_id[1], 2);
		assert_int_equal(cpus.apic_id[2], 0x12345);
		assert_int_equal(cpus.disabled, 2);
		assert_int_equal(cpus.left_out, 0);
	}
}

static void lists_any_number(void **context)
{
	(void)context;
	for (uint32_t i = 0; i < ACPI_CPUS_MAX + 20; i++) {
		if (i < 128)
			put_cpu((uint8_t)(2 * i), MADT_ENABLED);
		else
			put_x2apic(2 * i, MADT_ENABLED);
		assert_true(find_from(2));
		assert_int_equal(cpus.count, i < ACPI_CPUS_MAX ? i + 1 : ACPI_CPUS_MAX);
		assert_int_equal(cpus.left_out, i < ACPI_CPUS_MAX ? 0 : i + 1 - ACPI_CPUS_MAX);
	}
	for (uint32_t i = 0; i < ACPI_CPUS_MAX; i++)
		assert_int_equal(cpus.apic_id[i], 2 * i);
}

static void lists_io_apics(void **context)
{
	struct madt_io_apic entry = {MADT_IO_APIC, sizeof(entry), 0, 0, 0xFEC00000, 0};

	(void)context;
	put_cpu(4, MADT_ENABLED);
	assert_true(find_from(2));
	assert_int_equal(cpus.nr_io_apics, 0);
	for (unsigned i = 0; i < ACPI_IO_APICS_MAX + 2; i++) {
		put_entry(&entry, sizeof(entry));
		entry.address += 0x1000;
		assert_true(find_from(2));
		assert_int_equal(cpus.nr_io_apics, i < ACPI_IO_APICS_MAX ? i + 1 : ACPI_IO_APICS_MAX);
	}
	for (unsigned i = 0; i < ACPI_IO_APICS_MAX; i++)
		assert_int_equal(cpus.io_apic[i], 0xFEC00000 + 0x1000 * i);
	/* None of a table that is not to be believed. */
	entry.length = sizeof(entry) - 1;
	put_entry(&entry, sizeof(entry));
	assert_refused(find_from(2), "has an entry of 11 bytes");
	assert_int_equal(cpus.nr_io_apics, 0);
}

/* ---- Where the root pointer is ---------------------------------------------------------------------------- */

static void searches_the_root(void **context)
{
	static const uint32_t places[] = {EBDA_AT, EBDA_AT + 0x3E0, ACPI_BIOS_START,
					  0xF1230, 0x100000 - 48,   0x100000 - 32};
	struct acpi_rsdp rsdp;

	(void)context;
	put_cpu(9, MADT_ENABLED);
	assert_refused(find(NULL, 0), "neither the loader nor the BIOS");
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t revision = i < 5 ? 2 : 0; /* the last place has room for the short form only */

		memset(low, 0, sizeof(low));
		low[ACPI_EBDA_SEGMENT_AT] = EBDA_AT >> 4 & 0xFF;
		low[ACPI_EBDA_SEGMENT_AT + 1] = EBDA_AT >> 12;
		rsdp = make_rsdp(revision);
		memcpy(low + places[i], &rsdp, revision ? ACPI_RSDP_EXTENDED_SIZE : ACPI_RSDP_SIZE);
		assert_true(find(NULL, 0));
		assert_int_equal(cpus.apic_id[0], 9);
		/* What the loader gives is broken: the BIOS' own counts. */
		rsdp.checksum++;
		assert_true(find(&rsdp, sizeof(rsdp)));
		low[places[i]]++;
		assert_refused(find(NULL, 0), "neither the loader nor the BIOS");
	}
	/* An EBDA that lies nowhere. */
	low[ACPI_EBDA_SEGMENT_AT] = low[ACPI_EBDA_SEGMENT_AT + 1] = 0xFF;
	assert_refused(find(NULL, 0), "neither the loader nor the BIOS");
}

static void takes_the_root_that_is_good(void **context)
{
	struct acpi_rsdp rsdp = make_rsdp(2);

	(void)context;
	put_cpu(4, MADT_ENABLED);
	/* Of the long form only the short one is good. */
	rsdp.extended_checksum++;
	rsdp.xsdt = 0x123;
	assert_true(find(&rsdp, sizeof(rsdp)));
	/* A broken XSDT leaves the RSDT. */
	put_root(XSDT_AT, "XSDT", 8, 0, 0);
	assert_true(find_from(2));
	memset(place(XSDT_AT, 4), 0, 4);
	assert_true(find_from(2));
	rsdp = make_rsdp(2);
	rsdp.rsdt = 0;
	make_sum_zero((uint8_t *)&rsdp, ACPI_RSDP_SIZE, &rsdp.checksum);
	make_sum_zero((uint8_t *)&rsdp, ACPI_RSDP_EXTENDED_SIZE, &rsdp.extended_checksum);
	assert_refused(find(&rsdp, sizeof(rsdp)), "there is no XSDT at");
	rsdp.extended_checksum++;
	assert_refused(find(&rsdp, sizeof(rsdp)), "names no table");
}

/* ---- Broken tables ---------------------------------------------------------------------------------------- */

static void refuses_broken_tables(void **context)
{
	struct acpi_header *madt = place(MADT_AT, sizeof(*madt));
	struct acpi_header *rsdt = place(RSDT_AT, sizeof(*rsdt));

	(void)context;
	put_cpu(1, MADT_ENABLED);
	assert_true(find_from(0));
	madt->checksum++;
	assert_refused(find_from(0), "APIC at 0x7ff2000 has a wrong checksum");
	assert_refused(find_from(2), "APIC at 0x7ff2000 has a wrong checksum");
	madt->length = UINT32_MAX;
	assert_refused(find_from(0), "says that it has 4294967295 bytes");
	madt->length = TABLES_SIZE;
	assert_refused(find_from(0), "cannot be read to its end");
	madt->length = 35;
	assert_refused(find_from(0), "says that it has 35 bytes");
	seal(MADT_AT, sizeof(struct acpi_header));
	assert_refused(find_from(0), "lists no processor that is enabled");
	put_root(RSDT_AT, "RSDT", 4, FADT_AT, 0xFFFF0000);
	assert_refused(find_from(0), "RSDT names no APIC table");
	rsdt->length = UINT32_MAX;
	assert_refused(find_from(0), "RSDT at 0x7ff0000 says that it has 4294967295 bytes");
	rsdt->length = sizeof(*rsdt) + 5;
	assert_refused(find_from(0), "RSDT at 0x7ff0000 has a wrong checksum");
	rsdt->signature[0] = 'X';
	assert_refused(find_from(0), "there is no RSDT at 0x7ff0000");
}

static void refuses_broken_entries(void **context)
{
	static const uint8_t entries[][3] = {{0, 0}, {0, 1}, {0, 7}, {9, 15}, {0, 9}, {77, 200}, {77, 0}, {9, 255}};
	uint32_t good;

	(void)context;
	put_cpu(1, MADT_ENABLED);
	good = madt_size;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		uint8_t entry[8] = {entries[i][0], entries[i][1]};

		madt_size = good;
		put_entry(entry, entries[i][1] == 7 ? 7 : 8);
		assert_refused(find_from(0), "bytes at offset 52");
	}
	madt_size = good;
	put_entry("", 1);
	assert_refused(find_from(0), "an entry of 0 bytes at offset 52");
	/* Turned off, all of them. */
	memset(place(MADT_AT, good), 0, good);
	madt_size = sizeof(struct acpi_madt);
	put_cpu(1, 0);
	assert_refused(find_from(0), "turn them on");
	/* A second table may be good. */
	put_root(RSDT_AT, "RSDT", 4, MADT_AT, MADT_AT + 0x1000);
	memcpy(place(MADT_AT + 0x1000, 0x100), place(MADT_AT, 0x100), 0x100);
	((struct madt_local_apic *)place(MADT_AT + 0x1000 + 44, 8))->flags = MADT_ENABLED;
	seal(MADT_AT + 0x1000, madt_size);
	assert_true(find_from(0));
}

/* Random damage, with the checksums made right again half of the time: no crash, and no list that breaks its promises.
 */
static void survives_any_bytes(void **context)
{
	(void)context;
	for (unsigned round = 0; round < 20000; round++) {
		uint32_t sizes[] = {44, 52, (uint32_t)sizeof(struct acpi_madt)};
		uint64_t at[] = {RSDT_AT, XSDT_AT, MADT_AT};

		empty_tables(NULL);
		for (unsigned i = 0; i < 6; i++)
			random_below(2) ? put_cpu((uint8_t)i, 1) : put_x2apic(i, 1);
		sizes[2] = madt_size;
		for (unsigned i = 0; i < 3; i++) {
			for (uint64_t n = random_below(4); n; n--)
				((uint8_t *)place(at[i], sizes[i]))[random_below(sizes[i])] = (uint8_t)random_next();
			if (random_below(2))
				seal(at[i], sizes[i]);
		}
		find_from((uint8_t)random_below(3));
		assert_true(cpus.count <= 12);
		for (size_t i = 0; i < cpus.count; i++)
			for (size_t k = 0; k < i; k++)
				assert_int_not_equal(cpus.apic_id[i], cpus.apic_id[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lists_processors, empty_tables),
		cmocka_unit_test_setup(lists_any_number, empty_tables),
		cmocka_unit_test_setup(lists_io_apics, empty_tables),
		cmocka_unit_test_setup(searches_the_root, empty_tables),
		cmocka_unit_test_setup(takes_the_root_that_is_good, empty_tables),
		cmocka_unit_test_setup(refuses_broken_tables, empty_tables),
		cmocka_unit_test_setup(refuses_broken_entries, empty_tables),
		cmocka_unit_test_setup(survives_any_bytes, empty_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
