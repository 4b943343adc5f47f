/* SPDX-License-Identifier: MIT */
/* Loading segment registers from memory, against the words of the SDM: vol. 2, MOV, and vol. 3, 3.4 and 5. */
#include "mmio/cpu.h"
#include "tests/unit/descriptors.h"

enum { PAGE = 0x1000, FLAG_VM = 1 << 17, BASE = 0x12345678, LIMIT = 0xabcde, SELECTOR = 0x20 };

/* MOV SS, DS and GS from [RBX] */
#define MOV_SS mov[TL_SS]
#define MOV_DS mov[TL_DS]
#define MOV_GS mov[TL_GS]
#define POP_SS BYTES(0x17)                   /* 32-bit code */
#define LSS    BYTES(0x48, 0x0f, 0xb2, 0x0b) /* LSS RCX, [RBX]: an offset of 8 bytes */
#define LFS    BYTES(0x0f, 0xb4, 0x0b)       /* LFS ECX, [RBX] */

static int reset(void **context)
{
	engine_reset(context);
	guest.cpu.gpr[TL_RBX] = DATA_AT;
	return 0;
}

static void in_64(unsigned cpl)
{
	engine_in_64(cpl);
	guest.cpu.gpr[TL_RBX] = DATA_AT;
}

/* The selector that is loaded, and the descriptor it names. */
static void select(uint16_t selector, uint32_t rights)
{
	engine_put(DATA_AT, selector, 2);
	engine_put(GDT_AT + (selector & ~7u), descriptor_of(BASE, LIMIT, rights), 8);
}

static const uint8_t mov[TL_NR_SEGMENTS][INSN_MAX_LENGTH] = {
	[TL_SS] = {0x8e, 0x13}, [TL_DS] = {0x8e, 0x1b}, [TL_FS] = {0x8e, 0x23}, [TL_GS] = {0x8e, 0x2b}};

/* Whether a segment of this type, DPL and presence may be loaded; else *vector. In the order of the SDM's words. */
static bool may_load(enum tl_segment_name name, unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool present,
		     unsigned *vector)
{
	bool data = type >= 16 && type < 24, writable_data = data && (type & 2);
	bool readable_code = type >= 24 && (type & 2), conforming = type >= 24 && (type & 4);

	*vector = GP;
	if (name == TL_SS) {
		if (rpl != cpl || !writable_data || dpl != cpl)
			return false;
		*vector = SS;
		return present;
	}
	if (!data && !readable_code)
		return false;
	if ((data || !conforming) && (rpl > dpl || cpl > dpl))
		return false;
	*vector = NP;
	return present;
}

static void check_load(enum tl_segment_name name, unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool present)
{
	uint16_t selector = (uint16_t)(SELECTOR | rpl);
	uint32_t rights = with_dpl(type | (present ? PRESENT : 0) | GRANULAR, dpl);
	const struct tl_segment *loaded = &guest.cpu.segment[name];
	unsigned vector;

	in_64(cpl);
	select(selector, rights);
	if (!may_load(name, type, dpl, rpl, cpl, present, &vector)) {
		expect_fault(mov[name], vector, SELECTOR);
		return;
	}
	expect_done(mov[name]);
	assert_int_equal(loaded->selector, selector);
	assert_int_equal(loaded->access, rights | TYPE_ACCESSED);
	assert_int_equal(loaded->base, BASE);
	assert_int_equal(loaded->limit, (uint32_t)LIMIT << 12 | 0xfff);
	assert_int_equal(guest.cpu.shadow, name == TL_SS);
	assert_int_equal(guest.cpu.changed, CPU_SEGMENTS);
	/* The CPU notes that the segment was used. */
	assert_int_equal(engine_get(GDT_AT + SELECTOR, 8), descriptor_of(BASE, LIMIT, rights | TYPE_ACCESSED));
}

static void every_type_and_privilege(void **context)
{
	static const enum tl_segment_name names[] = {TL_SS, TL_DS, TL_GS};

	(void)context;
	for (unsigned bits = 0; bits < 32 * 4 * 4 * 2 * 2; bits++)
		for (unsigned i = 0; i < 3; i++)
			check_load(names[i], bits & 31, bits >> 5 & 3, bits >> 7 & 3, bits >> 9 & 1 ? 3 : 0,
				   bits >> 10);
}

/* Null selectors: SS may have one only in 64-bit code that is not the user's, with its RPL the CPL. */
static void null_selectors(void **context)
{
	(void)context;
	for (unsigned rpl = 0; rpl < 4; rpl++) {
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			in_64(cpl);
			engine_put(DATA_AT, rpl, 2);
			if (cpl == 3 || rpl != cpl) {
				expect_fault(MOV_SS, GP, 0);
			} else {
				expect_done(MOV_SS);
				assert_int_equal(guest.cpu.segment[TL_SS].access, UNUSABLE | cpl << 5);
			}
			guest.cpu.segment[TL_GS].base = BASE;
			expect_done(MOV_GS);
			assert_int_equal(guest.cpu.segment[TL_GS].access, UNUSABLE);
			assert_int_equal(guest.cpu.segment[TL_GS].selector, rpl);
			/* Intel's CPUs clear the base. */
			assert_int_equal(guest.cpu.segment[TL_GS].base, 0);
			guest.cpu.segment[TL_FS].base = BASE;
			expect_done(mov[TL_FS]);
			assert_int_equal(guest.cpu.segment[TL_FS].base, 0);
		}
	}
	engine_in_32();
	guest.cpu.gpr[TL_RBX] = DATA_AT;
	engine_put(DATA_AT, 0, 2);
	expect_fault(MOV_SS, GP, 0);
	expect_done(MOV_DS);
	assert_int_equal(guest.cpu.segment[TL_DS].access, UNUSABLE);
}

/* The descriptor has to lie in its table, whole. */
static void limits_of_the_tables(void **context)
{
	(void)context;
	select(SELECTOR, PRESENT | NO_SYSTEM);
	guest.cpu.gdtr.limit = SELECTOR + 7;
	expect_done(MOV_DS);
	guest.cpu.gdtr.limit = SELECTOR + 6;
	expect_fault(MOV_DS, GP, SELECTOR);
	/* No LDT. */
	engine_put(DATA_AT, SELECTOR | 4, 2);
	expect_fault(MOV_DS, GP, SELECTOR | 4);
	guest.cpu.segment[TL_LDTR] = (struct tl_segment){.base = LDT_AT, .limit = SELECTOR + 7, .access = PRESENT | 2};
	engine_put(LDT_AT + SELECTOR, descriptor_of(0x1000, 1, PRESENT | NO_SYSTEM), 8);
	expect_done(MOV_DS);
	assert_int_equal(guest.cpu.segment[TL_DS].base, 0x1000);
	assert_int_equal(guest.cpu.segment[TL_DS].limit, 1);
	guest.cpu.segment[TL_LDTR].limit--;
	expect_fault(MOV_DS, GP, SELECTOR | 4);
}

/* Tables are read and marked as the supervisor, whoever loads the segment. */
static void page_faults_of_the_table(void **context)
{
	(void)context;
	in_64(3);
	select(SELECTOR | 3, with_dpl(PRESENT | NO_SYSTEM, 3));
	engine_map_page(GDT_AT, GDT_AT, P | A | D); /* read-only, and not the user's */
	expect_page_fault(MOV_DS, 3, GDT_AT + SELECTOR);
	guest.cpu.paging.cr0 &= ~WP;
	expect_done(MOV_DS);
	/* Marked already: the CPU does not write. */
	guest.cpu.paging.cr0 |= WP;
	expect_done(MOV_DS);
	engine_unmap_page(GDT_AT);
	expect_page_fault(MOV_DS, 0, GDT_AT + SELECTOR);
	/* SMAP holds for such accesses whatever AC says. */
	engine_map_page(GDT_AT, GDT_AT, P | U | W | A | D);
	guest.cpu.paging.cr4 |= SMAP;
	guest.cpu.paging.rflags_ac = true;
	expect_page_fault(MOV_DS, 1, GDT_AT + SELECTOR);
}

/* Where the CPU itself would not write, nothing is written. */
static void a_table_in_rom(void **context)
{
	uint64_t descriptor = descriptor_of(BASE, LIMIT, PRESENT | NO_SYSTEM);

	(void)context;
	select(SELECTOR, 0);
	guest.cpu.gdtr.base = ROM_AT;
	engine_put(ROM_AT + SELECTOR, descriptor, 8);
	expect_done(MOV_DS);
	assert_int_equal(guest.cpu.segment[TL_DS].access, PRESENT | NO_SYSTEM | TYPE_ACCESSED);
	assert_int_equal(engine_get(ROM_AT + SELECTOR, 8), descriptor);
}

static void tables_where_there_is_no_memory(void **context)
{
	(void)context;
	select(SELECTOR, PRESENT | NO_SYSTEM);
	guest.cpu.gdtr.base = DEVICE_AT;
	expect_nothing_done(MOV_DS, MMIO_TABLE_NOT_RAM);
	assert_int_equal(guest.op.gpa, DEVICE_AT + SELECTOR);
	/* So may the page tables on the way: the first entry names a device. */
	engine_put(0x1000 + 8, DEVICE_AT | ALL, 8);
	guest.cpu.gdtr.base = BIT(39);
	expect_nothing_done(MOV_DS, MMIO_TABLE_NOT_RAM);
	assert_int_equal(guest.op.gpa, DEVICE_AT);
	/* Beyond the canonical half. */
	guest.cpu.gdtr.base = NON_CANONICAL - 8;
	expect_fault(MOV_DS, GP, SELECTOR);
}

/* A table that is not aligned: each page is walked, and the flag is set in the one that has it. */
static void descriptors_across_two_pages(void **context)
{
	uint64_t descriptor = descriptor_of(BASE, LIMIT, PRESENT | NO_SYSTEM);

	(void)context;
	for (unsigned first = 1; first <= 8; first++) {
		gpa_t at = DATA_AT + 2 * PAGE - first;

		in_64(0);
		select(SELECTOR, 0);
		guest.cpu.gdtr.base = at - SELECTOR;
		engine_put(at, descriptor, first);
		engine_put(DATA_AT + 2 * PAGE, first < 8 ? descriptor >> (8 * first) : 0, 8 - first);
		expect_done(MOV_DS);
		assert_int_equal(guest.cpu.segment[TL_DS].base, BASE);
		assert_int_equal(guest.cpu.segment[TL_DS].limit, LIMIT);
		assert_int_equal(engine_get(at + 5, 1), (descriptor >> 40 & 0xff) | TYPE_ACCESSED);
		engine_unmap_page(DATA_AT + 2 * PAGE);
		if (first < 8)
			expect_page_fault(MOV_DS, 0, DATA_AT + 2 * PAGE);
		else
			expect_done(MOV_DS);
		in_64(0);
		guest.cpu.gdtr.base = at - SELECTOR;
		engine_unmap_page(DATA_AT + PAGE);
		expect_page_fault(MOV_DS, 0, at);
		for (gva_t page = DATA_AT + PAGE; page <= DATA_AT + 2 * PAGE; page += PAGE)
			engine_map_page(page, page, ALL);
	}
}

/* Real and virtual-8086 mode: the selector is the base. */
static void without_descriptors(void **context)
{
	(void)context;
	engine_in_16();
	guest.cpu.segment[TL_ES].base = DATA_AT;
	engine_put(DATA_AT, 0xf123, 2);
	for (unsigned v86 = 0; v86 < 2; v86++) {
		struct tl_segment before = guest.cpu.segment[TL_DS];

		expect_done(BYTES(0x26, 0x8e, 0x1f)); /* MOV DS, ES:[BX] */
		assert_int_equal(guest.cpu.segment[TL_DS].selector, 0xf123);
		assert_int_equal(guest.cpu.segment[TL_DS].base, 0xf1230);
		/* The limit stays: what is called unreal mode. */
		assert_int_equal(guest.cpu.segment[TL_DS].limit, before.limit);
		assert_int_equal(guest.cpu.segment[TL_DS].access, before.access);
		guest.cpu.paging.cr0 |= 1;
		guest.cpu.rflags |= FLAG_VM;
		guest.cpu.paging.cpl = 3;
	}
}

/* SDM vol. 2, POP: as MOV. A fault leaves the stack pointer. */
static void popped_segments(void **context)
{
	(void)context;
	engine_in_32();
	guest.cpu.gpr[TL_RSP] = DEVICE_AT;
	guest.device[0] = SELECTOR;
	select(0, 0);
	engine_put(GDT_AT + SELECTOR, descriptor_of(0, 0xfffff, PRESENT | NO_SYSTEM | TYPE_WRITABLE | BIG), 8);
	expect_done(POP_SS);
	assert_int_equal(guest.cpu.gpr[TL_RSP], DEVICE_AT + 4);
	assert_int_equal(guest.cpu.segment[TL_SS].limit, 0xfffff);
	assert_true(guest.cpu.shadow);
}

/* The selector first: where it faults the register is not loaded. No shadow: that is for MOV and POP. */
static void far_pointers(void **context)
{
	uint32_t rights = PRESENT | NO_SYSTEM | TYPE_WRITABLE;

	(void)context;
	engine_put(DATA_AT, 0x1122334455667788, 8);
	engine_put(DATA_AT + 8, SELECTOR, 2);
	engine_put(GDT_AT + SELECTOR, descriptor_of(BASE, LIMIT, rights), 8);
	expect_done(LSS);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 0x1122334455667788);
	assert_int_equal(guest.cpu.segment[TL_SS].base, BASE);
	assert_false(guest.cpu.shadow);
	engine_put(DATA_AT + 4, SELECTOR, 2);
	expect_done(LFS);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 0x55667788);
	assert_int_equal(guest.cpu.segment[TL_FS].base, BASE);
	engine_put(GDT_AT + SELECTOR, descriptor_of(BASE, LIMIT, rights & ~(uint32_t)PRESENT), 8);
	expect_fault(LSS, SS, SELECTOR);
	expect_fault(LFS, NP, SELECTOR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_type_and_privilege, reset),
		cmocka_unit_test_setup(null_selectors, reset),
		cmocka_unit_test_setup(limits_of_the_tables, reset),
		cmocka_unit_test_setup(page_faults_of_the_table, reset),
		cmocka_unit_test_setup(a_table_in_rom, reset),
		cmocka_unit_test_setup(tables_where_there_is_no_memory, reset),
		cmocka_unit_test_setup(descriptors_across_two_pages, reset),
		cmocka_unit_test_setup(without_descriptors, reset),
		cmocka_unit_test_setup(popped_segments, reset),
		cmocka_unit_test_setup(far_pointers, reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
