/* SPDX-License-Identifier: MIT */
/* Descriptor tables, system segments, the machine status word, and questions about descriptors, through memory. */
#include "mmio/cpu.h"
#include "tests/unit/descriptors.h"

enum { SELECTOR = 0x20, BASE = 0x12345678, LIMIT = 0x9abc, FLAG_ZF = 1 << 6, FLAG_VM = 1 << 17, UMIP = 1 << 11 };
enum { TYPE_TSS_16 = 1, TYPE_LDT = 2, TYPE_TSS = 9, BUSY = 2 };

/* All of [RBX]. */
static const uint8_t sgdt[15] = {0x0f, 0x01, 0x03}, sidt[15] = {0x0f, 0x01, 0x0b}, lgdt[15] = {0x0f, 0x01, 0x13},
		     lidt[15] = {0x0f, 0x01, 0x1b}, smsw[15] = {0x0f, 0x01, 0x23}, lmsw[15] = {0x0f, 0x01, 0x33},
		     sldt[15] = {0x0f, 0x00, 0x03}, str[15] = {0x0f, 0x00, 0x0b}, lldt[15] = {0x0f, 0x00, 0x13},
		     ltr[15] = {0x0f, 0x00, 0x1b}, verr[15] = {0x0f, 0x00, 0x23}, verw[15] = {0x0f, 0x00, 0x2b},
		     lar[15] = {0x0f, 0x02, 0x0b}, lsl[15] = {0x0f, 0x03, 0x0b};
/* 16 bits of operand: LGDT and LIDT take 24 bits of the base in 32-bit code, LAR and LSL write CX. */
static const uint8_t lgdt_16[15] = {0x66, 0x0f, 0x01, 0x13}, lar_16[15] = {0x66, 0x0f, 0x02, 0x0b};

static void in_64(unsigned cpl)
{
	engine_in_64(cpl);
	guest.cpu.gpr[TL_RBX] = DATA_AT;
}

static void in_32(unsigned cpl)
{
	engine_in_32();
	guest.cpu.paging.cpl = (uint8_t)cpl;
	guest.cpu.gpr[TL_RBX] = DATA_AT;
}

static int reset(void **context)
{
	engine_reset(context);
	in_64(0);
	return 0;
}

static void tables_are_stored(void **context)
{
	(void)context;
	guest.cpu.gdtr = (struct tl_table){.base = 0xffff812345678000, .limit = 0x7f};
	guest.cpu.idtr = (struct tl_table){.base = 0x1122334455, .limit = 0xfff};
	expect_done(sgdt);
	assert_int_equal(engine_get(DATA_AT, 2), 0x7f);
	assert_int_equal(engine_get(DATA_AT + 2, 8), 0xffff812345678000);
	expect_done(sidt);
	assert_int_equal(engine_get(DATA_AT, 2), 0xfff);
	assert_int_equal(engine_get(DATA_AT + 2, 8), 0x1122334455);
	assert_int_equal(guest.cpu.changed, 0);
	in_32(3);
	guest.cpu.gdtr = (struct tl_table){.base = 0x87654321, .limit = 0x17};
	engine_put(DATA_AT, ~0ull, 8);
	expect_done(sgdt);
	assert_int_equal(engine_get(DATA_AT, 8), 0xffff876543210017);
}

/* Two accesses, each aligned as its size says: SDM vol. 3, 3.5.1. */
static void tables_are_two_accesses(void **context)
{
	(void)context;
	guest.cpu.gdtr = (struct tl_table){.base = 0x1122334455667788, .limit = 0x99aa};
	guest.cpu.gpr[TL_RBX] = DEVICE_AT + 5;
	expect_done(sgdt);
	assert_int_equal(guest.calls, 2);
	expect_call(0, DEVICE_AT + 5, 2, true, 0x99aa);
	expect_call(1, DEVICE_AT + 7, 8, true, 0x1122334455667788);
	guest.cpu.gpr[TL_RBX] = EMBEDDER_AT;
	assert_int_equal(engine_run(lgdt), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT, 2, false, 0);
	assert_int_equal(engine_resume(0x17), MMIO_EMBEDDER);
	expect_access(EMBEDDER_AT + 2, 8, false, 0);
	assert_int_equal(guest.cpu.gdtr.limit, 0x99aa);
	assert_int_equal(engine_resume(0x8000), MMIO_DONE);
	assert_int_equal(guest.cpu.gdtr.limit, 0x17);
	assert_int_equal(guest.cpu.gdtr.base, 0x8000);
	for (unsigned bits = 32; bits <= 64; bits += 32)
		for (unsigned offset = 0; offset < 8; offset++) {
			if (bits == 64)
				in_64(3);
			else
				in_32(3);
			guest.cpu.paging.cr0 |= 1 << 18;
			guest.cpu.paging.rflags_ac = true;
			guest.cpu.gpr[TL_RBX] = DATA_AT + offset;
			if (offset % (bits / 8) == bits / 8 - 2)
				expect_done(sidt);
			else
				expect_fault(sidt, AC, 0);
		}
}

/* The operand is looked at like any other. */
static void operands_that_cannot_be(void **context)
{
	static const uint8_t *const insns[] = {sgdt, lgdt, smsw, lmsw, sldt, lldt, verr, lar};

	(void)context;
	guest.cpu.gpr[TL_RBX] = NON_CANONICAL;
	for (unsigned i = 0; i < 8; i++)
		expect_fault(insns[i], GP, 0);
	/* The last byte of it. */
	guest.cpu.gpr[TL_RBX] = NON_CANONICAL - 9;
	expect_fault(sgdt, GP, 0);
	engine_unmap_page(LINEAR_AT);
	guest.cpu.gpr[TL_RBX] = LINEAR_AT - 2;
	expect_page_fault(sgdt, 2, LINEAR_AT);
}

static void tables_are_loaded(void **context)
{
	(void)context;
	engine_put(DATA_AT, 0x7f, 2);
	engine_put(DATA_AT + 2, 0xffff812345678000, 8);
	expect_done(lgdt);
	assert_int_equal(guest.cpu.gdtr.base, 0xffff812345678000);
	assert_int_equal(guest.cpu.gdtr.limit, 0x7f);
	assert_int_equal(guest.cpu.changed, CPU_TABLES);
	engine_put(DATA_AT + 2, NON_CANONICAL, 8);
	expect_fault(lgdt, GP, 0);
	expect_fault(lidt, GP, 0);
	guest.cpu.paging.cr4 |= LA57;
	guest.cpu.paging.cr0 &= ~PG;
	expect_done(lidt);
	assert_int_equal(guest.cpu.idtr.base, NON_CANONICAL);
	in_32(0);
	engine_put(DATA_AT + 2, 0x87654321, 8);
	expect_done(lgdt);
	assert_int_equal(guest.cpu.gdtr.base, 0x87654321);
	expect_done(lgdt_16);
	assert_int_equal(guest.cpu.gdtr.base, 0x654321);
}

static void what_only_the_kernel_may(void **context)
{
	static const uint8_t *const loads[] = {lgdt, lidt, lmsw, lldt, ltr};
	static const uint8_t *const stores[] = {sgdt, sidt, smsw, sldt, str};

	(void)context;
	for (unsigned i = 0; i < 5; i++) {
		in_64(3);
		expect_fault(loads[i], GP, 0);
		expect_done(stores[i]);
		guest.cpu.paging.cr4 |= UMIP;
		expect_fault(stores[i], GP, 0);
		in_64(0);
		guest.cpu.paging.cr4 |= UMIP;
		expect_done(stores[i]);
	}
}

/* Real and virtual-8086 mode do not have them. */
static void what_needs_descriptors(void **context)
{
	static const uint8_t *const insns[] = {sldt, str, lldt, ltr, verr, verw, lar, lsl};

	(void)context;
	for (unsigned i = 0; i < 8; i++) {
		in_32(0);
		guest.cpu.paging.cr0 = 0;
		expect_fault(insns[i], UD, NO_ERROR_CODE);
		guest.cpu.paging.cr0 = 1;
		guest.cpu.paging.cpl = 3;
		guest.cpu.rflags |= FLAG_VM;
		expect_fault(insns[i], UD, NO_ERROR_CODE);
	}
}

static void the_machine_status_word(void **context)
{
	(void)context;
	guest.cpu.paging.cr0 |= 1 << 5;
	engine_put(DATA_AT, ~0ull, 8);
	expect_done(smsw);
	assert_int_equal(engine_get(DATA_AT, 8), ~0xffffull | 0x21);
	/* TS and MP, no more than the low four bits; PE is not cleared. */
	engine_put(DATA_AT, 0xfffa, 2);
	expect_done(lmsw);
	assert_int_equal(guest.cpu.paging.cr0, PG | WP | 1 << 5 | 0xb);
	engine_put(DATA_AT, 0, 2);
	expect_done(lmsw);
	assert_int_equal(guest.cpu.paging.cr0, PG | WP | 1 << 5 | 1);
	in_32(0);
	guest.cpu.paging.cr0 = 0;
	engine_put(DATA_AT, 1, 2);
	expect_done(lmsw);
	assert_int_equal(guest.cpu.paging.cr0, 1);
}

static void system_selectors_are_stored(void **context)
{
	(void)context;
	guest.cpu.segment[TL_LDTR].selector = 0x1234;
	guest.cpu.segment[TL_TR].selector = 0x5678;
	engine_put(DATA_AT, ~0ull, 8);
	expect_done(sldt);
	assert_int_equal(engine_get(DATA_AT, 8), ~0xffffull | 0x1234);
	expect_done(str);
	assert_int_equal(engine_get(DATA_AT, 8), ~0xffffull | 0x5678);
}

static void put_system(uint32_t rights, uint64_t high)
{
	engine_put(DATA_AT, SELECTOR, 2);
	engine_put(GDT_AT + SELECTOR, descriptor_of(BASE, LIMIT, rights), 8);
	engine_put(GDT_AT + SELECTOR + 8, high, 8);
}

static void check_system(bool task, unsigned type, bool present, bool long_mode)
{
	bool right = task ? type == TYPE_TSS || (type == TYPE_TSS_16 && !long_mode) : type == TYPE_LDT;
	const struct tl_segment *loaded = &guest.cpu.segment[task ? TL_TR : TL_LDTR];
	uint32_t rights = type | (present ? PRESENT : 0), after = rights | (task ? BUSY : 0);

	if (long_mode)
		in_64(0);
	else
		in_32(0);
	put_system(rights, 0x1122);
	if (!right || !present) {
		expect_fault(task ? ltr : lldt, right ? NP : GP, SELECTOR);
		return;
	}
	expect_done(task ? ltr : lldt);
	assert_int_equal(loaded->selector, SELECTOR);
	assert_int_equal(loaded->access, after);
	assert_int_equal(loaded->limit, LIMIT);
	assert_int_equal(loaded->base, long_mode ? 0x112212345678 : BASE);
	assert_int_equal(engine_get(GDT_AT + SELECTOR, 8), descriptor_of(BASE, LIMIT, after));
	assert_int_equal(guest.cpu.changed, CPU_SEGMENTS);
	/* Of a task that is busy now, once only. */
	if (task)
		expect_fault(ltr, GP, SELECTOR);
}

static void system_segments_are_loaded(void **context)
{
	(void)context;
	for (unsigned type = 0; type < 32; type++)
		for (unsigned bits = 0; bits < 8; bits++)
			check_system(bits & 1, type, bits & 2, bits & 4);
}

static void system_selectors_that_are_refused(void **context)
{
	(void)context;
	put_system(PRESENT | TYPE_LDT, 0);
	engine_put(DATA_AT, 3, 2);
	expect_fault(ltr, GP, 0);
	expect_done(lldt);
	assert_int_equal(guest.cpu.segment[TL_LDTR].access, UNUSABLE);
	/* They are in the GDT, of which a 64-bit one takes two places. */
	engine_put(DATA_AT, SELECTOR | 4, 2);
	expect_fault(ltr, GP, SELECTOR | 4);
	expect_fault(lldt, GP, SELECTOR | 4);
	engine_put(DATA_AT, SELECTOR, 2);
	guest.cpu.gdtr.limit = SELECTOR + 14;
	expect_fault(lldt, GP, SELECTOR);
	guest.cpu.gdtr.limit++;
	expect_done(lldt);
	/* A base that no address has; a second half that is a descriptor of its own. */
	put_system(PRESENT | TYPE_LDT, NON_CANONICAL >> 32);
	expect_fault(lldt, GP, SELECTOR);
	put_system(PRESENT | TYPE_TSS, BIT(40));
	expect_fault(ltr, GP, SELECTOR);
	/* The write of the busy bit may fault. */
	put_system(PRESENT | TYPE_TSS, 0);
	engine_map_page(GDT_AT, GDT_AT, P | A | D);
	expect_page_fault(ltr, 3, GDT_AT + SELECTOR);
	guest.cpu.gdtr.base = DEVICE_AT;
	expect_nothing_done(ltr, MMIO_TABLE_NOT_RAM);
}

static bool is_in(unsigned type, const uint8_t *list, unsigned count)
{
	return memchr(list, (int)type, count) != NULL;
}

/* SDM vol. 2: VERR and VERW, the tables of LAR and LSL. */
static bool is_valid(const uint8_t *insn, unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool long_mode)
{
	static const uint8_t lar_types[] = {1, 2, 3, 4, 5, 9, 11, 12}, lar_types_64[] = {2, 9, 11, 12};
	static const uint8_t lsl_types[] = {1, 2, 3, 9, 11}, lsl_types_64[] = {2, 9, 11};
	bool conforming = type >= 28, code = type >= 24, segment = type >= 16;

	if (!conforming && (cpl > dpl || rpl > dpl))
		return false;
	if (insn == verr)
		return segment && (!code || type & 2);
	if (insn == verw)
		return segment && !code && type & 2;
	if (segment)
		return true;
	if (insn == lar)
		return long_mode ? is_in(type, lar_types_64, 4) : is_in(type, lar_types, 8);
	return long_mode ? is_in(type, lsl_types_64, 3) : is_in(type, lsl_types, 5);
}

static void check_question(const uint8_t *insn, unsigned type, unsigned dpl, unsigned rpl, unsigned cpl, bool long_mode)
{
	uint32_t rights = with_dpl(type | GRANULAR | PRESENT, dpl);
	uint64_t rcx = 0x1122334455667788;
	bool valid = is_valid(insn, type, dpl, rpl, cpl, long_mode);

	if (long_mode)
		in_64(cpl);
	else
		in_32(cpl);
	put_system(rights, 0);
	engine_put(DATA_AT, SELECTOR | rpl, 2);
	guest.cpu.gpr[TL_RCX] = rcx;
	guest.cpu.rflags = 0x8d7 ^ (valid ? FLAG_ZF : 0);
	expect_done(insn);
	/* ZF alone. */
	assert_int_equal(guest.cpu.rflags, 0x8d7 ^ (valid ? 0 : FLAG_ZF));
	if (valid && insn == lar)
		assert_int_equal(guest.cpu.gpr[TL_RCX] & ~0xf0000ull, rights << 8);
	else
		assert_int_equal(guest.cpu.gpr[TL_RCX], valid && insn == lsl ? LIMIT << 12 | 0xfff : rcx);
}

static void questions_about_descriptors(void **context)
{
	static const uint8_t *const insns[] = {verr, verw, lar, lsl};

	(void)context;
	for (unsigned bits = 0; bits < 32 * 4 * 4 * 2 * 2; bits++)
		for (unsigned i = 0; i < 4; i++)
			check_question(insns[i], bits & 31, bits >> 5 & 3, bits >> 7 & 3, bits >> 9 & 1 ? 3 : 0,
				       bits >> 10);
}

/* A selector that names nothing is an answer: ZF is 0, and nothing is loaded. */
static void questions_about_nothing(void **context)
{
	(void)context;
	put_system(PRESENT | NO_SYSTEM, 0);
	guest.cpu.gpr[TL_RCX] = 0x1122334455667788;
	expect_done(lar_16);
	assert_true(guest.cpu.rflags & FLAG_ZF);
	assert_int_equal(guest.cpu.gpr[TL_RCX], 0x1122334455660000 | (PRESENT | NO_SYSTEM) << 8);
	guest.cpu.gdtr.limit = SELECTOR + 6;
	expect_done(lar);
	assert_false(guest.cpu.rflags & FLAG_ZF);
	engine_put(DATA_AT, 3, 2);
	guest.cpu.rflags |= FLAG_ZF;
	expect_done(lsl);
	assert_false(guest.cpu.rflags & FLAG_ZF);
	/* What keeps it from being asked is none. */
	engine_put(DATA_AT, SELECTOR, 2);
	guest.cpu.gdtr.limit = 0xffff;
	engine_unmap_page(GDT_AT);
	expect_page_fault(verr, 0, GDT_AT + SELECTOR);
	guest.cpu.gdtr.base = DEVICE_AT;
	expect_nothing_done(verw, MMIO_TABLE_NOT_RAM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tables_are_stored, reset),
		cmocka_unit_test_setup(tables_are_two_accesses, reset),
		cmocka_unit_test_setup(operands_that_cannot_be, reset),
		cmocka_unit_test_setup(tables_are_loaded, reset),
		cmocka_unit_test_setup(what_only_the_kernel_may, reset),
		cmocka_unit_test_setup(what_needs_descriptors, reset),
		cmocka_unit_test_setup(the_machine_status_word, reset),
		cmocka_unit_test_setup(system_selectors_are_stored, reset),
		cmocka_unit_test_setup(system_segments_are_loaded, reset),
		cmocka_unit_test_setup(system_selectors_that_are_refused, reset),
		cmocka_unit_test_setup(questions_about_descriptors, reset),
		cmocka_unit_test_setup(questions_about_nothing, reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
