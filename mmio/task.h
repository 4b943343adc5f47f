/* SPDX-License-Identifier: MIT */
/*
 * Task switches of 32-bit protected mode, in software: a guest cannot make one by itself, each exits. SDM vol. 3,
 * chapter 8; 28.4.2.
 */
#ifndef MMIO_TASK_H
#define MMIO_TASK_H

#include "mmio/segment.h"

/* Who makes it, as the exit qualification has it. SDM vol. 3, table 28-2. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct task_switch {
	enum task_source source;
	uint16_t selector; /* of the new task's TSS */
	bool external;     /* the event is none that the guest's instruction asked for: the EXT bit of error codes */
	bool has_error_code;
	uint32_t error_code; /* of the event, for the new task's stack */
	bool committed;      /* out: what the CPU is now, and a fault, are the new task's */
	bool trap;           /* out: #DB of the new task's T flag is due, DR6.BT */
};

/*
 * Switches. *cpu is the old task: its RIP the one to go on at, RFLAGS as they are saved, all segments and tables. On
 * MMIO_DONE it is the new task, and so it is on MMIO_FAULT with task->committed; else it has not changed. CR0.TS, CR3,
 * the PDPTEs and the CPL are in cpu->paging; DR7 is the caller's. MMIO_RACED: before anything is done.
 * MMIO_TABLE_NOT_RAM: a table is in a device. MMIO_REFUSED: the error code would have to be taken by the embedder, or
 * the guest never stops changing its page tables.
 */
enum mmio_progress task_switch(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env,
			       struct task_switch *task);

/*
 * task_load.c: qualifies what the selectors of the new task name, LDTR's first, and loads it. *cpu has the selectors,
 * the paging and the flags of the new task; what is not loaded yet is unusable, CS aside, which no VMCS can have so.
 */
enum mmio_progress task_load_segments(struct mmio_operation *op, struct mmio_cpu *cpu,
				      const struct mmio_environment *env, uint16_t ldt);
/* The segment registers between the commitment and their loading; in virtual-8086 mode loaded. And the CPL. */
void task_clear_segments(struct mmio_cpu *cpu, const uint16_t selector[]);

#endif
