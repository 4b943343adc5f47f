/* SPDX-License-Identifier: MIT */
/* Linux' boot protocol: a kernel that is whole is placed and told everything, any other is refused and nothing written.
 */
#include "guest/pc/linux_boot.h"
#include "guest/pc/linux_params.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
	LOW = 0xa0000,
	HIGH = 4 << 20,
	SETUP = 3 * 512,
	KERNEL = SETUP + 0x1000,
	PREFERRED = 0x200000,
	INIT_SIZE = 0x10000,
	ALIGNMENT = 0x10000,
};

static uint8_t *low, *high, kernel[KERNEL], initrd[5000];
static struct load_memory memory;
static struct linux_boot boot;
static struct tl_state state;
static char why[160];

static struct linux_header *header(void)
{
	return (struct linux_header *)(kernel + LINUX_HEADER_AT);
}

static int setup(void **context)
{
	(void)context;
	low = calloc(1, LOW);
	high = calloc(1, HIGH);
	memory = (struct load_memory){.region = {{0, LOW, low}, {0x100000, HIGH, high}}, .nr_regions = 2};
	for (unsigned i = 0; i < KERNEL; i++)
		kernel[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned i = 0; i < sizeof(initrd); i++)
		initrd[i] = (uint8_t)(i * 5 + 1);
	*header() = (struct linux_header){.setup_sects = 2,
					  .boot_flag = LINUX_BOOT_FLAG,
					  .jump = 0x66eb,
					  .magic = LINUX_MAGIC,
					  .version = 0x20f,
					  .loadflags = LINUX_LOADED_HIGH,
					  .initrd_addr_max = 0x7fffffff,
					  .kernel_alignment = ALIGNMENT,
					  .relocatable = 1,
					  .xloadflags = LINUX_XLF_64,
					  .cmdline_size = 255,
					  .pref_address = PREFERRED,
					  .init_size = INIT_SIZE};
	boot = (struct linux_boot){.memory = &memory, .kernel = {kernel, KERNEL}, .line = "console=ttyS0"};
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	free(low);
	free(high);
	return 0;
}

static void load(void)
{
	if (!linux_load(&boot, &state, why, sizeof(why)))
		fail_msg("refused: %s", why);
}

static const uint8_t *at(uint64_t address)
{
	const uint8_t *host = load_host(&memory, address, 1);

	assert_non_null(host);
	return host;
}

static uint64_t word(uint64_t address)
{
	uint64_t value;

	memcpy(&value, at(address), sizeof(value));
	return value;
}

static void is_placed_and_told(void **context)
{
	const struct linux_header *told;
	uint64_t params;

	(void)context;
	boot.initrd = (struct load_image){initrd, sizeof(initrd)};
	boot.rsdp = 0xf1230;
	load();
	assert_memory_equal(at(PREFERRED), kernel + SETUP, KERNEL - SETUP);
	assert_int_equal(state.rip, PREFERRED + 0x200);
	params = state.gpr[TL_RSI];
	told = (const struct linux_header *)(at(params) + LINUX_HEADER_AT);
	assert_string_equal(at(told->cmd_line_ptr), "console=ttyS0");
	assert_int_equal(told->type_of_loader, 0xff);
	assert_int_equal(told->magic, LINUX_MAGIC);
	assert_int_equal(told->ramdisk_size, sizeof(initrd));
	assert_int_equal(told->ramdisk_image % 4096, 0);
	/* As high as it can be. */
	assert_in_range(told->ramdisk_image, 0x100000 + HIGH - sizeof(initrd) - 4096, 0x100000 + HIGH);
	assert_memory_equal(at(told->ramdisk_image), initrd, sizeof(initrd));
	assert_int_equal(word(params + LINUX_RSDP_AT), 0xf1230);
	assert_int_equal(*at(params + LINUX_E820_COUNT_AT), 2);
	assert_int_equal(word(params + LINUX_E820_AT + 20), 0x100000);
	assert_int_equal(word(params + LINUX_E820_AT + 28), HIGH);
}

/* 64-bit mode with paging; what is loaded is mapped to itself, and the selectors mean what the registers hold. */
static void state_is_of_the_protocol(void **context)
{
	uint64_t entry;

	(void)context;
	load();
	assert_int_equal(state.efer & 0x500, 0x500);
	assert_int_equal(state.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(state.cr4 & 0x20, 0x20);
	assert_int_equal(state.rflags & 0x200, 0);
	assert_int_equal(state.segment[TL_CS].selector, 0x10);
	assert_int_equal(state.segment[TL_DS].selector, 0x18);
	assert_int_equal(state.segment[TL_SS].selector, 0x18);
	assert_in_range(state.gdtr.limit, 0x1f, 0xffff);
	assert_int_equal(word(state.gdtr.base + 0x10) >> 40 & 0xff, 0x9a); /* present code, SDM vol. 3, 3.4.5 */
	assert_int_equal(word(state.gdtr.base + 0x10) >> 53 & 1, 1);       /* of 64 bits */
	assert_int_equal(word(state.gdtr.base + 0x18) >> 40 & 0xff, 0x92); /* present data */
	entry = word(state.cr3);
	entry = word(entry & ~0xfffull);
	assert_int_equal(word((entry & ~0xfffull) + PREFERRED / (2 << 20) * 8), PREFERRED | 0x83);
}

static void tells_the_map_that_it_is_given(void **context)
{
	static const struct load_map_entry map[] = {
		{0, 0x9fc00, LOAD_MAP_RAM}, {0x9fc00, 0x400, LOAD_MAP_RESERVED}, {0x100000, HIGH, LOAD_MAP_RAM}};
	uint32_t type;

	(void)context;
	memory.map = map;
	memory.nr_map = 3;
	load();
	assert_int_equal(*at(state.gpr[TL_RSI] + LINUX_E820_COUNT_AT), 3);
	assert_int_equal(word(state.gpr[TL_RSI] + LINUX_E820_AT + 20), 0x9fc00);
	memcpy(&type, at(state.gpr[TL_RSI] + LINUX_E820_AT + 20 + 16), 4);
	assert_int_equal(type, LOAD_MAP_RESERVED);
}

/* Where the preferred address has no room the first aligned one above 1 MiB is taken; the initramfs stays clear of it.
 */
static void moves_where_it_may(void **context)
{
	const struct linux_header *told;

	(void)context;
	header()->pref_address = 0x100000 + HIGH - INIT_SIZE + 0x1000;
	header()->kernel_alignment = 0x80000;
	boot.initrd = (struct load_image){initrd, sizeof(initrd)};
	load();
	assert_int_equal(state.rip, 0x100000 + 0x200);
	assert_memory_equal(at(0x100000), kernel + SETUP, KERNEL - SETUP);
	/* A kernel that has to lie at the top leaves no room there. */
	header()->pref_address = 0x100000 + HIGH - INIT_SIZE;
	assert_false(linux_load(&boot, &state, why, sizeof(why)));
	assert_non_null(strstr(why, "initramfs"));
	/* It may not be above initrd_addr_max. */
	header()->pref_address = PREFERRED;
	header()->initrd_addr_max = 0x2fffff;
	load();
	told = (const struct linux_header *)(at(state.gpr[TL_RSI]) + LINUX_HEADER_AT);
	assert_int_equal(told->ramdisk_image, 0x300000 - 8192);
}

static void assert_refused(const char *words)
{
	static uint8_t nothing[HIGH];

	memset(low, 0, LOW);
	memset(high, 0, HIGH);
	assert_false(linux_load(&boot, &state, why, sizeof(why)));
	if (!strstr(why, words))
		fail_msg("\"%s\" does not say \"%s\"", why, words);
	assert_memory_equal(low, nothing, LOW);
	assert_memory_equal(high, nothing, HIGH);
}

/* Each breaks one thing of a good kernel. */
static void refuses_what_is_broken(void **context)
{
	const struct linux_header good = *header();
	static char line[300];

#define BROKEN(field, value, words) (*header() = good, header()->field = (value), assert_refused(words))
	(void)context;
	BROKEN(magic, 0, "no Linux kernel");
	BROKEN(boot_flag, 0, "signature");
	BROKEN(version, 0x20b, "older than 2.12");
	BROKEN(xloadflags, 0, "no 64-bit entry");
	BROKEN(loadflags, 0, "no zImage");
	BROKEN(setup_sects, 200, "ends before its 64-bit entry");
	BROKEN(init_size, 0xfff, "larger than it says");
	BROKEN(init_size, 0x7fffffff, "no room for the Linux kernel");
	*header() = good;
	header()->pref_address = 0xb000000;
	header()->relocatable = 0;
	assert_refused("no room where");
	header()->relocatable = 1;
	header()->kernel_alignment = 0;
	assert_refused("no power of 2");
	header()->kernel_alignment = 0x30000;
	assert_refused("no power of 2");
	*header() = good;
	memset(line, 'x', 256);
	boot.line = line;
	assert_refused("longer than");
	boot.line = "";
	boot.initrd = (struct load_image){initrd, SIZE_MAX / 2};
	assert_refused("initramfs");
	boot.initrd.size = 0;
	memory.region[0].size = 0x1f000;
	assert_refused("too small");
#undef BROKEN
}

/* Cut anywhere it is refused, or has all that was loaded. */
static void refuses_what_is_cut(void **context)
{
	(void)context;
	for (size_t size = 0; size < KERNEL; size++) {
		/* A copy of its own, whose end the address sanitizer watches. */
		uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, kernel, size);
		boot.kernel = (struct load_image){cut, size};
		if (linux_load(&boot, &state, why, sizeof(why)))
			assert_true(size > SETUP + 0x200);
		else
			assert_true(size <= SETUP + 0x200);
		free(cut);
	}
}

/* xorshift64. */
static unsigned random_number(void)
{
	static uint64_t seed = 1;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 32);
}

/* Whatever the header says, everything that is written lies in memory. */
static void survives_any_header(void **context)
{
	unsigned loaded = 0;

	(void)context;
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t *bytes = kernel + LINUX_HEADER_AT;
		struct linux_header good = *header();

		for (unsigned i = 0; i <= random_number() % 3; i++)
			bytes[random_number() % sizeof(good)] = (uint8_t)random_number();
		boot.initrd = (struct load_image){initrd, random_number() % sizeof(initrd)};
		loaded += linux_load(&boot, &state, why, sizeof(why));
		*header() = good;
	}
	assert_in_range(loaded, 100, 19900);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_placed_and_told),  TEST(state_is_of_the_protocol), TEST(tells_the_map_that_it_is_given),
		TEST(moves_where_it_may),  TEST(refuses_what_is_broken),   TEST(refuses_what_is_cut),
		TEST(survives_any_header),
	};

	return cmocka_run_group_tests_name("linux_boot", tests, NULL, NULL);
}
