/* SPDX-License-Identifier: MIT */
/* The host's stacks, four for each CPU, each above a guard page that is not mapped. */
#ifndef BOOT_STACK_H
#define BOOT_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* The order of the interrupt stack table: HOST_STACK_DOUBLE_FAULT is IST 1. */
enum host_stack_name {
	HOST_STACK_BOOT,
	HOST_STACK_DOUBLE_FAULT,
	HOST_STACK_NMI,
	HOST_STACK_MACHINE_CHECK,
	HOST_STACKS
};

struct host_stack {
	const char *name;
	char *guard, *start, *end;
};

struct host_cpu;

/* Names the stacks that boot/start.asm reserves for the first CPU. Context: the first CPU, first of all. */
void host_stacks_first(struct host_cpu *cpu);

/*
 * Makes stacks for another CPU and unmaps their guard pages. false: no memory. Preconditions: paging_init(); no other
 * CPU runs yet, so that this one's TLB is the only one to flush. Context: host, one CPU.
 */
bool host_stacks_make(struct host_cpu *cpu);

/* The stack that `address` lies in, its guard page included, or NULL. Context: any. */
const struct host_stack *host_stack_find(uint64_t address);

#endif
