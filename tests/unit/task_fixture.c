/* SPDX-License-Identifier: MIT */
#include "tests/unit/task_fixture.h"

struct task_switch task;

void task_descriptor(unsigned selector, uint32_t base, uint32_t limit, uint32_t rights)
{
	engine_put(GDT_AT + selector, descriptor_of(base, limit, rights), 8);
}

void task_new_is(unsigned at, uint64_t value, unsigned size)
{
	engine_put(NEW_AT + at, value, size);
}

void task_prepare(enum task_source source)
{
	bool returns = source == TASK_IRET;

	engine_in_32();
	for (unsigned i = 0; i < 8; i++)
		guest.cpu.gpr[i] = 0x01010101 * (i + 1);
	for (unsigned i = 0; i <= TL_GS; i++)
		guest.cpu.segment[i].selector = i == TL_CS ? CODE : DATA;
	guest.cpu.rflags = FLAGS | (returns ? NT : 0);
	guest.cpu.gpr[TL_RSP] = STACK_AT;
	guest.cpu.segment[TL_TR] = (struct tl_segment){
		.selector = OLD, .base = OLD_AT, .limit = TSS_LIMIT, .access = PRESENT | TYPE_TSS | BUSY};
	task_descriptor(OLD, OLD_AT, TSS_LIMIT, PRESENT | TYPE_TSS | BUSY);
	task_descriptor(NEW, NEW_AT, TSS_LIMIT, PRESENT | TYPE_TSS | (returns ? BUSY : 0));
	task_descriptor(CODE, 0, LIMIT, PRESENT | NO_SYSTEM | TYPE_CODE | TYPE_WRITABLE | BIG | GRANULAR);
	task_descriptor(DATA, 0, LIMIT, PRESENT | NO_SYSTEM | TYPE_WRITABLE | BIG | GRANULAR);
	task_descriptor(TABLE, LDT_AT, 0xff, PRESENT | TYPE_LDT);
	memset(engine_ram(OLD_AT), 0xee, TSS_LIMIT + 1);
	memset(engine_ram(NEW_AT), 0, TSS_LIMIT + 1);
	task_new_is(AT_EIP, ENTRY, 4);
	task_new_is(AT_FLAGS, FLAGS, 4);
	for (unsigned i = 0; i < 8; i++)
		task_new_is(AT_EAX + 4 * i, 0xa0a0a0a0 + i, 4);
	task_new_is(AT_ESP, STACK_OF_NEW, 4);
	for (unsigned i = 0; i <= TL_GS; i++)
		task_new_is(AT_ES + 4 * i, i == TL_CS ? CODE : DATA, 2);
	task = (struct task_switch){.source = source, .selector = NEW};
}

enum mmio_progress task_run(void)
{
	struct mmio_environment env = engine_environment();

	return task_switch(&guest.op, &guest.cpu, &env, &task);
}

void task_expect_old(unsigned vector, int error_code)
{
	static uint8_t before[RAM_SIZE];
	struct mmio_cpu cpu = guest.cpu;

	memcpy(before, engine_ram(0), RAM_SIZE);
	assert_int_equal(task_run(), MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, vector);
	assert_int_equal(guest.op.fault.error_code, error_code);
	assert_false(task.committed);
	assert_memory_equal(&cpu, &guest.cpu, sizeof(cpu));
	assert_memory_equal(before, engine_ram(0), RAM_SIZE);
}

void task_expect_new(unsigned vector, int error_code)
{
	assert_int_equal(task_run(), MMIO_FAULT);
	assert_int_equal(guest.op.fault.vector, vector);
	assert_int_equal(guest.op.fault.error_code, error_code);
	assert_true(task.committed);
	assert_int_equal(guest.cpu.rip, engine_get(NEW_AT + AT_EIP, 4));
	assert_int_equal(guest.cpu.segment[TL_TR].selector, NEW);
	assert_true(guest.cpu.paging.cr0 & CR0_TS);
	assert_int_equal(engine_get(OLD_AT + AT_EIP, 4), 0x9000);
}

void task_with_paging(void)
{
	enum { DIRECTORY = 0x30000, TABLE_AT = 0x31000 };

	guest.cpu.paging.cr0 |= PG;
	guest.cpu.paging.cr3 = DIRECTORY;
	engine_put(DIRECTORY, TABLE_AT | P | W | U | A, 4);
	for (unsigned i = 0; i < 1024; i++)
		engine_put(TABLE_AT + 4 * i, i * PAGE | P | W | U | A | D, 4);
	task_new_is(AT_CR3, DIRECTORY, 4);
}
