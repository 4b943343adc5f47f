/* SPDX-License-Identifier: MIT */
/* What a loader says of a machine, well formed in both forms of Multiboot: what is read, and what is refused. */
#include "tests/unit/boot_loader.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void reads_both_forms(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		assert_true(loader_parse_machine(form, &loader_ordinary));
		assert_string_equal(loader.info.protocol, form == 1 ? "Multiboot 1" : "Multiboot 2");
		assert_string_equal(loader.info.loader, "GRUB 2.06");
		assert_string_equal(loader.info.line, "quiet guest=hammer");
		assert_int_equal(loader.info.nr_map, 4);
		assert_int_equal(loader.info.nr_memory, 2);
		assert_int_equal(loader.info.memory[0].start, 0);
		assert_int_equal(loader.info.memory[0].end, 0x9F000);
		assert_int_equal(loader.info.memory[1].start, 0x100000);
		assert_int_equal(loader.info.memory[1].end, 0x3FF0000);
		assert_int_equal(loader.info.memory_size, 0x9F000 + 0x3EF0000);
		assert_int_equal(loader.info.nr_modules, 2);
		assert_int_equal(loader.info.modules[0].start, 0x200000);
		assert_int_equal(loader.info.modules[0].end, 0x200123);
		assert_string_equal(loader.info.modules[0].line, "hammer manual");
		assert_string_equal(loader.info.modules[1].line, "remap");
		assert_int_equal(loader.info.rsdp_size, form == 1 ? 0 : 36);
		assert_int_equal(loader.info.rsdp[35], form == 1 ? 0 : 0xAC);
	}
}

static void refuses_other_magic(void **context)
{
	(void)context;
	assert_refused(loader_parse(0, LOADER_WINDOW), "0x1234");
	assert_refused(loader_parse(1, 0), "cannot be read");
	assert_refused(loader_parse(2, LOADER_WINDOW + LOADER_WINDOW_SIZE - 4), "cannot be read");
}

static void drops_its_own_path(void **context)
{
	struct loader_machine m = loader_ordinary;

	(void)context;
	m.name = "qemu";
	m.line = "trapline32.elf quiet";
	assert_true(loader_parse_machine(1, &m));
	assert_string_equal(loader.info.line, "quiet");
	m.line = "trapline32.elf";
	assert_true(loader_parse_machine(1, &m));
	assert_string_equal(loader.info.line, "");
	m.name = "another";
	m.line = "/boot/trapline.elf  quiet a/b";
	assert_true(loader_parse_machine(2, &m));
	assert_string_equal(loader.info.line, "quiet a/b");
	m.line = "quiet a/b";
	assert_true(loader_parse_machine(2, &m));
	assert_string_equal(loader.info.line, "quiet a/b");
}

static void cuts_a_long_loader_name(void **context)
{
	struct loader_machine m = loader_ordinary;
	char name[200];

	(void)context;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	m.name = name;
	for (int form = 1; form <= 2; form++) {
		assert_true(loader_parse_machine(form, &m));
		assert_int_equal(strlen(loader.info.loader), BOOT_LOADER_MAX - 1);
	}
}

static void sorts_merges_and_clips(void **context)
{
	static const struct loader_machine m = {
		.name = "x",
		.line = "",
		.map = {{0x300000, 0x400000, 1}, /* out of order */
			{0x100000, 0x180800, 1},
			{0x180800, 0x300000, 1},         /* meets both neighbours, one inside a page */
			{0x380000, 0x480000, 1},         /* the same type may overlap */
			{0x500001, 0x501FFF, 1},         /* less than a whole page is left of it */
			{0x600000, 0x600000, 1},         /* empty */
			{0x480000, 0x500000, 7},         /* an unknown type is not usable */
			{0x7FFFFFF000, 0x8000001000, 1}, /* passes the limit */
			{0x9000000000, 0x9100000000, 1}, /* lies behind it */
			{0x10000000000, 0x10000001000, 2}},
		.nr_map = 10,
	};

	(void)context;
	for (int form = 1; form <= 2; form++) {
		assert_true(loader_parse_machine(form, &m));
		assert_int_equal(loader.info.nr_map, 9);
		assert_int_equal(loader.info.nr_memory, 2);
		assert_int_equal(loader.info.memory[0].start, 0x100000);
		assert_int_equal(loader.info.memory[0].end, 0x480000);
		assert_int_equal(loader.info.memory[1].start, 0x7FFFFFF000);
		assert_int_equal(loader.info.memory[1].end, 0x8000000000);
		for (size_t i = 1; i < loader.info.nr_map; i++)
			assert_true(loader.info.map[i - 1].start <= loader.info.map[i].start);
	}
}

static void refuses_bad_maps(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		struct loader_machine m = loader_ordinary;

		m.map[1] = (struct boot_memory){0x9F000, 0xA0000, 2};
		assert_refused(loader_parse_machine(form, &m), "overlap");
		m.map[1] = (struct boot_memory){0xFFFFFFFFFFFFF000, 0x1000, 2};
		assert_refused(loader_parse_machine(form, &m), "wraps around");
		m = loader_ordinary;
		m.nr_map = 3; /* nothing where the image is */
		assert_refused(loader_parse_machine(form, &m), "the hypervisor itself");
		m.nr_map = 0;
		m.nr_modules = 0;
		assert_refused(loader_parse_machine(form, &m), "no usable memory");
		m.nr_map = BOOT_MAP_MAX + 1;
		for (unsigned i = 0; i < m.nr_map; i++)
			m.map[i] = (struct boot_memory){i * 0x100000ull, i * 0x100000ull + 0x80000, 1};
		assert_refused(loader_parse_machine(form, &m), "more than 256 entries");
	}
}

static void refuses_bad_modules(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		struct loader_machine m = loader_ordinary;

		m.modules[1].end = m.modules[1].start;
		assert_refused(loader_parse_machine(form, &m), "module 2 (\"remap\") is empty");
		m.modules[1].end = m.modules[1].start - 1;
		assert_refused(loader_parse_machine(form, &m), "ends before it starts");
		m.modules[1].end = 0x3FF0001;
		assert_refused(loader_parse_machine(form, &m), "outside usable memory");
		m.modules[1].start = 0xF0000;
		m.modules[1].end = 0xF1000;
		assert_refused(loader_parse_machine(form, &m), "outside usable memory");
		m.modules[1].start = 0x13FFFF;
		m.modules[1].end = 0x150000;
		assert_refused(loader_parse_machine(form, &m), "overlaps the hypervisor");
		m.modules[1].start = 0x140000;
		assert_true(loader_parse_machine(form, &m));
		m.modules[1].start = 0x200122;
		m.modules[1].end = 0x201000;
		assert_refused(loader_parse_machine(form, &m),
			       "modules 1 (\"hammer manual\") and 2 (\"remap\") overlap");
		m.modules[1].start = 0x200123;
		assert_true(loader_parse_machine(form, &m));
		for (m.nr_modules = 0; m.nr_modules <= BOOT_MODULES_MAX; m.nr_modules++)
			m.modules[m.nr_modules] = (struct boot_module){0x200000 + m.nr_modules * 0x1000ull,
								       0x200800 + m.nr_modules * 0x1000ull, "m"};
		assert_refused(loader_parse_machine(form, &m), "more than 64 modules");
		m = loader_ordinary;
		memset(m.modules[0].line, 'w', BOOT_MODULE_LINE_MAX);
		m.modules[0].line[BOOT_MODULE_LINE_MAX - 1] = '\0';
		assert_true(loader_parse_machine(form, &m));
		assert_int_equal(strlen(loader.info.modules[0].line), BOOT_MODULE_LINE_MAX - 1);
	}
}

/* What the loader passes is shown in sentences of one line. */
static void takes_control_characters_for_blanks(void **context)
{
	struct loader_machine m = loader_ordinary;

	(void)context;
	m.name = "GRUB\n\x1b[2J";
	m.line = "quiet\ntrace";
	strcpy(m.modules[0].line, "hammer\x1bmanual");
	for (int form = 1; form <= 2; form++) {
		assert_true(loader_parse_machine(form, &m));
		assert_string_equal(loader.info.loader, "GRUB  [2J");
		assert_string_equal(loader.info.line, "quiet trace");
		assert_string_equal(loader.info.modules[0].line, "hammer manual");
	}
}

static void refuses_long_lines(void **context)
{
	static char line[BOOT_LINE_MAX + 1];
	struct loader_machine m = loader_ordinary;

	(void)context;
	memset(line, 'w', BOOT_LINE_MAX);
	m.line = line;
	for (int form = 1; form <= 2; form++) {
		line[BOOT_LINE_MAX - 1] = 'w';
		assert_refused(loader_parse_machine(form, &m), "longer than 1023 characters");
		line[BOOT_LINE_MAX - 1] = '\0';
		assert_true(loader_parse_machine(form, &m));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_both_forms, loader_clear),
		cmocka_unit_test_setup(refuses_other_magic, loader_clear),
		cmocka_unit_test_setup(drops_its_own_path, loader_clear),
		cmocka_unit_test_setup(cuts_a_long_loader_name, loader_clear),
		cmocka_unit_test_setup(sorts_merges_and_clips, loader_clear),
		cmocka_unit_test_setup(refuses_bad_maps, loader_clear),
		cmocka_unit_test_setup(refuses_bad_modules, loader_clear),
		cmocka_unit_test_setup(takes_control_characters_for_blanks, loader_clear),
		cmocka_unit_test_setup(refuses_long_lines, loader_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
