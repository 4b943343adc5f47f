/* SPDX-License-Identifier: MIT */
/*
 * The host's page tables for memory maps of all shapes, walked here as the SDM says (vol. 3, 4.5), against the list of
 * what has to be mapped how. The file itself is included, on a CPU that is a few variables.
 */
/* Before what includes the real one. */
#include "tests/unit/mock/boot/cpu.h"

#include "boot/paging.c" /* NOLINT(bugprone-suspicious-include) */
#include "tests/unit/hosted.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct host_cpu host_cpus[TL_MAX_CPUS];
uint64_t early_pml4[ENTRIES] __attribute__((aligned(HOST_PAGE)));
static uint64_t early_pdpt[ENTRIES] __attribute__((aligned(HOST_PAGE)));

/* An image of three parts of two pages each, the last one of which holds two guard pages. */
__asm__(".pushsection .bss; .balign 4096; .globl image_start; image_start: .skip 8192; .globl image_text_end; "
	"image_text_end: .globl image_rodata_start; image_rodata_start: .skip 8000; .globl image_rodata_end; "
	"image_rodata_end: .balign 4096; .globl image_data_start; image_data_start: .skip 16384; .globl image_end; "
	"image_end: .popsection");

enum { TABLES_MAX = 4096 };
static void *tables[TABLES_MAX];
static unsigned nr_tables, most_tables;

void *memory_alloc(size_t count)
{
	assert_int_equal(count, 1);
	if (nr_tables == most_tables)
		return NULL;
	tables[nr_tables] = aligned_alloc(HOST_PAGE, HOST_PAGE);
	assert_non_null(tables[nr_tables]);
	return memset(tables[nr_tables++], 0, HOST_PAGE);
}

/* ---- What is mapped --------------------------------------------------------------------------------------- */

enum kind { NOTHING, TEXT, READ, DATA, DEVICE, SCREEN };

struct mapping {
	enum kind kind;
	uint64_t physical, span; /* of the page that it lies in */
};

/* The walk of SDM vol. 3, figure 4-8 to 4-10. */
static struct mapping walk(uint64_t root, uint64_t linear)
{
	uint64_t table = root;
	bool write = true, execute = true;

	for (unsigned shift = 39;; shift -= 9) {
		uint64_t entry = ((const uint64_t *)table)[linear >> shift & 0x1FF], span = 1ull << shift;
		bool leaf = shift == 12 || entry >> 7 & 1;

		if (!(entry & 1))
			return (struct mapping){NOTHING, 0, span};
		write = write && entry & 2;
		execute = execute && !(entry >> 63);
		assert_true(!(shift == 39 && entry >> 7 & 1));
		table = entry & 0xFFFFFFFFFF000;
		if (!leaf)
			continue;
		assert_int_equal(table % span, 0);
		/* The entry of the PAT: PWT is its lowest bit, PCD the next; its highest is used nowhere. */
		unsigned type = entry >> 3 & 3;
		struct mapping m = {NOTHING, table + linear % span, span};

		assert_false(write && execute);
		if (type == 0)
			m.kind = write ? DATA : execute ? TEXT : READ;
		else if (write && (type == 3 || type == 1))
			m.kind = type == 3 ? DEVICE : SCREEN;
		return m;
	}
}

static uint8_t pat_of(unsigned entry)
{
	return (uint8_t)(paging_cpu.pat >> 8 * entry);
}

static struct boot_info info;

struct expected {
	uint64_t start, end;
	enum kind kind;
};

/* The last row that holds an address counts. */
static struct expected rows[BOOT_MAP_MAX + 20];
static unsigned nr_rows;

static void expect(uint64_t start, uint64_t end, enum kind kind)
{
	rows[nr_rows++] = (struct expected){start, end, kind};
}

static void expect_image(void)
{
	expect((uintptr_t)image_start, (uintptr_t)image_text_end, TEXT);
	expect((uintptr_t)image_rodata_start, (uintptr_t)image_data_start, READ);
	expect((uintptr_t)image_data_start, (uintptr_t)image_end, DATA);
	for (unsigned i = 0; i < HOST_STACKS; i++)
		expect((uintptr_t)host_cpus[0].stacks[i].guard, (uintptr_t)host_cpus[0].stacks[i].start, NOTHING);
}

static void expect_map(void)
{
	nr_rows = 0;
	for (size_t i = 0; i < info.nr_memory; i++)
		expect(info.memory[i].start, info.memory[i].end, DATA);
	expect(0, 0x1000, NOTHING);
	expect(0x1000, 0xA0000, DATA);
	expect(0xA0000, 0xC0000, DEVICE);
	expect(0xC0000, 0x100000, READ);
	expect_image();
}

static void check_address(uint64_t at)
{
	enum kind wanted = NOTHING;
	struct mapping m = walk(paging_cpu.cr3, at);

	for (unsigned i = 0; i < nr_rows; i++)
		if (at >= rows[i].start && at < rows[i].end)
			wanted = rows[i].kind;
	if (m.kind != wanted || (m.kind != NOTHING && m.physical != at))
		fail_msg("0x%llx is mapped to 0x%llx as kind %d, not %d", (unsigned long long)at,
			 (unsigned long long)m.physical, m.kind, wanted);
}

/* On both sides of each end of each row and of the large pages there, and at places between. */
static void check_tables(void)
{
	for (unsigned i = 0; i < nr_rows; i++) {
		const uint64_t ends[] = {rows[i].start, rows[i].end};

		for (unsigned e = 0; e < 2; e++) {
			for (unsigned shift = 12; shift <= 39; shift += 9) {
				uint64_t below = ends[e] >> shift << shift, above = below + (1ull << shift);

				for (int delta = -1; delta <= 0; delta++) {
					check_address(below ? below + (uint64_t)(int64_t)delta : 0);
					check_address(above + (uint64_t)(int64_t)delta);
					check_address(ends[e] ? ends[e] + (uint64_t)(int64_t)delta : 0);
				}
			}
		}
		for (unsigned k = 0; k < 50 && rows[i].end > rows[i].start; k++)
			check_address(rows[i].start + random_below(rows[i].end - rows[i].start));
	}
	for (unsigned k = 0; k < 2000; k++)
		check_address(random_below(1ull << 47));
}

static bool build(void)
{
	static char reason[200];

	for (; nr_tables; nr_tables--)
		free(tables[nr_tables - 1]);
	paging_cpu.cr3_writes = 0;
	return paging_init(&info, reason, sizeof(reason));
}

static int set_up(void **context)
{
	(void)context;
	memset(&info, 0, sizeof(info));
	memset(host_cpus, 0, sizeof(host_cpus));
	memset(early_pml4, 0, sizeof(early_pml4));
	memset(early_high_pd, 0, sizeof(early_high_pd));
	memset(early_high_pdpt, 0, sizeof(early_high_pdpt));
	paging_cpu = (struct paging_cpu){.features = FEATURE_NX | FEATURE_1G_PAGES, .address_sizes = 0x3027};
	for (unsigned i = 0; i < HOST_STACKS; i++) {
		host_cpus[0].stacks[i].guard = image_data_start + 4096;
		host_cpus[0].stacks[i].start = image_data_start + 8192;
	}
	most_tables = TABLES_MAX;
	random_seed(5);
	return 0;
}

static int tear_down(void **context)
{
	(void)context;
	for (; nr_tables; nr_tables--)
		free(tables[nr_tables - 1]);
	return 0;
}

static void add(uint64_t start, uint64_t end)
{
	info.memory[info.nr_memory++] = (struct boot_range){start, end};
}

#define GIB (1ull << 30)

/* With and without pages of 1 GiB. */
static void check_map(void)
{
	expect_map();
	for (int large = 1; large >= 0; large--) {
		paging_cpu.features = FEATURE_NX | (large ? FEATURE_1G_PAGES : 0);
		assert_true(build());
		assert_true(paging_cpu.efer & EFER_NXE);
		check_tables();
	}
}

static void maps_an_ordinary_machine(void **context)
{
	(void)context;
	add(0, 0x9F000);
	add(0x100000, 0xFFE0000);
	check_map();
	assert_int_equal(pat_of(0), 6); /* WB, WC, UC: SDM vol. 3, table 12-10 */
	assert_int_equal(pat_of(1), 1);
	assert_int_equal(pat_of(3), 0);
}

static void maps_holes(void **context)
{
	(void)context;
	add(0x1000, 0x2000);
	add(0x100000, 0x101000);
	add(0x103000, 0x3FF000);
	add(0x400000, 0x600000); /* one page of 2 MiB */
	add(0x7FF000, 0x801000); /* around the end of one */
	add(GIB - 0x1000, GIB);  /* the last page of a table */
	add(GIB + 0x1000, 3 * GIB - 0x200000);
	add(4 * GIB, 4 * GIB + 0x1000);
	add(512 * GIB - 0x1000, 512 * GIB + 0x1000); /* in two tables of the first level */
	check_map();
}

static void maps_512_gib(void **context)
{
	(void)context;
	add(0, 0xA0000);
	add(0x100000, 0x7F000000);
	add(4 * GIB, 513 * GIB);
	check_map();
	/* Nothing but pages of 1 GiB above the first ones: a table for each GiB would be too many. */
	paging_cpu.features = FEATURE_NX | FEATURE_1G_PAGES;
	assert_true(build());
	assert_true(nr_tables < 20);
	assert_true(walk(paging_cpu.cr3, 100 * GIB).span == GIB);
}

static void maps_random_memory(void **context)
{
	(void)context;
	for (unsigned round = 0; round < 40; round++) {
		uint64_t at = 0x100000;

		info.nr_memory = 0;
		while (info.nr_memory < 20) {
			unsigned gap = 12 + (unsigned)random_below(22), size = 12 + (unsigned)random_below(24);

			at += random_below(1ull << gap) / HOST_PAGE * HOST_PAGE + HOST_PAGE;
			uint64_t end = at + random_below(1ull << size) / HOST_PAGE * HOST_PAGE + HOST_PAGE;
			add(at, end);
			at = end;
		}
		check_map();
	}
}

static void says_that_memory_ran_out(void **context)
{
	static char reason[200];
	unsigned needed;

	(void)context;
	add(0x1000, 0x9F000);
	add(0x101000, 3 * GIB - 0x1000);
	assert_true(build());
	needed = nr_tables;
	for (most_tables = 0; most_tables < needed; most_tables++) {
		uint64_t before = paging_cpu.cr3;

		for (; nr_tables; nr_tables--)
			free(tables[nr_tables - 1]);
		assert_false(paging_init(&info, reason, sizeof(reason)));
		assert_non_null(strstr(reason, "memory ran out for the host's page tables"));
		assert_true(paging_cpu.cr3 == before);
	}
	paging_cpu.features = FEATURE_1G_PAGES;
	assert_false(paging_init(&info, reason, sizeof(reason)));
	assert_non_null(strstr(reason, "no NX"));
}

static void maps_devices_and_screens(void **context)
{
	(void)context;
	add(0x100000, 0xFFE0000);
	add(4 * GIB, 5 * GIB);
	assert_true(build());
	expect_map();
	assert_ptr_equal(paging_map_device(0xFEE00020, 8), (void *)0xFEE00020);
	expect(0xFEE00000, 0xFEE01000, DEVICE);
	/* A framebuffer above 4 GiB, ragged at its end, and large enough for large pages. */
	assert_ptr_equal(paging_map_screen(0x4000000000, 0x7E9001), (void *)0x4000000000);
	expect(0x4000000000, 0x40007EA000, SCREEN);
	check_tables();
	assert_true(walk(paging_cpu.cr3, 0x4000000000).span == 1 << 21);
	/* Not memory, nor what is below 1 MiB, nor out of reach, nor nothing. */
	assert_null(paging_map_screen(0xFFD0000, 0x20000));
	assert_null(paging_map_screen(0xFFDFFFF, 1));
	assert_null(paging_map_device(5 * GIB - 1, 1));
	assert_null(paging_map_device(0xB8000, 0x1000));
	assert_null(paging_map_device(0xFEE00000, 0));
	assert_null(paging_map_device((1ull << 39) - 4, 8));
	assert_null(paging_map_device(UINT64_MAX - 4, 8));
	check_tables();
	assert_true(paging_unmap(0x200000, 0x201000));
	expect(0x200000, 0x201000, NOTHING);
	check_tables();
}

/* What start-up code has made, in short: the first 4 GiB, of which the early tables' second level is here. */
static void maps_early(void **context)
{
	(void)context;
	early_pml4[0] = (uintptr_t)early_pdpt | PTE_PRESENT | PTE_WRITE;
	assert_true(paging_map_early(0xFD000000, 0x3000000));
	assert_false(paging_map_early(0xFD000000, 0x3000001)); /* crosses the reach */
	assert_false(paging_map_early(0x1FFFFFF000, 0x2000));  /* crosses a multiple of 1 GiB */
	assert_false(paging_map_early(0x1000000000, 0));
	assert_false(paging_map_early(UINT64_MAX - 0xFFF, 0x2000));
	assert_false(paging_map_early(1ull << 39, 0x1000)); /* the CPU's addresses have 39 bits */
	assert_true(paging_map_early(0x4010000000, 0x1000000));
	for (uint64_t at = 0x4000000000; at < 0x4040000000; at += 0x123456) {
		uint64_t entry = ((uint64_t *)(early_pdpt[at >> 30 & 511] & PTE_ADDRESS))[at >> 21 & 511];

		assert_true(entry == ((at & ~0x1FFFFFull) | 0x83));
	}
	assert_false(paging_map_early(0x6010000000, 0x1000000)); /* a second one */
}

/* Where the first level has no table yet. */
static void maps_early_beyond_512_gib(void **context)
{
	(void)context;
	paging_cpu.address_sizes = 0x302E;
	assert_true(paging_map_early(0x200010000000, 0x1000000));
	assert_true(early_pml4[64] == ((uintptr_t)early_high_pdpt | 3));
	assert_true(early_high_pdpt[0] == ((uintptr_t)early_high_pd | 3));
	assert_true(early_high_pd[0x80] == 0x200010000083);
	for (unsigned i = 0; i < ENTRIES; i++)
		assert_true(i == 64 || !early_pml4[i]);
}

static void knows_its_limit(void **context)
{
	(void)context;
	for (unsigned bits = 32; bits <= 52; bits++) {
		paging_cpu.address_sizes = 0x3000 | bits;
		assert_true(paging_limit() == 1ull << (bits < 47 ? bits : 47));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(maps_an_ordinary_machine),
		TEST(maps_holes),
		TEST(maps_512_gib),
		TEST(maps_random_memory),
		TEST(says_that_memory_ran_out),
		TEST(maps_devices_and_screens),
		TEST(maps_early),
		TEST(maps_early_beyond_512_gib),
		TEST(knows_its_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
