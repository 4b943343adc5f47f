/* SPDX-License-Identifier: MIT */
/*
 * What firmware reads from fw_cfg: a loader that does what QEMU's script says, as SeaBIOS does, and gets the tables
 * that a guest without firmware finds.
 */
#include "guest/pc/firmware_files.h"

#include "tests/unit/firmware_pc.h"
#include "tests/unit/virtio_driver.h"
#include "tests/unit/vm_fixture.h"

enum { REQUEST_AT = 0x1000, DIRECTORY_AT = 0x2000, SCRIPT_AT = 0x4000, READ = 2, SELECT = 8, MOST_FILES = 8 };
enum { NAME = 56, ALLOCATE = 1, ADD_POINTER = 2, ADD_CHECKSUM = 3, HIGH = 1, F_SEGMENT = 2 };

static struct firmware pc;
static struct firmware_files files;
static struct fw_cfg fw_cfg;
static uint8_t rom[FIRMWARE_SIZE];

/* What the loader has allocated; and where from. */
static struct {
	const char *name;
	uint32_t at, size;
} loaded[MOST_FILES];
static unsigned nr_loaded;
static uint32_t high, f_segment;

static int start(void **context)
{
	virtio_guest_start(context);
	pc = firmware_pc;
	pc.boot_disk = pc.virtio[0].address;
	memset(&files, 0, sizeof(files));
	memset(loaded, 0, sizeof(loaded));
	nr_loaded = 0;
	fw_cfg_init(&fw_cfg, &device_bench.lock, vm, GUEST_RAM, 4);
	return 0;
}

static uint32_t word_at(uint64_t at)
{
	uint32_t word;

	memcpy(&word, virtio_guest_bytes(at), sizeof(word));
	return word;
}

/* By DMA, as firmware reads. */
static void read_item(uint16_t key, uint32_t to, uint32_t size)
{
	struct port_range dma = fw_cfg_dma_ports(&fw_cfg);
	uint32_t words[] = {__builtin_bswap32((uint32_t)key << 16 | SELECT | READ), __builtin_bswap32(size), 0,
			    __builtin_bswap32(to)};

	memcpy(virtio_guest_bytes(REQUEST_AT), words, sizeof(words));
	bench_out(dma, 4, 4, __builtin_bswap32(REQUEST_AT));
	assert_int_equal(word_at(REQUEST_AT), 0);
}

/* The size of the file, which goes to `to`; 0: there is none. */
static uint32_t load_file(const char *name, uint32_t to)
{
	uint32_t count, size = 0;

	read_item(FW_CFG_DIRECTORY, DIRECTORY_AT, 4 + 64 * FW_CFG_FILES);
	count = __builtin_bswap32(word_at(DIRECTORY_AT));
	for (uint32_t i = 0, at = DIRECTORY_AT + 4; i < count; i++, at += 64) {
		if (strcmp((const char *)virtio_guest_bytes(at + 8), name) != 0)
			continue;
		size = __builtin_bswap32(word_at(at));
		read_item((uint16_t)(__builtin_bswap32(word_at(at + 4)) >> 16), to, size);
	}
	return size;
}

/* ---- The loader ---------------------------------------------------------------------------------------------------
 */

static uint32_t find_loaded(uint32_t name, uint32_t *size)
{
	assert_int_equal(*virtio_guest_bytes(name + NAME - 1), 0);
	for (unsigned i = 0; i < nr_loaded; i++) {
		if (strcmp(loaded[i].name, (const char *)virtio_guest_bytes(name)) != 0)
			continue;
		*size = loaded[i].size;
		return loaded[i].at;
	}
	fail_msg("%s has not been allocated", (const char *)virtio_guest_bytes(name));
	return 0;
}

static void allocate(uint32_t order)
{
	const char *name = (const char *)virtio_guest_bytes(order);
	uint32_t align = word_at(order + NAME), zone = *virtio_guest_bytes(order + NAME + 4);
	uint32_t *from = zone == HIGH ? &high : &f_segment, size;

	assert_true(zone == HIGH || zone == F_SEGMENT);
	assert_true(align && !(align & (align - 1)));
	assert_true(nr_loaded < MOST_FILES);
	*from = (*from + align - 1) & ~(align - 1);
	size = load_file(name, *from);
	assert_true(size);
	loaded[nr_loaded].name = name;
	loaded[nr_loaded].at = *from;
	loaded[nr_loaded++].size = size;
	*from += size;
}

static void add_pointer(uint32_t order)
{
	uint32_t size, to_size, file = find_loaded(order, &size), to = find_loaded(order + NAME, &to_size);
	uint32_t at = word_at(order + 2 * NAME), bytes = *virtio_guest_bytes(order + 2 * NAME + 4);
	uint64_t pointer = 0;

	assert_true(bytes == 4 || bytes == 8);
	assert_true(at + bytes <= size);
	memcpy(&pointer, virtio_guest_bytes(file + at), bytes);
	assert_true(pointer < to_size);
	pointer += to;
	memcpy(virtio_guest_bytes(file + at), &pointer, bytes);
}

/* OVMF sums with the byte as it is, so it has to be 0. */
static void add_checksum(uint32_t order)
{
	uint32_t size, file = find_loaded(order, &size), at = word_at(order + NAME);
	uint32_t first = word_at(order + NAME + 4), length = word_at(order + NAME + 8);
	uint8_t sum = 0;

	assert_true(at < size && first < size && length <= size - first);
	assert_int_equal(*virtio_guest_bytes(file + at), 0);
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + *virtio_guest_bytes(file + first + i));
	*virtio_guest_bytes(file + at) = (uint8_t)-sum;
}

static void execute_script(void)
{
	uint32_t size = load_file("etc/table-loader", SCRIPT_AT);

	assert_true(size);
	assert_int_equal(size % 128, 0);
	for (uint32_t at = SCRIPT_AT; at < SCRIPT_AT + size; at += 128) {
		switch (word_at(at)) {
		case ALLOCATE:
			allocate(at + 4);
			break;
		case ADD_POINTER:
			add_pointer(at + 4);
			break;
		case ADD_CHECKSUM:
			add_checksum(at + 4);
			break;
		default:
			fail_msg("there is no order %u", word_at(at));
		}
	}
}

/* ---- What comes of it ---------------------------------------------------------------------------------------------
 */

/* At the places of the direct boot they are those of the direct boot, byte by byte. */
static void tables_are_those_of_the_direct_boot(void **context)
{
	(void)context;
	for (unsigned cpus = 1; cpus <= FIRMWARE_MOST_CPUS; cpus += 21) {
		virtio_guest_stop(context);
		start(context);
		pc.nr_cpus = cpus;
		f_segment = FIRMWARE_AT;
		high = FIRMWARE_AT + ACPI_ALIGN;
		assert_true(firmware_add_files(&pc, &files, &fw_cfg));
		execute_script();
		assert_int_equal(firmware_write(&pc, rom), FIRMWARE_AT);
		assert_memory_equal(virtio_guest_bytes(FIRMWARE_AT), rom, ACPI_RSDP_EXTENDED_SIZE);
		assert_memory_equal(virtio_guest_bytes(FIRMWARE_AT + ACPI_ALIGN), rom + ACPI_ALIGN, files.acpi.length);
	}
}

static const struct acpi_header *checked_table(uint64_t at)
{
	const struct acpi_header *table = (const void *)virtio_guest_bytes(at);

	assert_in_range(at, high - files.acpi.length, high - 1);
	assert_int_equal(firmware_checksum(table, table->length), 0);
	return table;
}

/* Both roots name the same three, the FADT first. */
static const struct acpi_fadt *checked_roots(const struct acpi_rsdp *root)
{
	const struct acpi_header *rsdt = checked_table(root->rsdt), *xsdt = checked_table(root->xsdt);
	uint64_t wide[3];
	uint32_t narrow[3];

	assert_int_equal(rsdt->length, sizeof(*rsdt) + sizeof(narrow));
	assert_int_equal(xsdt->length, sizeof(*xsdt) + sizeof(wide));
	memcpy(narrow, rsdt + 1, sizeof(narrow));
	memcpy(wide, xsdt + 1, sizeof(wide));
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(wide[i], narrow[i]);
		checked_table(wide[i]);
	}
	assert_memory_equal(checked_table(wide[0])->signature, "FACP", 4);
	return (const void *)checked_table(wide[0]);
}

/* Elsewhere all that a kernel follows leads to where they are now. */
static void tables_may_lie_anywhere(void **context)
{
	const struct acpi_rsdp *root;
	const struct acpi_fadt *fadt;

	(void)context;
	f_segment = 0xf3210;
	high = 0x54000;
	assert_true(firmware_add_files(&pc, &files, &fw_cfg));
	execute_script();
	root = (const void *)virtio_guest_bytes(0xf3210);
	assert_memory_equal(root->signature, "RSD PTR ", 8);
	assert_int_equal(firmware_checksum(root, ACPI_RSDP_SIZE), 0);
	assert_int_equal(firmware_checksum(root, sizeof(*root)), 0);
	fadt = checked_roots(root);
	assert_memory_equal(checked_table(fadt->dsdt)->signature, "DSDT", 4);
	assert_int_equal(fadt->dsdt, fadt->x_dsdt);
	assert_memory_equal(virtio_guest_bytes(fadt->facs), "FACS", 4);
}

/* The largest machine has room. */
static void tables_have_room(void **context)
{
	(void)context;
	pc.nr_cpus = FIRMWARE_MOST_CPUS;
	pc.nr_virtio = FIRMWARE_MOST_VIRTIO;
	assert_true(firmware_add_files(&pc, &files, &fw_cfg));
	assert_in_range(files.acpi.length, 2048, ACPI_TABLES_ROOM - 512);
	assert_in_range(files.acpi.nr_pointers, 1, ACPI_MOST_POINTERS);
	assert_in_range(files.acpi.nr_sums, 1, ACPI_MOST_SUMS);
}

static void says_what_to_boot(void **context)
{
	static const char order[] = "/virtio-mmio@00000000feb00000/disk@0,0";

	(void)context;
	assert_true(firmware_add_files(&pc, &files, &fw_cfg));
	assert_int_equal(load_file("bootorder", SCRIPT_AT), sizeof(order));
	assert_string_equal((const char *)virtio_guest_bytes(SCRIPT_AT), order);
	memset(virtio_guest_bytes(SCRIPT_AT), 0xee, 8);
	assert_int_equal(load_file("etc/boot-fail-wait", SCRIPT_AT), 4);
	assert_int_equal(word_at(SCRIPT_AT), 0);
	assert_int_equal(load_file("etc/sercon-port", SCRIPT_AT), 2);
	assert_int_equal(word_at(SCRIPT_AT) & 0xffff, 0x3f8);
}

static void says_nothing_of_a_disk_that_is_not_there(void **context)
{
	(void)context;
	pc.boot_disk = 0;
	assert_true(firmware_add_files(&pc, &files, &fw_cfg));
	assert_int_equal(load_file("bootorder", SCRIPT_AT), 0);
	assert_int_equal(load_file("etc/boot-fail-wait", SCRIPT_AT), 4);
}

static void says_when_there_are_too_many(void **context)
{
	(void)context;
	while (fw_cfg.nr_files < FW_CFG_FILES - 3)
		assert_true(fw_cfg_add_file(&fw_cfg, "opt/file", "", 0));
	assert_false(firmware_add_files(&pc, &files, &fw_cfg));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tables_are_those_of_the_direct_boot, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(tables_may_lie_anywhere, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(tables_have_room, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(says_what_to_boot, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(says_nothing_of_a_disk_that_is_not_there, start, virtio_guest_stop),
		cmocka_unit_test_setup_teardown(says_when_there_are_too_many, start, virtio_guest_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
