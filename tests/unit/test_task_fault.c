/* SPDX-License-Identifier: MIT */
/* The faults of task switches, each of SDM vol. 3, table 8-1, and whose it is: the old task's, to which nothing has
 * happened, or the new one's. */
#include "tests/unit/task_fixture.h"

/* Before anything is done. */
static void faults_of_the_old_task(void **context)
{
	(void)context;
	task_prepare(TASK_CALL);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, PRESENT | TYPE_TSS | BUSY);
	task_expect_old(GP, NEW);
	task_prepare(TASK_IRET);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, PRESENT | TYPE_TSS);
	task_expect_old(TS, NEW);
	task_prepare(TASK_JMP);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, PRESENT | TYPE_LDT);
	task_expect_old(GP, NEW);
	task_prepare(TASK_GATE);
	task.external = true;
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, TYPE_TSS);
	task_expect_old(NP, NEW | EXT);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT - 1, PRESENT | TYPE_TSS);
	task_expect_old(TS, NEW | EXT);
	task_descriptor(NEW, NEW_AT, NARROW_LIMIT - 1, PRESENT | TYPE_NARROW_TSS);
	task_expect_old(TS, NEW | EXT);
	task.selector = NEW | 4;
	task_expect_old(GP, NEW | 4 | EXT);
	task.selector = NEW;
	task_prepare(TASK_CALL);
	guest.cpu.gdtr.limit = NEW + 6;
	task_expect_old(GP, NEW);
	task_prepare(TASK_IRET);
	guest.cpu.gdtr.limit = NEW + 6;
	task_expect_old(TS, NEW);
	/* The old TSS does not hold what is to be saved. */
	task_prepare(TASK_CALL);
	guest.cpu.segment[TL_TR].limit = AT_LDT - 2;
	task_expect_old(TS, NEW);
}

static void page_is(gva_t linear, uint32_t flags)
{
	engine_put(0x31000 + linear / PAGE * 4, flags ? (linear & ~(uint64_t)(PAGE - 1)) | flags : 0, 4);
}

static void expect_page_fault_of(gva_t linear, uint32_t error_code, bool committed)
{
	assert_int_equal(task_run(), MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, PF);
	assert_int_equal(guest.op.fault.error_code, error_code);
	assert_int_equal(guest.op.fault.linear, linear);
	assert_int_equal(task.committed, committed);
}

static void pages_that_are_missing(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 4; i++) {
		task_prepare(TASK_CALL);
		task_with_paging();
		switch (i) {
		case 0: /* the new TSS begins on the page behind */
			task_descriptor(NEW, DATA_AT + PAGE, TSS_LIMIT, PRESENT | TYPE_TSS);
			page_is(DATA_AT + PAGE, 0);
			expect_page_fault_of(DATA_AT + PAGE, 0, false);
			break;
		case 1: /* it ends there */
			task_descriptor(NEW, DATA_AT + PAGE - 0x20, TSS_LIMIT, PRESENT | TYPE_TSS);
			page_is(DATA_AT + PAGE, 0);
			expect_page_fault_of(DATA_AT + PAGE, 0, false);
			break;
		case 2: /* the old one cannot be written, nor the descriptors */
			guest.cpu.paging.cr0 |= WP;
			page_is(OLD_AT, P | U | A);
			expect_page_fault_of(OLD_AT, 3, false);
			break;
		default:
			guest.cpu.paging.cr0 |= WP;
			page_is(GDT_AT, P | U | A);
			expect_page_fault_of(GDT_AT + OLD + 5, 3, false);
			break;
		}
		assert_int_equal(guest.cpu.rip, 0x9000);
		assert_int_equal(engine_get(OLD_AT + AT_EIP, 4), 0xeeeeeeee);
	}
	/* An error code that cannot be pushed, and a stack that ends. */
	task_prepare(TASK_GATE);
	task_with_paging();
	task.has_error_code = true;
	page_is(STACK_OF_NEW - 4, 0);
	expect_page_fault_of(STACK_OF_NEW - 4, 2, true);
	task_prepare(TASK_GATE);
	task.has_error_code = true;
	task.external = true;
	task_new_is(AT_ESP, 2, 4);
	task_descriptor(DATA, 0, 0xffff, PRESENT | NO_SYSTEM | TYPE_WRITABLE | BIG);
	task_expect_new(SS, EXT);
	/* One that can. */
	task_prepare(TASK_GATE);
	task.has_error_code = true;
	task.error_code = 0x1234;
	assert_int_equal(task_run(), MMIO_DONE);
	assert_int_equal(guest.cpu.gpr[TL_RSP], STACK_OF_NEW - 4);
	assert_int_equal(engine_get(STACK_OF_NEW - 4, 4), 0x1234);
}

static void check_segment(unsigned at, unsigned selector, uint32_t type, unsigned vector, int error_code)
{
	task_prepare(TASK_GATE);
	task.external = true;
	task_descriptor(PLACE, 0, LIMIT, type);
	task_new_is(at, selector, 2);
	task_expect_new(vector, error_code | EXT);
}

static void faults_of_the_new_task(void **context)
{
	const uint32_t data = PRESENT | NO_SYSTEM | TYPE_WRITABLE, code = PRESENT | NO_SYSTEM | TYPE_CODE;

	(void)context;
	check_segment(AT_LDT, PLACE, PRESENT | TYPE_TSS, TS, PLACE);
	check_segment(AT_LDT, PLACE, TYPE_LDT, TS, PLACE);
	check_segment(AT_LDT, PLACE | 4, PRESENT | TYPE_LDT, TS, PLACE | 4);
	check_segment(AT_SS, 0, data, TS, 0);
	check_segment(AT_SS, PLACE, with_dpl(data, 3), TS, PLACE);
	check_segment(AT_SS, PLACE | 3, data, TS, PLACE);
	check_segment(AT_SS, PLACE, code | TYPE_WRITABLE, TS, PLACE);
	check_segment(AT_SS, PLACE, PRESENT | NO_SYSTEM, TS, PLACE);
	check_segment(AT_SS, PLACE, data & ~(uint32_t)PRESENT, SS, PLACE);
	check_segment(AT_SS, 0x7f8 + 8, data, TS, 0x7f8 + 8);
	check_segment(AT_DS, PLACE, code, TS, PLACE);
	check_segment(AT_DS, PLACE | 3, data, TS, PLACE);
	check_segment(AT_DS, PLACE, data & ~(uint32_t)PRESENT, NP, PLACE);
	check_segment(AT_ES, PLACE, PRESENT | TYPE_LDT, TS, PLACE);
	check_segment(AT_CS, 0, code, TS, 0);
	check_segment(AT_CS, PLACE, data, TS, PLACE);
	check_segment(AT_CS, PLACE, with_dpl(code, 3), TS, PLACE);
	check_segment(AT_CS, PLACE, with_dpl(code | TYPE_CONFORMING, 3), TS, PLACE);
	check_segment(AT_CS, PLACE, code & ~(uint32_t)PRESENT, NP, PLACE);
	/* Code that does not hold where it is to begin: of 20 bits of limit in bytes. */
	task_prepare(TASK_JMP);
	task_descriptor(PLACE, 0, ENTRY - 1, code);
	task_new_is(AT_CS, PLACE, 2);
	task_expect_new(GP, 0);
	/* A data segment may be null, or conforming code of any privilege. */
	task_prepare(TASK_JMP);
	task_descriptor(PLACE, 0, LIMIT, code | TYPE_CONFORMING | TYPE_WRITABLE);
	task_new_is(AT_DS, 3, 2);
	task_new_is(AT_ES, PLACE | 3, 2);
	assert_int_equal(task_run(), MMIO_DONE);
	assert_true(guest.cpu.segment[TL_DS].access & UNUSABLE);
	assert_int_equal(guest.cpu.segment[TL_ES].selector, PLACE | 3);
}

/* What has not been loaded is not to be used. CS is code at the CPL of its selector, which a VMCS must have. */
static void segments_that_are_not_loaded(void **context)
{
	(void)context;
	task_prepare(TASK_CALL);
	task_new_is(AT_SS, 0, 2);
	task_new_is(AT_CS, CODE | 3, 2);
	task_expect_new(TS, 0);
	assert_int_equal(guest.cpu.paging.cpl, 3);
	assert_int_equal(guest.cpu.segment[TL_CS].selector, CODE | 3);
	assert_int_equal(guest.cpu.segment[TL_CS].access, 0xfb);
	assert_int_equal(guest.cpu.segment[TL_SS].access, UNUSABLE | 3 << 5);
	assert_int_equal(guest.cpu.segment[TL_DS].access, UNUSABLE);
	assert_int_equal(guest.cpu.segment[TL_DS].selector, DATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(faults_of_the_old_task, engine_reset),
		cmocka_unit_test_setup(pages_that_are_missing, engine_reset),
		cmocka_unit_test_setup(faults_of_the_new_task, engine_reset),
		cmocka_unit_test_setup(segments_that_are_not_loaded, engine_reset),
	};

	return cmocka_run_group_tests(tests, engine_guest_start, engine_guest_stop);
}
