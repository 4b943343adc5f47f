/* SPDX-License-Identifier: MIT */
/* The host's stacks, each above a guard page that is not mapped. boot/start.asm reserves them. */
#ifndef BOOT_STACK_H
#define BOOT_STACK_H

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

extern const struct host_stack host_stacks[HOST_STACKS];

/* The stack that `address` lies in, its guard page included, or NULL. Context: any. */
const struct host_stack *host_stack_find(uint64_t address);

#endif
