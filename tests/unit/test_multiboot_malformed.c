/* SPDX-License-Identifier: MIT */
/* Structures of Multiboot that are broken in themselves. */
#include "guest/multiboot.h"
#include "tests/unit/boot_loader.h"
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void refuses_malformed_multiboot1(void **context)
{
	struct mb1_info *mb;
	struct mb1_memory *entry;
	struct mb1_module module = {0x200000, 0x201000, 0, 0};
	uint32_t address, map;

	(void)context;
	address = loader_tell1(&loader_ordinary);
	mb = loader_at(address);
	assert_true(loader_parse(1, address));
	mb->flags &= ~(uint32_t)MB1_HAS_MAP;
	assert_refused(loader_parse(1, address), "no usable memory");
	mb->flags |= MB1_HAS_MAP;
	mb->map_size -= 1;
	assert_refused(loader_parse(1, address), "ends inside an entry");
	mb->map_size += 1;
	map = mb->map;
	entry = loader_at(map);
	entry->size = 19;
	assert_refused(loader_parse(1, address), "an entry of 19 bytes");
	entry->size = 0xFFFFFFFF;
	assert_refused(loader_parse(1, address), "an entry of 4294967295 bytes");
	entry->size = 20;
	mb->map = 0xFFFFFFF0;
	assert_refused(loader_parse(1, address), "memory map at 0xfffffff0 cannot be read");
	mb->map = map;
	mb->modules = 0x4000;
	assert_refused(loader_parse(1, address), "list of modules at 0x4000 cannot be read");
	module.line = LOADER_WINDOW + loader.used;
	memset(loader.window + loader.used, 'w', BOOT_MODULE_LINE_MAX);
	loader.used += BOOT_MODULE_LINE_MAX + 1;
	mb->modules = loader_put(&module, sizeof(module));
	mb->nr_modules = 1;
	assert_refused(loader_parse(1, address), "module is longer than 1023 characters");
	mb->nr_modules = 0;
	mb->line = LOADER_WINDOW + LOADER_WINDOW_SIZE - 1; /* a string that runs out of what can be read */
	loader.window[LOADER_WINDOW_SIZE - 1] = 'x';
	assert_refused(loader_parse(1, address), "command line at");
}

static void refuses_malformed_multiboot2(void **context)
{
	struct mb2_info *mb;
	struct mb2_tag *line;
	uint32_t address;

	(void)context;
	address = loader_tell2(&loader_ordinary);
	mb = loader_at(address);
	line = (struct mb2_tag *)(mb + 1);
	assert_true(loader_parse(2, address));
	mb->total_size -= 8;
	assert_refused(loader_parse(2, address), "no end");
	mb->total_size = 0;
	assert_refused(loader_parse(2, address), "no end");
	mb->total_size = 0xFFFFFFFF;
	assert_true(loader_parse(2, address)); /* the end tag ends it all the same */
	line->size = 7;
	assert_refused(loader_parse(2, address), "type 1 has 7 bytes");
	line->size = 0xFFFFFFFF;
	assert_refused(loader_parse(2, address), "type 1 has 4294967295 bytes");
	line->size = 12; /* cuts the text before its NUL */
	assert_refused(loader_parse(2, address), "command line has no end");
}

static void refuses_malformed_multiboot2_map(void **context)
{
	static const uint32_t sizes[] = {0, 16, 20, 23, 25, 28, 40};

	(void)context;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct mb2_info mb = {.total_size = 8 + 40 + 8};
		uint32_t shape[2] = {sizes[i], 0}, address;
		struct mb2_memory entry = {0x100000, 0x1000000, 1, 0};

		loader_clear(NULL);
		address = loader_put(&mb, sizeof(mb));
		loader_put_tag(MB2_MAP, shape, sizeof(shape), &entry, sizeof(entry));
		loader_put_tag(MB2_END, NULL, 0, NULL, 0);
		assert_refused(loader_parse(2, address), "memory map has entries of");
	}
}

/* Whatever is accepted has to hold what the header promises. */
static void check_promises(void)
{
	assert_true(memchr(loader.info.line, 0, sizeof(loader.info.line)) &&
		    memchr(loader.info.loader, 0, sizeof(loader.info.loader)));
	assert_true(loader.info.nr_memory > 0 && loader.info.nr_memory <= BOOT_MAP_MAX &&
		    loader.info.nr_modules <= BOOT_MODULES_MAX);
	for (size_t i = 0; i < loader.info.nr_memory; i++) {
		assert_true(loader.info.memory[i].start < loader.info.memory[i].end &&
			    loader.info.memory[i].end <= loader.limit);
		assert_true(loader.info.memory[i].start % 4096 == 0 && loader.info.memory[i].end % 4096 == 0);
		assert_true(!i || loader.info.memory[i - 1].end <= loader.info.memory[i].start);
	}
	for (size_t i = 0; i < loader.info.nr_modules; i++) {
		const struct boot_module *m = &loader.info.modules[i];
		bool inside = false;

		assert_non_null(memchr(m->line, 0, sizeof(m->line)));
		assert_true(m->start < m->end && (m->end <= LOADER_IMAGE_START || m->start >= LOADER_IMAGE_END));
		for (size_t k = 0; k < loader.info.nr_memory; k++)
			inside |= m->start >= loader.info.memory[k].start && m->end <= loader.info.memory[k].end;
		assert_true(inside);
		for (size_t k = 0; k < i; k++)
			assert_true(m->end <= loader.info.modules[k].start || m->start >= loader.info.modules[k].end);
	}
}

static void survives_corruption(void **context)
{
	unsigned accepted = 0;

	(void)context;
	random_seed(1);
	for (unsigned round = 0; round < 40000; round++) {
		int form = 1 + (int)(round % 2);
		uint32_t address;

		loader_clear(NULL);
		address = form == 1 ? loader_tell1(&loader_ordinary) : loader_tell2(&loader_ordinary);
		for (int flips = 1 + (int)random_below(4); flips; flips--)
			loader.window[random_below(loader.used)] ^= (uint8_t)(1 << random_below(8));
		if (loader_parse(form, address)) {
			check_promises();
			accepted++;
		} else {
			assert_int_equal(loader.reason[strlen(loader.reason) - 1], '.');
		}
	}
	/* Both happen often, or the rounds tested little. */
	assert_in_range(accepted, 4000, 36000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(refuses_malformed_multiboot1, loader_clear),
		cmocka_unit_test_setup(refuses_malformed_multiboot2, loader_clear),
		cmocka_unit_test_setup(refuses_malformed_multiboot2_map, loader_clear),
		cmocka_unit_test_setup(survives_corruption, loader_clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
