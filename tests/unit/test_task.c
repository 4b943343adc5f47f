/* SPDX-License-Identifier: MIT */
/* Task switches against the words of SDM vol. 3, 8.3: what is saved, what is loaded. The guest tasks does it on a CPU.
 */
#include "tests/unit/task_fixture.h"

static uint32_t rights(unsigned selector)
{
	return (uint32_t)(engine_get(GDT_AT + selector + 5, 1));
}

static void expect_saved(uint64_t flags)
{
	assert_int_equal(engine_get(OLD_AT + AT_EIP, 4), 0x9000);
	assert_int_equal(engine_get(OLD_AT + AT_FLAGS, 4), flags);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(engine_get(OLD_AT + AT_EAX + 4 * i, 4), i == TL_RSP ? STACK_AT : 0x01010101 * (i + 1));
	for (unsigned i = 0; i <= TL_GS; i++)
		assert_int_equal(engine_get(OLD_AT + AT_ES + 4 * i, 4), 0xeeee0000 | (i == TL_CS ? CODE : DATA));
	/* What a task does not change in its TSS stays. */
	assert_int_equal(engine_get(OLD_AT + AT_CR3, 4), 0xeeeeeeee);
	assert_int_equal(engine_get(OLD_AT + AT_LDT, 4), 0xeeeeeeee);
}

/* SDM vol. 3, table 8-2: the busy flags, NT and the link. */
static void every_source(void **context)
{
	(void)context;
	for (enum task_source source = TASK_CALL; source <= TASK_GATE; source++) {
		bool nests = source == TASK_CALL || source == TASK_GATE;

		task_prepare(source);
		task_new_is(0, 0x5a5a, 2);
		assert_int_equal(task_run(), MMIO_DONE);
		assert_true(task.committed);
		assert_false(task.trap);
		expect_saved(FLAGS);
		assert_int_equal(engine_get(NEW_AT, 2), nests ? OLD : 0x5a5a);
		assert_int_equal(guest.cpu.rflags, FLAGS | (nests ? NT : 0));
		assert_int_equal(rights(OLD) & BUSY, nests ? BUSY : 0);
		assert_int_equal(rights(NEW) & BUSY, BUSY);
		assert_int_equal(guest.cpu.segment[TL_TR].selector, NEW);
		assert_int_equal(guest.cpu.segment[TL_TR].base, NEW_AT);
		assert_int_equal(guest.cpu.segment[TL_TR].access, PRESENT | TYPE_TSS | BUSY);
		assert_int_equal(guest.cpu.rip, ENTRY);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(guest.cpu.gpr[i], i == TL_RSP ? STACK_OF_NEW : 0xa0a0a0a0 + i);
		assert_int_equal(guest.cpu.segment[TL_SS].limit, UINT32_MAX);
		assert_true(guest.cpu.segment[TL_CS].access & TYPE_ACCESSED);
		assert_true(guest.cpu.segment[TL_LDTR].access & UNUSABLE);
		assert_true(guest.cpu.paging.cr0 & CR0_TS);
	}
}

static void what_is_loaded(void **context)
{
	(void)context;
	task_prepare(TASK_JMP);
	task_new_is(AT_LDT, TABLE, 2);
	engine_put(LDT_AT + 8, descriptor_of(0x1234, LIMIT, PRESENT | NO_SYSTEM | TYPE_WRITABLE | BIG), 8);
	task_new_is(AT_DS, 8 | 4, 2);
	task_new_is(AT_TRAP, 1, 2);
	assert_int_equal(task_run(), MMIO_DONE);
	assert_true(task.trap);
	assert_int_equal(guest.cpu.segment[TL_LDTR].base, LDT_AT);
	assert_int_equal(guest.cpu.segment[TL_DS].base, 0x1234);
	/* Flags that POPF could not load are: VM, RF and the virtual ones. Reserved ones are not. */
	task_prepare(TASK_JMP);
	task_new_is(AT_FLAGS, 0xffffffff, 4);
	task_new_is(AT_CS, 0x1230, 2);
	assert_int_equal(task_run(), MMIO_DONE);
	assert_int_equal(guest.cpu.rflags, 0x3f7fd7);
	assert_int_equal(guest.cpu.segment[TL_CS].base, 0x12300);
	assert_int_equal(guest.cpu.segment[TL_CS].access, 0xf3);
	assert_int_equal(guest.cpu.paging.cpl, 3);
	/* Of 16 bits. */
	task_prepare(TASK_CALL);
	task_descriptor(NEW, NEW_AT, NARROW_LIMIT, PRESENT | TYPE_NARROW_TSS);
	memset(engine_ram(NEW_AT), 0, TSS_LIMIT + 1);
	task_new_is(0x0e, ENTRY, 2);
	task_new_is(0x10, FLAGS, 2);
	task_new_is(0x12, 0x5566, 2);
	task_new_is(0x22, DATA, 2);
	task_new_is(0x24, CODE, 2);
	task_new_is(0x26, DATA, 2);
	task_new_is(0x28, DATA, 2);
	assert_int_equal(task_run(), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RAX], 0xffff5566);
	assert_int_equal(guest.cpu.segment[TL_FS].selector, 0);
	assert_int_equal(guest.cpu.rip, ENTRY);
}

static void page_tables_of_the_new_task(void **context)
{
	enum { TABLES = 0x28000 };

	(void)context;
	task_prepare(TASK_CALL);
	task_with_paging();
	guest.cpu.paging.cr4 |= PAE;
	guest.cpu.paging.cr3 = TABLES;

	guest.cpu.paging.pdpte[0] = (TABLES + PAGE) | P;
	engine_put(TABLES + PAGE, (TABLES + 2 * PAGE) | P | W | A, 8);
	for (unsigned i = 0; i < 512; i++)
		engine_put(TABLES + 2 * PAGE + 8 * i, i * PAGE | P | W | A | D, 8);
	/* Reserved bits of a PDPTE: the old page tables stay. */
	task_new_is(AT_CR3, TABLES + 0x100, 4);
	engine_put(TABLES + 0x100, (TABLES + PAGE) | P | W, 8);
	task_expect_new(GP, 0);
	assert_int_equal(guest.cpu.paging.cr3, TABLES);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, PRESENT | TYPE_TSS);
	guest.cpu.segment[TL_TR].selector = OLD;
	guest.cpu.segment[TL_TR].base = OLD_AT;
	engine_put(TABLES + 0x100, (TABLES + PAGE) | P, 8);
	assert_int_equal(task_run(), MMIO_DONE);
	assert_int_equal(guest.cpu.paging.cr3, TABLES + 0x100);
	assert_int_equal(guest.cpu.paging.pdpte[0], (TABLES + PAGE) | P);
}

/* A TSS in a device, and one in ROM, where nothing is written. IA-32e mode has no task switches. */
static void places_of_a_tss(void **context)
{
	(void)context;
	task_prepare(TASK_CALL);
	task_descriptor(NEW, DEVICE_AT, TSS_LIMIT, PRESENT | TYPE_TSS);
	assert_int_equal(task_run(), MMIO_TABLE_NOT_RAM);
	assert_int_equal(guest.op.gpa, DEVICE_AT);
	assert_false(task.committed);
	task_prepare(TASK_CALL);
	guest.cpu.segment[TL_TR].base = ROM_AT;
	assert_int_equal(task_run(), MMIO_DONE);
	assert_int_equal(engine_get(ROM_AT + AT_EIP, 4), 0);
	engine_in_64(0);
	assert_int_equal(task_run(), MMIO_REFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_source, engine_reset),
		cmocka_unit_test_setup(what_is_loaded, engine_reset),
		cmocka_unit_test_setup(page_tables_of_the_new_task, engine_reset),
		cmocka_unit_test_setup(places_of_a_tss, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
