/* SPDX-License-Identifier: MIT */
/* Page faults and alignment checks, each before anything of the instruction is done: SDM vol. 3, 4.6, 4.7 and 6.15. */
#include "tests/unit/engine_guest.h"
#include "tests/unit/stepping.h"
#include <signal.h>

enum { PAGE = 0x1000, PRESENT = 1, WRITE = 2, USER = 4, RESERVED = 8, KEY = 32, AM = 1 << 18, KERNEL = P | W | A | D };

/* All on [RBX]: MOV EAX, [RBX]; MOV [RBX], EAX; ADD [RBX], EAX. */
static const uint8_t load[15] = {0x8b, 0x03}, store[15] = {0x89, 0x03}, add[15] = {0x01, 0x03};
static const uint8_t byte_load[15] = {0x8a, 0x03};
static const uint8_t maskmov[15] = {0x66, 0x0f, 0xf7, 0xc1}; /* MASKMOVDQU XMM0, XMM1: to [RDI] */

static void at(gva_t linear)
{
	guest.cpu.gpr[TL_RBX] = linear;
}

static int reset(void **context)
{
	engine_reset(context);
	at(LINEAR_AT);
	return 0;
}

struct page_case {
	const char *name;
	uint8_t cpl;
	uint64_t entry; /* its flags */
	uint64_t cr0_off, cr4, rflags_ac;
	uint32_t pkru, pkrs;
	int read, write; /* the error code of a #PF; -1: none */
};

#define USER_PAGE (ALL | A | D)

static const struct page_case page_cases[] = {
	{"not present", 0, W | U, 0, 0, 0, 0, 0, 0, WRITE},
	{"not present, user", 3, W | U, 0, 0, 0, 0, 0, USER, WRITE | USER},
	{"a supervisor's page, user", 3, KERNEL, 0, 0, 0, 0, 0, PRESENT | USER, PRESENT | WRITE | USER},
	{"read-only, user", 3, P | U | A | D, 0, 0, 0, 0, 0, -1, PRESENT | WRITE | USER},
	{"read-only, user, WP off", 3, P | U | A | D, WP, 0, 0, 0, 0, -1, PRESENT | WRITE | USER},
	{"read-only, WP", 0, P | A | D, 0, 0, 0, 0, 0, -1, PRESENT | WRITE},
	{"read-only, WP off", 0, P | A | D, WP, 0, 0, 0, 0, -1, -1},
	{"reserved bit", 0, KERNEL | BIT(51), 0, 0, 0, 0, 0, PRESENT | RESERVED, PRESENT | WRITE | RESERVED},
	{"NX is for fetches", 3, USER_PAGE | NX, 0, 0, 0, 0, 0, -1, -1},
	{"SMEP is for fetches", 0, USER_PAGE, 0, SMEP, 0, 0, 0, -1, -1},
	{"SMAP", 0, USER_PAGE, 0, SMAP, 0, 0, 0, PRESENT, PRESENT | WRITE},
	{"SMAP with AC", 0, USER_PAGE, 0, SMAP, 1, 0, 0, -1, -1},
	{"SMAP is not for the user", 3, USER_PAGE, 0, SMAP, 0, 0, 0, -1, -1},
	{"key, no access", 3, USER_PAGE | KEY(5), 0, PKE, 0, 1 << 10, 0, PRESENT | USER | KEY,
	 PRESENT | WRITE | USER | KEY},
	{"key, no write", 3, USER_PAGE | KEY(5), 0, PKE, 0, 2 << 10, 0, -1, PRESENT | WRITE | USER | KEY},
	{"another key", 3, USER_PAGE | KEY(4), 0, PKE, 0, 3 << 10, 0, -1, -1},
	{"key, no write, supervisor", 0, USER_PAGE | KEY(1), 0, PKE, 0, 2 << 2, 0, -1, PRESENT | WRITE | KEY},
	{"key, no write, supervisor, WP off", 0, USER_PAGE | KEY(1), WP, PKE, 0, 2 << 2, 0, -1, -1},
	{"supervisor key", 0, KERNEL | KEY(15), 0, PKS, 0, 0, 1u << 30, PRESENT | KEY, PRESENT | WRITE | KEY},
	{"keys off", 3, USER_PAGE | KEY(5), 0, 0, 0, ~0u, ~0u, -1, -1},
};

static void expect_page(const uint8_t *bytes, int error_code)
{
	if (error_code < 0)
		expect_done(bytes);
	else
		expect_page_fault(bytes, (uint32_t)error_code, LINEAR_AT);
}

static void page_faults(void **context)
{
	(void)context;
	for (unsigned i = 0; i < sizeof(page_cases) / sizeof(page_cases[0]); i++) {
		const struct page_case *c = &page_cases[i];

		engine_in_64(c->cpl);
		at(LINEAR_AT);
		engine_map_page(LINEAR_AT, DEVICE_AT, c->entry);
		guest.cpu.paging.cr0 &= ~c->cr0_off;
		guest.cpu.paging.cr4 |= c->cr4;
		guest.cpu.paging.rflags_ac = c->rflags_ac;
		guest.cpu.paging.pkru = c->pkru;
		guest.cpu.paging.pkrs = c->pkrs;
		expect_page(load, c->read);
		expect_page(store, c->write);
		/* What reads and writes is a write. */
		expect_page(add, c->write);
		guest.calls = 0;
	}
}

/* CR2 is the first byte that cannot be accessed, on whichever page. */
static void page_faults_across_pages(void **context)
{
	(void)context;
	at(LINEAR_AT + PAGE - 1);
	engine_map_page(LINEAR_AT, DEVICE_AT, USER_PAGE);
	engine_unmap_page(LINEAR_AT + PAGE);
	expect_page_fault(load, 0, LINEAR_AT + PAGE);
	expect_page_fault(store, WRITE, LINEAR_AT + PAGE);
	engine_unmap_page(LINEAR_AT);
	expect_page_fault(add, WRITE, LINEAR_AT + PAGE - 1);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, USER_PAGE);
	expect_page_fault(load, 0, LINEAR_AT + PAGE - 1);
}

/* Accessed and dirty, where the guest has them clear. */
static void flags_are_set(void **context)
{
	(void)context;
	at(LINEAR_AT + PAGE - 1);
	engine_map_page(LINEAR_AT, DEVICE_AT, ALL);
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT + PAGE, ALL);
	expect_done(load);
	assert_int_equal(engine_entry(LINEAR_AT), DEVICE_AT | ALL | A);
	assert_int_equal(engine_entry(LINEAR_AT + PAGE), (DEVICE_AT + PAGE) | ALL | A);
	expect_done(store);
	assert_int_equal(engine_entry(LINEAR_AT), DEVICE_AT | ALL | A | D);
	assert_int_equal(engine_entry(LINEAR_AT + PAGE), (DEVICE_AT + PAGE) | ALL | A | D);
}

static void set_mask(uint16_t mask)
{
	for (unsigned i = 0; i < 16; i++) {
		guest.xsave[XSAVE_XMM + i] = (uint8_t)(i + 1);
		guest.xsave[XSAVE_XMM + 16 + i] = mask >> i & 1 ? 0x80 : 0x7f;
	}
}

/* Bytes that a mask leaves out cause no fault, and no access. */
static void masked_bytes_do_not_fault(void **context)
{
	(void)context;
	guest.cpu.gpr[TL_RDI] = LINEAR_AT + PAGE - 8;
	engine_unmap_page(LINEAR_AT);
	engine_unmap_page(LINEAR_AT + PAGE);
	set_mask(0);
	expect_done(maskmov);
	set_mask(1 << 3 | 1 << 9);
	expect_page_fault(maskmov, WRITE, LINEAR_AT + PAGE - 5);
	engine_map_page(LINEAR_AT, DEVICE_AT, USER_PAGE);
	expect_page_fault(maskmov, WRITE, LINEAR_AT + PAGE + 1);
	engine_map_page(LINEAR_AT + PAGE, DATA_AT, USER_PAGE);
	expect_done(maskmov);
	assert_int_equal(guest.calls, 1);
	expect_call(0, DEVICE_AT + PAGE - 5, 1, true, 4);
	assert_int_equal(engine_get(DATA_AT, 8), 0x0a00);
	/* Only on the second page; the first may be anything. */
	set_mask(1 << 8);
	engine_unmap_page(LINEAR_AT);
	expect_done(maskmov);
	assert_int_equal(engine_get(DATA_AT, 8), 0x0a09);
	/* The whole of it outside the canonical addresses. */
	guest.cpu.gpr[TL_RDI] = NON_CANONICAL;
	expect_fault(maskmov, GP, 0);
	set_mask(0);
	expect_done(maskmov);
}

static void alignment_checks(void **context)
{
	(void)context;
	engine_in_64(3);
	guest.cpu.paging.cr0 |= AM;
	guest.cpu.paging.rflags_ac = true;
	at(DEVICE_AT + 2);
	expect_fault(load, AC, 0);
	expect_fault(store, AC, 0);
	at(DEVICE_AT + 4);
	expect_done(load);
	expect_fault(BYTES(0x48, 0x8b, 0x03), AC, 0); /* MOV RAX, [RBX] */
	at(DEVICE_AT + 1);
	expect_done(byte_load);
	expect_fault(BYTES(0x66, 0x8b, 0x03), AC, 0); /* MOV AX, [RBX] */
	/* Page faults come first. */
	engine_unmap_page(LINEAR_AT);
	at(LINEAR_AT + 2);
	expect_page_fault(load, USER, LINEAR_AT + 2);
	at(DEVICE_AT + 2);
	guest.cpu.paging.rflags_ac = false;
	expect_done(load);
	guest.cpu.paging.rflags_ac = true;
	guest.cpu.paging.cr0 &= ~(uint64_t)AM;
	expect_done(load);
	guest.cpu.paging.cr0 |= AM;
	guest.cpu.paging.cpl = 0;
	expect_done(load);
}

static void page_tables_where_there_is_no_memory(void **context)
{
	(void)context;
	at(0x40000000); /* a page directory that lies in the device */
	engine_put(0x2008, DEVICE_AT | ALL, 8);
	expect_nothing_done(load, MMIO_TABLE_NOT_RAM);
	assert_int_equal(guest.op.gpa, DEVICE_AT);
}

static volatile gva_t touched;

/* Another CPU changes the entry after each instruction of the walk: its available bits 58:52 count. */
static void touch(int signal)
{
	static uint64_t count;

	(void)signal;
	engine_put(0x4000 + (touched >> 12) * 8, (engine_entry(touched) & ~BITS(58, 52)) | (count++ & 127) << 52, 8);
}

static enum mmio_progress run_against_another_cpu(const uint8_t *bytes)
{
	struct sigaction action = {.sa_handler = touch};
	enum mmio_progress progress;

	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	STEPPING_BEGIN();
	progress = engine_run(bytes);
	STEPPING_END();
	return progress;
}

static void a_race_for_a_page_table(void **context)
{
	static const uint8_t rep_stosb[15] = {0xf3, 0xaa};
	struct mmio_cpu before = guest.cpu;

	(void)context;
	touched = LINEAR_AT;
	engine_map_page(LINEAR_AT, DEVICE_AT, ALL);
	assert_int_equal(run_against_another_cpu(load), MMIO_RACED);
	assert_memory_equal(&guest.cpu, &before, sizeof(before));
	assert_int_equal(guest.calls, 0);
	expect_done(load);
	/* In the middle of a REP: what was done counts. */
	guest.calls = 0;
	touched = LINEAR_AT + PAGE;
	engine_map_page(LINEAR_AT + PAGE, DEVICE_AT, ALL);
	guest.cpu.gpr[TL_RDI] = LINEAR_AT + PAGE - 3;
	guest.cpu.gpr[TL_RCX] = 10;
	assert_int_equal(run_against_another_cpu(rep_stosb), MMIO_RACED);
	assert_int_equal(guest.calls, 3);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 7);
	assert_int_equal(guest.cpu.gpr[TL_RDI], LINEAR_AT + PAGE);
	assert_int_equal(engine_run(rep_stosb), MMIO_DONE);
	assert_int_equal(guest.calls, 10);
}

/* A segment register's descriptor, too. */
static void a_race_for_a_descriptor_table(void **context)
{
	static const uint8_t mov_ds[15] = {0x8e, 0x1b};
	struct mmio_cpu before;

	(void)context;
	at(DATA_AT);
	engine_put(DATA_AT, 8, 2);
	engine_put(GDT_AT + 8, 0x00cf93000000ffff, 8);
	before = guest.cpu;
	touched = GDT_AT;
	engine_map_page(GDT_AT, GDT_AT, P | W);
	assert_int_equal(run_against_another_cpu(mov_ds), MMIO_RACED);
	assert_memory_equal(&guest.cpu, &before, sizeof(before));
	expect_done(mov_ds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(page_faults, reset),
		cmocka_unit_test_setup(page_faults_across_pages, reset),
		cmocka_unit_test_setup(flags_are_set, reset),
		cmocka_unit_test_setup(masked_bytes_do_not_fault, reset),
		cmocka_unit_test_setup(alignment_checks, reset),
		cmocka_unit_test_setup(page_tables_where_there_is_no_memory, reset),
		cmocka_unit_test_setup(a_race_for_a_page_table, reset),
		cmocka_unit_test_setup(a_race_for_a_descriptor_table, reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
