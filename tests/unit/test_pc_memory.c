/* SPDX-License-Identifier: MIT */
/* Local APICs that are moved over a PC's memory: page by page, what the map has there against a naive rule. */
#include "guest/devices/local_apic.h"
#include "guest/pc/pc_memory.h"
#include "mmu/map_edit.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { APICS = 5, PAGES = 40, NOWHERE = PAGES, PAGE = 4096, ROM_FIRST = 12, ROM_LAST = 15, HIGH_FIRST = 16, END = 36 };

static struct pc_memory memory;
static unsigned place[APICS]; /* a page, or NOWHERE */
static tl_range_id apic_range[PAGES];
static bool shown[PAGES]; /* a range of the APICs' is there */
static unsigned device_page;

static unsigned apics_at(unsigned page)
{
	unsigned count = 0;

	for (unsigned i = 0; i < APICS; i++)
		count += place[i] == page;
	return count;
}

static unsigned covered_pages(uint64_t *pages)
{
	unsigned count = 0;

	for (unsigned page = 0; page < PAGES; page++)
		if (apics_at(page))
			pages[count++] = (uint64_t)page * PAGE;
	return count;
}

/* As a PC does it: all changes in one transaction. */
static enum tl_status change(void)
{
	struct tl_edit *edit = tl_map_edit(vm);
	uint64_t pages[PAGES];
	enum tl_status status;

	assert_int_equal(pc_memory_make_way(&memory, edit, pages, covered_pages(pages)), TL_OK);
	for (unsigned page = 0; page < PAGES; page++)
		if (shown[page] && !apics_at(page))
			assert_int_equal(tl_map_remove(edit, apic_range[page]), TL_OK);
	assert_int_equal(pc_memory_come_back(&memory, edit), TL_OK);
	for (unsigned page = 0; page < PAGES; page++)
		if (!shown[page] && apics_at(page)) {
			const struct tl_range range = mmio_range((uint64_t)page * PAGE, PAGE);

			assert_int_equal(tl_map_add(edit, &range, &apic_range[page]), TL_OK);
		}
	status = tl_map_commit(edit);
	pc_memory_settle(&memory, status == TL_OK);
	for (unsigned page = 0; status == TL_OK && page < PAGES; page++)
		shown[page] = apics_at(page);
	return status;
}

static enum map_kind kind_at(unsigned page)
{
	if (page >= END || (page > 9 && page < ROM_FIRST))
		return MAP_HOLE;
	return page >= ROM_FIRST && page <= ROM_LAST ? MAP_ROM : MAP_RAM;
}

static void check(void)
{
	for (unsigned page = 0; page < PAGES; page++) {
		const struct map_range *range = map_find(map_now(), (uint64_t)page * PAGE);

		if (page == device_page)
			continue;
		if (shown[page]) {
			assert_int_equal(range->id, apic_range[page]);
			continue;
		}
		assert_int_equal(range->kind, kind_at(page));
		if (range->kind == MAP_HOLE)
			assert_int_equal(pc_memory_piece(&memory, (uint64_t)page * PAGE + 5).size, 0);
		else
			assert_int_equal(pc_memory_piece(&memory, (uint64_t)page * PAGE + 5).id, range->id);
		if (range->kind != MAP_HOLE)
			assert_ptr_equal(map_host(map_now(), (uint64_t)page * PAGE),
					 hosted_memory((uint64_t)page * PAGE));
	}
}

static struct tl_range region(enum tl_range_kind kind, unsigned first, unsigned end)
{
	struct tl_range range = ram_range((uint64_t)first * PAGE, (uint64_t)(end - first) * PAGE);

	range.kind = kind;
	return range;
}

static int start(void **context)
{
	vm_setup(context);
	memory = (struct pc_memory){.region = {region(TL_RANGE_RAM, 0, 10),
					       region(TL_RANGE_ROM, ROM_FIRST, ROM_LAST + 1),
					       region(TL_RANGE_RAM, HIGH_FIRST, END)},
				    .nr_regions = 3};
	memset(shown, 0, sizeof(shown));
	device_page = NOWHERE;
	for (unsigned i = 0; i < APICS; i++)
		place[i] = NOWHERE;
	assert_int_equal(change(), TL_OK);
	check();
	return 0;
}

static void put(unsigned apic, unsigned page)
{
	place[apic] = page;
	assert_int_equal(change(), TL_OK);
	check();
}

/* The first, a middle, the last page of a region; two side by side; all of the ROM; two APICs in one place. */
static void memory_makes_way_and_comes_back(void **context)
{
	static const unsigned pages[] = {HIGH_FIRST, 20, 21, END - 1, 20, NOWHERE, 0, 9, 11, ROM_LAST};

	(void)context;
	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		put(i % APICS, pages[i]);
	for (unsigned i = 0; i < 4; i++)
		put(i, ROM_FIRST + i);
	put(4, ROM_FIRST);
	put(0, NOWHERE);
	assert_true(shown[ROM_FIRST]);
	for (unsigned i = 1; i < APICS; i++)
		put(i, NOWHERE);
	assert_int_equal(memory.mapped.count, 3);
}

/* Several APICs in one transaction, too. */
static void any_moves(void **context)
{
	(void)context;
	random_seed(7);
	for (unsigned round = 0; round < 3000; round++) {
		for (uint64_t moves = random_below(3); moves--;)
			place[random_below(APICS)] = (unsigned)random_below(PAGES + 1);
		assert_int_equal(change(), TL_OK);
		check();
	}
}

/* A device stands there already: nothing of the transaction happens, and the next one goes from what there was. */
static void what_was_not_committed_did_not_happen(void **context)
{
	tl_range_id device = range_add(mmio_range(10 * PAGE, PAGE));

	(void)context;
	device_page = 10;
	put(0, 20);
	place[0] = 22;
	place[1] = device_page;
	assert_int_equal(change(), TL_OVERLAP);
	assert_int_equal(map_find(map_now(), 20 * PAGE)->id, apic_range[20]);
	assert_int_equal(map_find(map_now(), 22 * PAGE)->kind, MAP_RAM);
	assert_int_equal(range_remove(device), TL_OK);
	device_page = NOWHERE;
	put(1, NOWHERE);
	assert_true(shown[22]);
	assert_false(shown[20]);
}

static void access(uint64_t gpa, unsigned size, bool write, uint64_t data, bool reached, uint64_t read)
{
	struct tl_mmio access = {.gpa = gpa, .size = (uint32_t)size, .write = write, .data = data};

	assert_int_equal(pc_memory_access(&memory, &access), reached);
	if (reached && !write)
		assert_int_equal(access.data, read);
}

/* Another vCPU's APIC lies over it; this one's accesses are to what is below. */
static void who_has_its_own_apic_elsewhere_reaches_the_memory(void **context)
{
	uint64_t at = 20 * PAGE + 8;

	(void)context;
	put(0, 20);
	put(1, ROM_FIRST);
	memset(hosted_memory(ROM_FIRST * PAGE), 0x5a, 8);
	for (unsigned size = 1; size <= 8; size++) {
		uint64_t mask = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;

		memset(hosted_memory(at), 0xee, 16);
		access(at, size, true, 0x8877665544332211, true, 0);
		access(at, 8, false, 0, true, (0xeeeeeeeeeeeeeeee & ~mask) | (0x8877665544332211 & mask));
		access(at, size, false, UINT64_MAX, true, 0x8877665544332211 & mask);
		access(ROM_FIRST * PAGE, size, true, 0, true, 0);
		access(ROM_FIRST * PAGE, size, false, 0, true, 0x5a5a5a5a5a5a5a5a & mask);
	}
	assert_int_equal(*hosted_memory(at + 8), 0xee);
	access(END * PAGE, 4, false, 0, false, 0);
	access(10 * PAGE, 4, false, 0, false, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, vm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_makes_way_and_comes_back),
		TEST(any_moves),
		TEST(what_was_not_committed_did_not_happen),
		TEST(who_has_its_own_apic_elsewhere_reaches_the_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
