/* SPDX-License-Identifier: MIT */
/* The firmware of a PC: what a guest finds without one, what it finds of its own, and when its time begins. */
#include "tests/unit/hosted.h"
#include "tests/unit/pc_guest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { KIB = 1024, IMAGE = 192 * KIB, ADAPTERS = 0xc0000, TABLES = 0xf0000, HIGH = 0x100000, BIOS_DATA = 0x400 };

#define END (4ull << 30)

static uint8_t image[IMAGE], there[IMAGE];

/* A guest that is looked at once, and ends. */
static const struct pc_op look[] = {{OP_READY, 0, 0}, {OP_OUT, PC_EXIT, 0}};

static int start(void **context)
{
	for (unsigned i = 0; i < IMAGE; i++)
		image[i] = (uint8_t)(i * 7 + i / 251 + 1);
	return pc_scripts_start(context);
}

static void play(size_t size, void (*at_work)(struct pc *pc, unsigned count))
{
	struct pc_case how = {.firmware = {size ? image + IMAGE - size : NULL, size}};
	struct guest_report report;

	pc_on_ready = at_work;
	report = pc_play(&how, look);
	pc_on_ready = NULL;
	pc_passes(&report);
	assert_int_equal(pc_ready, 1);
}

static void expect_bytes(struct pc *pc, uint64_t at, const uint8_t *bytes, size_t size)
{
	assert_true(tl_mem_read(pc->vm, at, there, size));
	assert_memory_equal(there, bytes, size);
}

static void expect_all(struct pc *pc, uint64_t at, size_t size, uint8_t byte)
{
	assert_true(tl_mem_read(pc->vm, at, there, size));
	for (size_t i = 0; i < size; i++)
		assert_int_equal(there[i], byte);
}

/* ---- Of the guest's own -------------------------------------------------------------------------------------------
 */

static void begins_at_its_end(struct pc *pc, unsigned count)
{
	(void)count;
	expect_bytes(pc, END - IMAGE, image, IMAGE);
	assert_false(tl_mem_write(pc->vm, END - IMAGE, "x", 1));
	assert_false(tl_mem_read(pc->vm, END - IMAGE - 1, there, 1));
	/* The last 128 KiB once more, which it may write, as all from the first adapter's place on. */
	expect_bytes(pc, HIGH - 128 * KIB, image + IMAGE - 128 * KIB, 128 * KIB);
	expect_all(pc, ADAPTERS, 128 * KIB, 0);
	for (uint64_t at = ADAPTERS; at < HIGH; at += 0x1000)
		assert_true(tl_mem_write(pc->vm, at, "x", 1));
	expect_bytes(pc, END - IMAGE, image, IMAGE);
	/* It tells its system of the machine: there is nothing of ours. */
	expect_all(pc, BIOS_DATA, 256, 0);
	assert_int_equal(pc->rsdp, 0);
}

/* A vCPU whose state somebody had set would not be at the script's begin: see the fixture. */
static void own_firmware_lies_where_processors_begin(void **context)
{
	(void)context;
	play(IMAGE, begins_at_its_end);
}

static void is_small(struct pc *pc, unsigned count)
{
	(void)count;
	expect_bytes(pc, END - 64 * KIB, image + IMAGE - 64 * KIB, 64 * KIB);
	expect_bytes(pc, TABLES, image + IMAGE - 64 * KIB, 64 * KIB);
	expect_all(pc, ADAPTERS, 192 * KIB, 0);
}

static void own_firmware_may_be_small(void **context)
{
	(void)context;
	play(64 * KIB, is_small);
}

/* The bytes of etc/e820, by the ports. */
static uint64_t next_number(struct pc *pc, unsigned size)
{
	uint64_t number = 0;

	for (unsigned i = 0; i < size; i++)
		number |= (uint64_t)ports_read(&pc->machine.ports, FW_CFG_PORTS + 1, 1) << 8 * i;
	return number;
}

static void hears_of_ram(struct pc *pc, unsigned count)
{
	const struct fw_cfg *fw_cfg = &pc->machine.fw_cfg;
	bool has_script = false;

	(void)count;
	assert_int_equal(fw_cfg->nr_memories, 2);
	ports_write(&pc->machine.ports, FW_CFG_PORTS, 2, fw_cfg->memory_key);
	assert_int_equal(next_number(pc, 8), 0);
	assert_int_equal(next_number(pc, 8), PC_LOW_RAM);
	assert_int_equal(next_number(pc, 4), LOAD_MAP_RAM);
	assert_int_equal(next_number(pc, 8), PC_HIGH_RAM);
	assert_int_equal(next_number(pc, 8), pc->memory_size - PC_HIGH_RAM);
	assert_int_equal(next_number(pc, 4), LOAD_MAP_RAM);
	for (unsigned i = 0; i < fw_cfg->nr_files; i++)
		has_script |= !strcmp(fw_cfg->directory.file[i].name, "etc/table-loader");
	assert_true(has_script);
}

static void own_firmware_hears_of_ram_alone(void **context)
{
	(void)context;
	play(IMAGE, hears_of_ram);
}

static void has_the_modules(struct pc *pc, unsigned count)
{
	const struct fw_cfg *fw_cfg = &pc->machine.fw_cfg;
	const struct fw_cfg_file *file = &fw_cfg->directory.file[fw_cfg->nr_files - 2];

	(void)count;
	assert_string_equal(file[0].name, "opt/first");
	assert_string_equal(file[1].name, "vgaroms/123456789012345678901234567890123456789012345.r");
	ports_write(&pc->machine.ports, FW_CFG_PORTS, 2, FW_CFG_FIRST_FILE + fw_cfg->nr_files - 1);
	assert_int_equal(next_number(pc, 4), 'l' | 'a' << 8 | 's' << 16 | 't' << 24);
}

/* Others are none of its files; a name has 55 characters at most. */
static void modules_may_be_files(void **context)
{
	static const struct load_module modules[] = {
		{{"one", 3}, "fw_cfg opt/first"},
		{{"two", 3}, "data opt/second"},
		{{"last", 4}, "fw_cfg vgaroms/123456789012345678901234567890123456789012345.r"},
	};
	struct pc_case how = {.firmware = {image, IMAGE}, .modules = modules, .nr_modules = 3};
	struct guest_report report;

	(void)context;
	pc_on_ready = has_the_modules;
	report = pc_play(&how, look);
	pc_on_ready = NULL;
	pc_passes(&report);
	assert_int_equal(pc_ready, 1);
}

static void files_that_cannot_be_are_refused(void **context)
{
	static const char *const lines[] = {"fw_cfg",
					    "fw_cfg vgaroms/123456789012345678901234567890123456789012345.rom"};
	struct load_module modules[LOAD_MOST_MODULES];
	struct pc_case how = {.firmware = {image, IMAGE}, .modules = modules, .nr_modules = 1};
	struct guest_report report;

	(void)context;
	for (unsigned i = 0; i < 2; i++) {
		modules[0] = (struct load_module){{"x", 1}, lines[i]};
		report = pc_play(&how, look);
		assert_false(report.passed);
		assert_non_null(strstr(report.reason, "no name of at most 55 characters"));
	}
	for (unsigned i = 0; i < LOAD_MOST_MODULES; i++)
		modules[i] = (struct load_module){{"x", 1}, "fw_cfg opt/file"};
	how.nr_modules = LOAD_MOST_MODULES;
	report = pc_play(&how, look);
	assert_false(report.passed);
	assert_non_null(strstr(report.reason, "no room for opt/file in fw_cfg"));
	assert_int_equal(pc_ready, 0);
}

static void other_sizes_are_refused(void **context)
{
	static const size_t sizes[] = {1, 1000, 64 * KIB - 1, 64 * KIB + 4096};

	(void)context;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pc_case how = {.firmware = {image, sizes[i]}};
		struct guest_report report = pc_play(&how, look);

		assert_false(report.passed);
		assert_non_null(strstr(report.reason, "a multiple of 64 KiB"));
		assert_int_equal(pc_ready, 0);
	}
	/* Nothing is read of an image that would reach the devices. */
	for (size_t size = 8192 * KIB; size <= 8256 * KIB; size += 64 * KIB) {
		struct load_image large = {image, size};
		char why[160] = "";

		assert_int_equal(pc_firmware_check(&large, why, sizeof(why)), size == 8192 * KIB);
		assert_int_equal(!*why, size == 8192 * KIB);
	}
}

/* ---- Without one ---------------------------------------------------------------------------------------------------
 */

/* What kernels look through for the signature of an adapter's ROM. */
static void finds_no_adapters(struct pc *pc, unsigned count)
{
	(void)count;
	expect_all(pc, ADAPTERS, TABLES - ADAPTERS, 0xff);
	for (uint64_t at = ADAPTERS; at < HIGH; at += 0x1000)
		assert_false(tl_mem_write(pc->vm, at, "x", 1));
	assert_int_equal(pc->rsdp, TABLES);
	expect_bytes(pc, TABLES, (const uint8_t *)"RSD PTR ", 8);
	/* The processor that begins at its end halts. */
	expect_bytes(pc, HIGH - 16, (const uint8_t[]){0xfa, 0xf4, 0xeb, 0xfd}, 4);
	assert_false(tl_mem_read(pc->vm, END - 16, there, 16));
}

static void adapters_places_are_ones(void **context)
{
	(void)context;
	play(0, finds_no_adapters);
}

/* The host's TSC has run for long, and to zero memory takes a tick for each 8 bytes. */
static void has_just_begun(struct pc *pc, unsigned count)
{
	(void)count;
	assert_in_range(pc_now(pc), 1, SHORTLY);
	assert_true(pc_host_ticks() > 1ull << 40);
	assert_int_equal(pc->machine.clock.now(pc->machine.clock.context), pc_now(pc));
}

static void time_begins_with_the_guest(void **context)
{
	(void)context;
	play(0, has_just_begun);
	pc_ready = 0;
	play(IMAGE, has_just_begun);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(own_firmware_lies_where_processors_begin, start),
		cmocka_unit_test_setup(own_firmware_may_be_small, start),
		cmocka_unit_test_setup(own_firmware_hears_of_ram_alone, start),
		cmocka_unit_test_setup(modules_may_be_files, start),
		cmocka_unit_test_setup(files_that_cannot_be_are_refused, start),
		cmocka_unit_test_setup(other_sizes_are_refused, start),
		cmocka_unit_test_setup(adapters_places_are_ones, start),
		cmocka_unit_test_setup(time_begins_with_the_guest, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
