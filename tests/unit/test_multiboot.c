/* SPDX-License-Identifier: MIT */
/* What a loader may say, in both forms of Multiboot, over a small simulated physical memory. */
#include "boot/multiboot.h"
#include "boot/multiboot_spec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WINDOW = 0x10000, WINDOW_SIZE = 0x4000 }; /* what the parser may read */
enum { IMAGE_START = 0x100000, IMAGE_END = 0x140000 };

static uint8_t window[WINDOW_SIZE];
static uint32_t used; /* bytes of the window */
static uint64_t limit;
static struct boot_info info;
static char reason[1024];

static const void *at(uint64_t physical, uint64_t size)
{
	if (physical < WINDOW || physical > WINDOW + WINDOW_SIZE || size > WINDOW + WINDOW_SIZE - physical)
		return NULL;
	return window + (physical - WINDOW);
}

static bool parse(uint32_t magic, uint32_t address)
{
	const struct boot_view view = {
		.at = at, .image = {IMAGE_START, IMAGE_END},
		     .limit = limit
	   };

	strcpy(reason, "");
	return boot_parse(magic, address, &view, &info, reason, sizeof(reason));
}

/* The parser has to refuse, in a sentence with these words in it. */
#define assert_refused(parsed, words)                                          \
	do {                                                                   \
		assert_false(parsed);                                          \
		if (!strstr(reason, words))                                    \
			fail_msg("\"%s\" does not say \"%s\"", reason, words); \
		assert_int_equal(reason[strlen(reason) - 1], '.');             \
	} while (0)

static uint32_t put(const void *bytes, size_t size)
{
	uint32_t address = WINDOW + used;

	assert_true(used + size <= WINDOW_SIZE);
	memcpy(window + used, bytes, size);
	used += (uint32_t)size;
	return address;
}

static uint32_t put_text(const char *text)
{
	return put(text, strlen(text) + 1);
}

static int set_up(void **context)
{
	(void)context;
	memset(window, 0, sizeof(window));
	used = 0;
	limit = 1ull << 39;
	return 0;
}

/* ---- A machine in plain words, and both ways to tell it -------------------------------------------------------------
 */

struct machine {
	const char *loader, *line;
	struct boot_memory map[300];
	unsigned nr_map;
	struct boot_module modules[40];
	unsigned nr_modules;
};

static const struct machine ordinary = {
	.loader = "GRUB 2.06",
	.line = "quiet guest=hammer",
	.map = {{0, 0x9FC00, 1},		 {0x9FC00, 0xA0000, 2}, {0xF0000, 0x100000, 2}, {0x100000, 0x3FF0000, 1}},
	.nr_map = 4,
	.modules = {{0x200000, 0x200123, "hammer manual"}, {0x201000, 0x203000, "remap"}			},
	.nr_modules = 2,
};

static uint32_t tell1(const struct machine *m)
{
	struct mb1_info mb = {.flags = MB1_HAS_LINE | MB1_HAS_MODULES | MB1_HAS_MAP | MB1_HAS_LOADER};
	struct mb1_module modules[40];

	for (unsigned i = 0; i < m->nr_modules; i++)
		modules[i] = (struct mb1_module){(uint32_t)m->modules[i].start, (uint32_t)m->modules[i].end,
						 put_text(m->modules[i].line), 0};
	mb.nr_modules = m->nr_modules;
	mb.modules = put(modules, m->nr_modules * sizeof(modules[0]));
	mb.map = WINDOW + used;
	for (unsigned i = 0; i < m->nr_map; i++) {
		struct mb1_memory entry = {20, m->map[i].start, m->map[i].end - m->map[i].start, m->map[i].type};

		put(&entry, sizeof(entry));
	}
	mb.map_size = WINDOW + used - mb.map;
	mb.line = put_text(m->line);
	mb.loader = put_text(m->loader);
	used = (used + 3) & ~3u;
	return put(&mb, sizeof(mb));
}

static void put_tag(uint32_t type, const void *head, size_t head_size, const void *body, size_t size)
{
	struct mb2_tag tag = {type, (uint32_t)(sizeof(tag) + head_size + size)};

	put(&tag, sizeof(tag));
	if (head_size)
		put(head, head_size);
	if (size)
		put(body, size);
	used = (used + 7) & ~7u;
}

static uint32_t tell2(const struct machine *m)
{
	struct mb2_info mb = {0};
	uint32_t address;
	uint32_t shape[2] = {sizeof(struct mb2_memory), 0};
	struct mb2_memory entries[300];
	uint8_t rsdp[BOOT_RSDP_MAX];

	used = (used + 7) & ~7u;
	address = put(&mb, sizeof(mb));
	put_tag(MB2_LINE, NULL, 0, m->line, strlen(m->line) + 1);
	put_tag(MB2_LOADER, NULL, 0, m->loader, strlen(m->loader) + 1);
	for (unsigned i = 0; i < m->nr_modules; i++) {
		uint32_t where[2] = {(uint32_t)m->modules[i].start, (uint32_t)m->modules[i].end};

		put_tag(MB2_MODULE, where, sizeof(where), m->modules[i].line, strlen(m->modules[i].line) + 1);
	}
	for (unsigned i = 0; i < m->nr_map; i++)
		entries[i] = (struct mb2_memory){m->map[i].start, m->map[i].end - m->map[i].start, m->map[i].type, 0};
	put_tag(MB2_MAP, shape, sizeof(shape), entries, m->nr_map * sizeof(entries[0]));
	memset(rsdp, 0xAC, sizeof(rsdp));
	put_tag(MB2_ACPI_NEW, NULL, 0, rsdp, sizeof(rsdp));
	put_tag(MB2_ACPI_OLD, NULL, 0, rsdp, 20);
	put_tag(MB2_END, NULL, 0, NULL, 0);
	mb.total_size = WINDOW + used - address;
	memcpy(window + (address - WINDOW), &mb, sizeof(mb));
	return address;
}

static bool parse_as(int form, const struct machine *m)
{
	set_up(NULL);
	return form == 1 ? parse(MULTIBOOT1_BOOTED, tell1(m)) : parse(MULTIBOOT2_BOOTED, tell2(m));
}

/* ---- Tests
 * ------------------------------------------------------------------------------------------------------------ */

static void reads_both_forms(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		assert_true(parse_as(form, &ordinary));
		assert_string_equal(info.protocol, form == 1 ? "Multiboot 1" : "Multiboot 2");
		assert_string_equal(info.loader, "GRUB 2.06");
		assert_string_equal(info.line, "quiet guest=hammer");
		assert_int_equal(info.nr_map, 4);
		assert_int_equal(info.nr_memory, 2);
		assert_int_equal(info.memory[0].start, 0);
		assert_int_equal(info.memory[0].end, 0x9F000);
		assert_int_equal(info.memory[1].start, 0x100000);
		assert_int_equal(info.memory[1].end, 0x3FF0000);
		assert_int_equal(info.memory_size, 0x9F000 + 0x3EF0000);
		assert_int_equal(info.nr_modules, 2);
		assert_int_equal(info.modules[0].start, 0x200000);
		assert_int_equal(info.modules[0].end, 0x200123);
		assert_string_equal(info.modules[0].line, "hammer manual");
		assert_string_equal(info.modules[1].line, "remap");
		assert_int_equal(info.rsdp_size, form == 1 ? 0 : 36);
		assert_int_equal(info.rsdp[35], form == 1 ? 0 : 0xAC);
	}
}

static void refuses_other_magic(void **context)
{
	(void)context;
	assert_refused(parse(0x1234, WINDOW), "0x1234");
	assert_refused(parse(MULTIBOOT1_BOOTED, 0), "cannot be read");
	assert_refused(parse(MULTIBOOT2_BOOTED, WINDOW + WINDOW_SIZE - 4), "cannot be read");
}

static void drops_its_own_path(void **context)
{
	struct machine m = ordinary;

	(void)context;
	m.loader = "qemu";
	m.line = "trapline32.elf quiet";
	assert_true(parse_as(1, &m));
	assert_string_equal(info.line, "quiet");
	m.line = "trapline32.elf";
	assert_true(parse_as(1, &m));
	assert_string_equal(info.line, "");
	m.loader = "another";
	m.line = "/boot/trapline.elf  quiet a/b";
	assert_true(parse_as(2, &m));
	assert_string_equal(info.line, "quiet a/b");
	m.line = "quiet a/b";
	assert_true(parse_as(2, &m));
	assert_string_equal(info.line, "quiet a/b");
}

static void cuts_a_long_loader_name(void **context)
{
	struct machine m = ordinary;
	char name[200];

	(void)context;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	m.loader = name;
	for (int form = 1; form <= 2; form++) {
		assert_true(parse_as(form, &m));
		assert_int_equal(strlen(info.loader), BOOT_LOADER_MAX - 1);
	}
}

static void sorts_merges_and_clips(void **context)
{
	static const struct machine m = {
		.loader = "x",
		.line = "",
		.map = {{0x300000, 0x400000, 1}, /* out of order */
			{0x100000, 0x180800, 1},
			{0x180800, 0x300000, 1}, /* meets both neighbours, one inside a page */
			{0x380000, 0x480000, 1}, /* the same type may overlap */
			{0x500001, 0x501FFF, 1}, /* less than a whole page is left of it */
			{0x600000, 0x600000, 1}, /* empty */
			{0x480000, 0x500000, 7}, /* an unknown type is not usable */
			{0x7FFFFFF000, 0x8000001000, 1}, /* passes the limit */
			{0x9000000000, 0x9100000000, 1}, /* lies behind it */
			{0x10000000000, 0x10000001000, 2}},
		.nr_map = 10,
	};

	(void)context;
	for (int form = 1; form <= 2; form++) {
		assert_true(parse_as(form, &m));
		assert_int_equal(info.nr_map, 9);
		assert_int_equal(info.nr_memory, 2);
		assert_int_equal(info.memory[0].start, 0x100000);
		assert_int_equal(info.memory[0].end, 0x480000);
		assert_int_equal(info.memory[1].start, 0x7FFFFFF000);
		assert_int_equal(info.memory[1].end, 0x8000000000);
		for (size_t i = 1; i < info.nr_map; i++)
			assert_true(info.map[i - 1].start <= info.map[i].start);
	}
}

static void refuses_bad_maps(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		struct machine m = ordinary;

		m.map[1] = (struct boot_memory){0x9F000, 0xA0000, 2};
		assert_refused(parse_as(form, &m), "overlap");
		m.map[1] = (struct boot_memory){0xFFFFFFFFFFFFF000, 0x1000, 2};
		assert_refused(parse_as(form, &m), "wraps around");
		m = ordinary;
		m.nr_map = 3; /* nothing where the image is */
		assert_refused(parse_as(form, &m), "the hypervisor itself");
		m.nr_map = 0;
		m.nr_modules = 0;
		assert_refused(parse_as(form, &m), "no usable memory");
		m.nr_map = BOOT_MAP_MAX + 1;
		for (unsigned i = 0; i < m.nr_map; i++)
			m.map[i] = (struct boot_memory){i * 0x100000ull, i * 0x100000ull + 0x80000, 1};
		assert_refused(parse_as(form, &m), "more than 256 entries");
	}
}

static void refuses_bad_modules(void **context)
{
	(void)context;
	for (int form = 1; form <= 2; form++) {
		struct machine m = ordinary;

		m.modules[1].end = m.modules[1].start;
		assert_refused(parse_as(form, &m), "module 2 (\"remap\") is empty");
		m.modules[1].end = m.modules[1].start - 1;
		assert_refused(parse_as(form, &m), "ends before it starts");
		m.modules[1].end = 0x3FF0001;
		assert_refused(parse_as(form, &m), "outside usable memory");
		m.modules[1].start = 0xF0000;
		m.modules[1].end = 0xF1000;
		assert_refused(parse_as(form, &m), "outside usable memory");
		m.modules[1].start = 0x13FFFF;
		m.modules[1].end = 0x150000;
		assert_refused(parse_as(form, &m), "overlaps the hypervisor");
		m.modules[1].start = 0x140000;
		assert_true(parse_as(form, &m));
		m.modules[1].start = 0x200122;
		m.modules[1].end = 0x201000;
		assert_refused(parse_as(form, &m), "modules 1 (\"hammer manual\") and 2 (\"remap\") overlap");
		m.modules[1].start = 0x200123;
		assert_true(parse_as(form, &m));
		for (m.nr_modules = 0; m.nr_modules <= BOOT_MODULES_MAX; m.nr_modules++)
			m.modules[m.nr_modules] = (struct boot_module){0x200000 + m.nr_modules * 0x1000ull,
								       0x200800 + m.nr_modules * 0x1000ull, "m"};
		assert_refused(parse_as(form, &m), "more than 32 modules");
		m = ordinary;
		memset(m.modules[0].line, 'w', BOOT_MODULE_LINE_MAX);
		m.modules[0].line[BOOT_MODULE_LINE_MAX - 1] = '\0';
		assert_true(parse_as(form, &m));
		assert_int_equal(strlen(info.modules[0].line), BOOT_MODULE_LINE_MAX - 1);
	}
}

static void refuses_long_lines(void **context)
{
	static char line[BOOT_LINE_MAX + 1];
	struct machine m = ordinary;

	(void)context;
	memset(line, 'w', BOOT_LINE_MAX);
	m.line = line;
	for (int form = 1; form <= 2; form++) {
		line[BOOT_LINE_MAX - 1] = 'w';
		assert_refused(parse_as(form, &m), "longer than 1023 characters");
		line[BOOT_LINE_MAX - 1] = '\0';
		assert_true(parse_as(form, &m));
	}
}

static void refuses_malformed_multiboot1(void **context)
{
	struct mb1_info *mb;
	struct mb1_memory *entry;
	struct mb1_module module = {0x200000, 0x201000, 0, 0};
	uint32_t address, map;

	(void)context;
	address = tell1(&ordinary);
	mb = (struct mb1_info *)(void *)(window + (address - WINDOW));
	assert_true(parse(MULTIBOOT1_BOOTED, address));
	mb->flags &= ~(uint32_t)MB1_HAS_MAP;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "no usable memory");
	mb->flags |= MB1_HAS_MAP;
	mb->map_size -= 1;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "ends inside an entry");
	mb->map_size += 1;
	map = mb->map;
	entry = (struct mb1_memory *)(void *)(window + (map - WINDOW));
	entry->size = 19;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "an entry of 19 bytes");
	entry->size = 0xFFFFFFFF;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "an entry of 4294967295 bytes");
	entry->size = 20;
	mb->map = 0xFFFFFFF0;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "memory map at 0xfffffff0 cannot be read");
	mb->map = map;
	mb->modules = 0x4000;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "list of modules at 0x4000 cannot be read");
	module.line = WINDOW + used;
	memset(window + used, 'w', BOOT_MODULE_LINE_MAX);
	used += BOOT_MODULE_LINE_MAX + 1;
	mb->modules = put(&module, sizeof(module));
	mb->nr_modules = 1;
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "module is longer than 255 characters");
	mb->nr_modules = 0;
	mb->line = WINDOW + WINDOW_SIZE - 1; /* a string that runs out of what can be read */
	window[WINDOW_SIZE - 1] = 'x';
	assert_refused(parse(MULTIBOOT1_BOOTED, address), "command line at");
}

static void refuses_malformed_multiboot2(void **context)
{
	struct mb2_info *mb;
	struct mb2_tag *line;
	uint32_t address;

	(void)context;
	address = tell2(&ordinary);
	mb = (struct mb2_info *)(void *)(window + (address - WINDOW));
	line = (struct mb2_tag *)(void *)(mb + 1);
	assert_true(parse(MULTIBOOT2_BOOTED, address));
	mb->total_size -= 8;
	assert_refused(parse(MULTIBOOT2_BOOTED, address), "no end");
	mb->total_size = 0;
	assert_refused(parse(MULTIBOOT2_BOOTED, address), "no end");
	mb->total_size = 0xFFFFFFFF;
	assert_true(parse(MULTIBOOT2_BOOTED, address)); /* the end tag ends it all the same */
	line->size = 7;
	assert_refused(parse(MULTIBOOT2_BOOTED, address), "type 1 has 7 bytes");
	line->size = 0xFFFFFFFF;
	assert_refused(parse(MULTIBOOT2_BOOTED, address), "type 1 has 4294967295 bytes");
	line->size = 12; /* cuts the text before its NUL */
	assert_refused(parse(MULTIBOOT2_BOOTED, address), "command line has no end");
}

static void refuses_malformed_multiboot2_map(void **context)
{
	static const uint32_t sizes[] = {0, 16, 20, 23, 25, 28, 40};

	(void)context;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct mb2_info mb = {.total_size = 8 + 40 + 8};
		uint32_t shape[2] = {sizes[i], 0}, address;
		struct mb2_memory entry = {0x100000, 0x1000000, 1, 0};

		set_up(NULL);
		address = put(&mb, sizeof(mb));
		put_tag(MB2_MAP, shape, sizeof(shape), &entry, sizeof(entry));
		put_tag(MB2_END, NULL, 0, NULL, 0);
		assert_refused(parse(MULTIBOOT2_BOOTED, address), "memory map has entries of");
	}
}

/* Whatever is accepted has to hold what the header promises. */
static void check_promises(void)
{
	assert_true(memchr(info.line, 0, sizeof(info.line)) && memchr(info.loader, 0, sizeof(info.loader)));
	assert_true(info.nr_memory > 0 && info.nr_memory <= BOOT_MAP_MAX && info.nr_modules <= BOOT_MODULES_MAX);
	for (size_t i = 0; i < info.nr_memory; i++) {
		assert_true(info.memory[i].start < info.memory[i].end && info.memory[i].end <= limit);
		assert_true(info.memory[i].start % 4096 == 0 && info.memory[i].end % 4096 == 0);
		assert_true(!i || info.memory[i - 1].end <= info.memory[i].start);
	}
	for (size_t i = 0; i < info.nr_modules; i++) {
		const struct boot_module *m = &info.modules[i];
		bool inside = false;

		assert_non_null(memchr(m->line, 0, sizeof(m->line)));
		assert_true(m->start < m->end && (m->end <= IMAGE_START || m->start >= IMAGE_END));
		for (size_t k = 0; k < info.nr_memory; k++)
			inside |= m->start >= info.memory[k].start && m->end <= info.memory[k].end;
		assert_true(inside);
		for (size_t k = 0; k < i; k++)
			assert_true(m->end <= info.modules[k].start || m->start >= info.modules[k].end);
	}
}

static void survives_corruption(void **context)
{
	unsigned accepted = 0;

	(void)context;
	srand(1);
	for (unsigned round = 0; round < 40000; round++) {
		int form = 1 + (int)(round % 2);
		uint32_t address;

		set_up(NULL);
		address = form == 1 ? tell1(&ordinary) : tell2(&ordinary);
		for (int flips = 1 + rand() % 4; flips; flips--)
			window[(unsigned)rand() % used] ^= (uint8_t)(1 << rand() % 8);
		if (parse(form == 1 ? MULTIBOOT1_BOOTED : MULTIBOOT2_BOOTED, address)) {
			check_promises();
			accepted++;
		} else {
			assert_int_equal(reason[strlen(reason) - 1], '.');
		}
	}
	/* Both happen often, or the rounds tested little. */
	assert_in_range(accepted, 4000, 36000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(reads_both_forms, set_up),
		cmocka_unit_test_setup(refuses_other_magic, set_up),
		cmocka_unit_test_setup(drops_its_own_path, set_up),
		cmocka_unit_test_setup(cuts_a_long_loader_name, set_up),
		cmocka_unit_test_setup(sorts_merges_and_clips, set_up),
		cmocka_unit_test_setup(refuses_bad_maps, set_up),
		cmocka_unit_test_setup(refuses_bad_modules, set_up),
		cmocka_unit_test_setup(refuses_long_lines, set_up),
		cmocka_unit_test_setup(refuses_malformed_multiboot1, set_up),
		cmocka_unit_test_setup(refuses_malformed_multiboot2, set_up),
		cmocka_unit_test_setup(refuses_malformed_multiboot2_map, set_up),
		cmocka_unit_test_setup(survives_corruption, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
