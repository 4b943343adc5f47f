/* SPDX-License-Identifier: MIT */
/* Two tasks of the engine's guest: one that runs, in 32-bit code, and one that it is switched to. */
#ifndef UNIT_TASK_FIXTURE_H
#define UNIT_TASK_FIXTURE_H

#include "mmio/task.h"
#include "tests/unit/descriptors.h"

enum {
	OLD = 0x20,
	NEW = 0x28,
	CODE = 0x30,
	DATA = 0x38,
	TABLE = 0x40,
	PLACE = 0x48, /* a descriptor of each test's own */
	OLD_AT = DATA_AT,
	NEW_AT = DATA_AT + 0x400,
	TSS_LIMIT = 0x67,
	NARROW_LIMIT = 0x2b,
	TYPE_TSS = 9,
	TYPE_NARROW_TSS = 1,
	TYPE_LDT = 2,
	BUSY = 2,
	ENTRY = 0x4000,
	STACK_OF_NEW = 0xc000,
	TS = 10,
	PAGE = 0x1000,
	LIMIT = 0xfffff,
	CR0_TS = 8,
	FLAGS = 0x202,
	NT = 1 << 14,
	EXT = 1,
	AT_CR3 = 0x1c,
	AT_EIP = 0x20,
	AT_FLAGS = 0x24,
	AT_EAX = 0x28,
	AT_ESP = 0x38,
	AT_ES = 0x48,
	AT_CS = 0x4c,
	AT_SS = 0x50,
	AT_DS = 0x54,
	AT_LDT = 0x60,
	AT_TRAP = 0x64,
};

/* The switch that is made. */
extern struct task_switch task;

/* The descriptor of a selector in the GDT; and something in the new task's TSS. */
void task_descriptor(unsigned selector, uint32_t base, uint32_t limit, uint32_t rights);
void task_new_is(unsigned at, uint64_t value, unsigned size);

/* The old task in 32-bit code, a new one that begins at ENTRY, by `source`. */
void task_prepare(enum task_source source);
/* Paging by 32-bit tables of the engine's first 4 MiB for both, linear addresses as they are. */
void task_with_paging(void);

enum mmio_progress task_run(void);
/* A fault of the old task: nothing was done. */
void task_expect_old(unsigned vector, int error_code);
/* A fault of the new task. */
void task_expect_new(unsigned vector, int error_code);

#endif
