/* SPDX-License-Identifier: MIT */
#include "boot/stack.h"

#include <stddef.h>

extern char boot_stack_guard[], boot_stack[], boot_stack_end[];
extern char double_fault_stack_guard[], double_fault_stack[], double_fault_stack_end[];
extern char nmi_stack_guard[], nmi_stack[], nmi_stack_end[];
extern char machine_check_stack_guard[], machine_check_stack[], machine_check_stack_end[];

const struct host_stack host_stacks[HOST_STACKS] = {
	[HOST_STACK_BOOT] = {"boot", boot_stack_guard, boot_stack, boot_stack_end},
	[HOST_STACK_DOUBLE_FAULT] = {"double fault", double_fault_stack_guard, double_fault_stack,
				     double_fault_stack_end},
	[HOST_STACK_NMI] = {"NMI", nmi_stack_guard, nmi_stack, nmi_stack_end},
	[HOST_STACK_MACHINE_CHECK] = {"machine check", machine_check_stack_guard, machine_check_stack,
				      machine_check_stack_end},
};

const struct host_stack *host_stack_find(uint64_t address)
{
	for (unsigned i = 0; i < HOST_STACKS; i++)
		if (address >= (uintptr_t)host_stacks[i].guard && address < (uintptr_t)host_stacks[i].end)
			return &host_stacks[i];
	return NULL;
}
