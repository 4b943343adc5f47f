/* SPDX-License-Identifier: MIT */
/*
 * PUSHA, POPA and ENTER where their items lie at both ends of a stack segment, or one of them lies at neither. Each
 * item is an access of its own: the pointer wraps between two, and the first one that faults says with what. SDM vol.
 * 1, 6.2.
 */
#include "mmio/cpu.h"
#include "tests/unit/engine_guest.h"

enum { PAGE = 0x1000, BIG = 0x4000, DATA_16 = 0x93, EXPAND_DOWN_DATA = 0x97 };

static const uint8_t pusha[15] = {0x60}, popa[15] = {0x61}, enter_4_3[15] = {0xc8, 4, 0, 3};

/* 32-bit code with a stack of the rights. */
static void with_stack(uint32_t rights, uint32_t limit, uint64_t rsp)
{
	engine_in_32();
	guest.cpu.segment[TL_SS] = (struct tl_segment){.base = DATA_AT, .limit = limit, .access = rights};
	for (unsigned i = 0; i < 8; i++)
		guest.cpu.gpr[i] = 0x11111111 * (i + 1);
	guest.cpu.gpr[TL_RSP] = rsp;
}

/* The same with paging. */
static void with_paged_stack(uint32_t limit, uint64_t rsp)
{
	struct guest_paging paging;

	engine_in_64(0);
	paging = guest.cpu.paging;
	with_stack(DATA_16, limit, rsp);
	guest.cpu.segment[TL_SS].base = LINEAR_AT;
	guest.cpu.paging = paging;
}

static void expect_items(unsigned below, uint64_t wrap)
{
	for (unsigned i = 0; i < 8; i++) {
		uint64_t at = i < below ? DATA_AT + 4 * (below - 1 - i) : DATA_AT + wrap - 4 * (i - below + 1);
		uint64_t value = i == TL_RSP ? 4 * below : 0x11111111 * (i + 1);

		if (i != TL_RSP)
			assert_int_equal(engine_get(at, 4), value);
		else
			assert_int_equal(engine_get(at, 4) & 0xffff, value);
	}
}

static void all_registers_wrap(void **context)
{
	(void)context;
	for (unsigned below = 0; below <= 8; below++) {
		with_stack(DATA_16, 0xffff, 0x12340000 | 4 * below);
		expect_done(pusha);
		expect_items(below, 0x10000);
		assert_int_equal(guest.cpu.gpr[TL_RSP], 0x12340000 | ((4 * below - 32) & 0xffff));
		for (unsigned i = 0; i < 8; i++)
			if (i != TL_RSP)
				guest.cpu.gpr[i] = 0;
		expect_done(popa);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(guest.cpu.gpr[i], i == TL_RSP ? 0x12340000 | 4 * below : 0x11111111 * (i + 1));
	}
	/* A stack of 32 bits wraps at 4 GiB, to below its base. */
	with_stack(DATA_16 | BIG, UINT32_MAX, 8);
	expect_done(pusha);
	expect_items(2, 0);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0xffffffe8);
	expect_done(popa);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 8);
}

/* SDM vol. 2, PUSHA: with SP 1, 3 or 5, and the like, an item lies across the end. */
static void no_item_lies_at_both_ends(void **context)
{
	(void)context;
	for (unsigned sp = 1; sp < 32; sp++) {
		if (sp % 4 == 0)
			continue;
		with_stack(DATA_16, 0xffff, sp);
		expect_fault(pusha, SS, 0);
		guest.cpu.gpr[TL_RSP] = 0x10000 - sp;
		expect_fault(popa, SS, 0);
		/* Where the limit lets it, it goes on behind the end. */
		guest.cpu.segment[TL_SS].limit = 0x1ffff;
		guest.cpu.gpr[TL_RSP] = sp;
		expect_done(pusha);
		assert_int_equal(engine_get(DATA_AT + 0x10000 - 4 + sp % 4, 4),
				 sp / 4 == TL_RSP ? sp : 0x11111111 * (sp / 4 + 1));
	}
	/* Of a stack that grows within a limit only items below it, or of one that expands down, above it. */
	with_stack(DATA_16, 0xfffb, 4);
	expect_fault(pusha, SS, 0);
	with_stack(EXPAND_DOWN_DATA, 0x7fff, 0x8010);
	expect_fault(pusha, SS, 0);
	guest.cpu.gpr[TL_RSP] = 0x8020;
	expect_done(pusha);
	guest.cpu.gpr[TL_RSP] = 0xfff0;
	expect_fault(popa, SS, 0);
}

/* What comes first is what the guest gets: a page that is missing, or the limit. */
static void the_first_item_that_faults_counts(void **context)
{
	(void)context;
	engine_map_page(LINEAR_AT, DATA_AT, ALL | A | D);
	for (unsigned i = 1; i < 16; i++)
		engine_unmap_page(LINEAR_AT + i * PAGE);
	with_paged_stack(0xffff, 6);
	/* 2, then FFFEh, which is beyond the limit. */
	expect_fault(pusha, SS, 0);
	with_paged_stack(0xffff, 8);
	expect_page_fault(pusha, 2, LINEAR_AT + 0xfffc);
	/* The other way: the page is read, and missing, before the limit is reached. */
	with_paged_stack(0xfffe, 0xfff4);
	expect_page_fault(popa, 0, LINEAR_AT + 0xfff4);
	engine_map_page(LINEAR_AT + 15 * PAGE, DATA_AT + PAGE, ALL | A | D);
	expect_fault(popa, SS, 0);
	/* Then it wraps into the first page, which is there. */
	with_paged_stack(0xffff, 0xfff4);
	expect_done(popa);
}

static void frames_wrap(void **context)
{
	(void)context;
	with_stack(DATA_16, 0xffff, 0x12340008);
	guest.cpu.gpr[TL_RBP] = 0x55550004;
	engine_put(DATA_AT, 0xaaaaaaaa, 4);
	engine_put(DATA_AT + 0xfffc, 0xbbbbbbbb, 4);
	expect_done(enter_4_3);
	/* rBP at 4; the frame of 0, from before, at 0; that of FFFCh; its own. Then 4 bytes. */
	assert_int_equal(engine_get(DATA_AT + 4, 4), 0x55550004);
	assert_int_equal(engine_get(DATA_AT, 4), 0xaaaaaaaa);
	assert_int_equal(engine_get(DATA_AT + 0xfffc, 4), 0xbbbbbbbb);
	assert_int_equal(engine_get(DATA_AT + 0xfff8, 4), 4);
	assert_int_equal(guest.cpu.gpr[TL_RSP], 0x1234fff4);
	assert_int_equal(guest.cpu.gpr[TL_RBP], 0x12340004);
	/* The pointer's upper half stays when SP wraps, and so does what becomes the frame's. */
	with_stack(DATA_16, 0xffff, 0x12340000);
	guest.cpu.gpr[TL_RBP] = 0x8000;
	expect_done(enter_4_3);
	assert_int_equal(guest.cpu.gpr[TL_RBP], 0x1234fffc);
	with_stack(DATA_16, 0xffff, 0x100);
	guest.cpu.gpr[TL_RBP] = 6;
	expect_fault(enter_4_3, SS, 0);
}

/* ENTER reads each frame pointer before it pushes it: rBP, a read, a push, and so on. */
static void frames_fault_in_order(void **context)
{
	(void)context;
	engine_map_page(LINEAR_AT, DATA_AT, ALL | A | D);
	engine_map_page(LINEAR_AT + PAGE, DATA_AT + PAGE, ALL | A | D);
	engine_unmap_page(LINEAR_AT + 2 * PAGE);
	/* The second push is where a page is missing, and so is the first read. */
	with_paged_stack(0xffff, 3 * PAGE + 4);
	engine_map_page(LINEAR_AT + 3 * PAGE, DATA_AT + 2 * PAGE, ALL | A | D);
	guest.cpu.gpr[TL_RBP] = 2 * PAGE + 0x100;
	expect_page_fault(enter_4_3, 0, LINEAR_AT + 2 * PAGE + 0xfc);
	/* The second push, and the second read. */
	guest.cpu.gpr[TL_RBP] = 3 * PAGE + 4;
	expect_page_fault(enter_4_3, 2, LINEAR_AT + 3 * PAGE - 4);
	/* A read beyond the limit, before a push to a page that is missing. */
	guest.cpu.gpr[TL_RBP] = 2;
	expect_fault(enter_4_3, SS, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_registers_wrap, engine_reset),
		cmocka_unit_test_setup(no_item_lies_at_both_ends, engine_reset),
		cmocka_unit_test_setup(the_first_item_that_faults_counts, engine_reset),
		cmocka_unit_test_setup(frames_wrap, engine_reset),
		cmocka_unit_test_setup(frames_fault_in_order, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
