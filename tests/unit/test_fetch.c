/* SPDX-License-Identifier: MIT */
/* Instruction fetch through the guest's page tables, up to and over a page boundary. */
#include "mmio/fetch.h"
#include "tests/unit/guest_memory.h"
#include "tests/unit/stepping.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

/* Two pages of code, apart in memory, next to each other in the guest's linear addresses. */
enum { PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, CODE_1 = 0x9000, CODE_2 = 0x6000 };
enum { PAGE = 0x10000, NO_LIMIT = 15 };

/* MOV EAX, [RBX+disp32]; MOV dword [RBX+disp32], imm32 */
static const uint8_t load[] = {0x8b, 0x83, 1, 2, 3, 4};
static const uint8_t store[] = {0xc7, 0x83, 1, 2, 3, 4, 5, 6, 7, 8};

static const struct guest_paging four_levels = {
	.cr0 = BIT(31),
	.cr3 = PML4,
	.cr4 = BIT(5),
	.efer = BIT(10) | BIT(11),
	.pages_1g = true,
	.maxphyaddr = 39,
};

static struct fetch fetch;
static struct insn insn;

static void poke(uint64_t gpa, uint64_t entry)
{
	memcpy(ram + gpa, &entry, sizeof(entry));
}

static void make_tables(void)
{
	memset(ram, 0, RAM_SIZE);
	poke(PML4, PDPT | ALL);
	poke(PML4 + 8 * 255, PDPT | ALL);
	poke(PDPT, PD | ALL);
	poke(PDPT + 8 * 511, PD | ALL);
	poke(PD, PT | ALL);
	poke(PD + 8 * 511, PT | ALL);
	poke(PT + 8 * 16, CODE_1 | ALL);
	poke(PT + 8 * 17, CODE_2 | ALL);
	poke(PT + 8 * 511, CODE_1 | ALL);
}

/* Places code so that `split` bytes of it are on the first page. */
static uint64_t place(const uint8_t *bytes, unsigned length, unsigned split)
{
	memcpy(ram + CODE_1 + 4096 - split, bytes, split < length ? split : length);
	if (split < length)
		memcpy(ram + CODE_2, bytes + split, length - split);
	return PAGE + 4096 - split;
}

static enum fetch_status fetch_at(uint64_t linear, unsigned limit)
{
	memset(&fetch, 0xa5, sizeof(fetch));
	return insn_fetch(guest_map(), &four_levels, linear, limit, 64, &fetch, &insn);
}

static void fetches_over_the_boundary_when_it_must(void **context)
{
	(void)context;
	for (unsigned split = 1; split <= 20; split++) {
		uint64_t linear;

		make_tables();
		linear = place(store, sizeof(store), split);
		assert_int_equal(fetch_at(linear, NO_LIMIT), FETCH_OK);
		assert_int_equal(insn.length, sizeof(store));
		assert_int_equal(insn.disp, 0x04030201);
		assert_int_equal(insn.imm, 0x08070605);
		assert_int_equal(fetch.nr_walks, split < sizeof(store) ? 2 : 1);
		assert_true(fetch.code.available <= split || fetch.nr_walks == 2);
		assert_int_equal(fetch.walk[0].gpa, CODE_1 + 4096 - split);
		assert_ptr_equal(fetch.code.host, ram + CODE_1 + 4096 - split);
		if (split < sizeof(store))
			assert_int_equal(fetch.walk[1].gpa, CODE_2);
		assert_memory_equal(fetch.code.bytes, store, sizeof(store));

		/* A second page that is not there matters only to who needs it; then the fault is at its start. */
		poke(PT + 8 * 17, 0);
		if (split >= sizeof(store)) {
			assert_int_equal(fetch_at(linear, NO_LIMIT), FETCH_OK);
			continue;
		}
		assert_int_equal(fetch_at(linear, NO_LIMIT), FETCH_PAGE_FAULT);
		assert_int_equal(fetch.linear, PAGE + 4096);
		assert_int_equal(fetch.error_code, 0x10);
		assert_int_equal(fetch.code.available, split);
		poke(PT + 8 * 17, CODE_2 | ALL | NX);
		assert_int_equal(fetch_at(linear, NO_LIMIT), FETCH_PAGE_FAULT);
		assert_int_equal(fetch.error_code, 0x11);
		poke(PT + 8 * 17, MMIO_AT | ALL);
		assert_int_equal(fetch_at(linear, NO_LIMIT), FETCH_NOT_RAM);
		assert_int_equal(fetch.gpa, MMIO_AT);
	}
}

/* Code that cannot be read is executed, so its instructions are fetched; a page table there is none. */
static void fetches_from_execute_only_memory(void **context)
{
	(void)context;
	make_tables();
	poke(PT + 8 * 16, EXECUTE_ONLY_AT | ALL);
	memcpy(executed + 4096 - 3, load, 3);
	memcpy(ram + CODE_2, load + 3, sizeof(load) - 3);
	assert_int_equal(fetch_at(PAGE + 4096 - 3, NO_LIMIT), FETCH_OK);
	assert_int_equal(insn.length, sizeof(load));
	memcpy(executed + 8, store, sizeof(store));
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_OK);
	assert_int_equal(insn.length, sizeof(store));
	assert_ptr_equal(fetch.code.host, executed + 8);
	poke(PD, EXECUTE_ONLY_AT | ALL);
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_TABLE_NOT_RAM);
}

static void faults_on_the_first_page(void **context)
{
	(void)context;
	make_tables();
	poke(PT + 8 * 16, CODE_1 | P | NX);
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_PAGE_FAULT);
	assert_int_equal(fetch.linear, PAGE + 8);
	assert_int_equal(fetch.error_code, 0x11);
	poke(PT + 8 * 16, MMIO_AT | ALL);
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_NOT_RAM);
	assert_int_equal(fetch.gpa, MMIO_AT + 8);
	poke(PT + 8 * 16, 0x7000000 | ALL);
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_NOT_RAM);
	assert_int_equal(fetch.gpa, 0x7000008);
	poke(PD, MMIO_AT | ALL);
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_TABLE_NOT_RAM);
	assert_int_equal(fetch.gpa, MMIO_AT + 8 * 16);
	assert_int_equal(fetch_at(0x800000000000, NO_LIMIT), FETCH_PROTECTION);
	/* ROM is as good as RAM. */
	make_tables();
	poke(PT + 8 * 16, ROM_AT | ALL);
	memcpy(rom + 8, load, sizeof(load));
	assert_int_equal(fetch_at(PAGE + 8, NO_LIMIT), FETCH_OK);
}

static void honours_the_limit(void **context)
{
	uint64_t linear;

	(void)context;
	make_tables();
	/* In the middle of a page, and over a boundary. */
	for (unsigned split = 3; split < 24; split += 17) {
		linear = place(load, sizeof(load), split);
		for (unsigned limit = 1; limit < 20; limit++) {
			assert_int_equal(fetch_at(linear, limit), limit < sizeof(load) ? FETCH_PROTECTION : FETCH_OK);
			assert_true(fetch.code.available <= limit);
		}
		/* A limit that the first page alone reaches leaves the second untouched. */
		poke(PT + 8 * 17, 0);
		assert_int_equal(fetch_at(linear, 3), FETCH_PROTECTION);
	}
}

static void ends_where_addresses_end(void **context)
{
	const struct guest_paging no_paging = {.cr0 = 1, .maxphyaddr = 39};
	enum fetch_status status;

	(void)context;
	make_tables();
	/* The last canonical page, and the hole behind it. */
	memcpy(ram + CODE_1 + 4096 - 6, load, sizeof(load));
	assert_int_equal(fetch_at(0x7ffffffffffa, NO_LIMIT), FETCH_OK);
	memcpy(ram + CODE_1 + 4096 - 5, load, 5);
	assert_int_equal(fetch_at(0x7ffffffffffb, NO_LIMIT), FETCH_PROTECTION);
	assert_int_equal(fetch.linear, 0x800000000000);

	/* 32-bit code goes on at 0 after 4 GiB. The top is a hole, so it shows by where the fetch failed. */
	status = insn_fetch(guest_map(), &no_paging, 0xfffffffe, 15, 32, &fetch, &insn);
	assert_int_equal(status, FETCH_NOT_RAM);
	assert_int_equal(fetch.gpa, 0xfffffffe);
	make_tables();
	poke(PD + 8 * 511, PT | ALL);
	poke(PDPT + 8 * 3, PD | ALL);
	memcpy(ram + CODE_1 + 4094, load, 2);
	poke(PT, CODE_2 | ALL);
	memcpy(ram + CODE_2, load + 2, 4);
	status = insn_fetch(guest_map(), &four_levels, 0xfffffffe, 15, 32, &fetch, &insn);
	assert_int_equal(status, FETCH_OK);
	assert_int_equal(fetch.linear, 0);
	assert_int_equal(fetch.walk[1].gpa, CODE_2);
	assert_int_equal(insn.disp, 0x04030201);
}

static void passes_on_what_decode_says(void **context)
{
	static const uint8_t lock[] = {0xf0, 0x8b, 0x03}, fxsave[] = {0x0f, 0xae, 0x03};

	(void)context;
	make_tables();
	memset(ram + CODE_1, 0x66, 15);
	assert_int_equal(fetch_at(PAGE, NO_LIMIT), FETCH_PROTECTION);
	memcpy(ram + CODE_1, lock, sizeof(lock));
	assert_int_equal(fetch_at(PAGE, NO_LIMIT), FETCH_INVALID);
	memcpy(ram + CODE_1, fxsave, sizeof(fxsave));
	assert_int_equal(fetch_at(PAGE, NO_LIMIT), FETCH_UNSUPPORTED);
	assert_int_equal(fetch.code.available, 15);
	assert_memory_equal(fetch.code.bytes, fxsave, sizeof(fxsave));
}

static volatile unsigned changes;

/* Another CPU changes the entry after each instruction of the walk: its available bits 58:52 count. */
static void change_entry(int signal)
{
	(void)signal;
	poke(PT + 8 * 16, CODE_1 | ALL | (uint64_t)(changes++ & 127) << 52);
}

static void a_race_for_a_page_table(void **context)
{
	struct sigaction action = {.sa_handler = change_entry};
	enum fetch_status status;
	uint64_t at;

	(void)context;
	make_tables();
	at = place(load, sizeof(load), sizeof(load));
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	STEPPING_BEGIN();
	status = fetch_at(at, NO_LIMIT);
	STEPPING_END();
	assert_int_equal(status, FETCH_RETRY);
	assert_true(changes > 10);
	assert_int_equal(fetch_at(at, NO_LIMIT), FETCH_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fetches_over_the_boundary_when_it_must),
		cmocka_unit_test(fetches_from_execute_only_memory),
		cmocka_unit_test(faults_on_the_first_page),
		cmocka_unit_test(honours_the_limit),
		cmocka_unit_test(ends_where_addresses_end),
		cmocka_unit_test(passes_on_what_decode_says),
		cmocka_unit_test(a_race_for_a_page_table),
	};

	return cmocka_run_group_tests(tests, guest_memory_start, guest_memory_stop);
}
