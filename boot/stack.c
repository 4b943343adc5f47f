/* SPDX-License-Identifier: MIT */
#include "boot/stack.h"

#include <stddef.h>

#include "boot/host_cpu.h"
#include "boot/memory.h"
#include "boot/paging.h"

extern char boot_stack_guard[], boot_stack[], boot_stack_end[];
extern char double_fault_stack_guard[], double_fault_stack[], double_fault_stack_end[];
extern char nmi_stack_guard[], nmi_stack[], nmi_stack_end[];
extern char machine_check_stack_guard[], machine_check_stack[], machine_check_stack_end[];

/* As boot/start.asm has them. */
enum { BOOT_STACK_PAGES = 8, IST_STACK_PAGES = 2 };

static const char *const stack_names[HOST_STACKS] = {
	[HOST_STACK_BOOT] = "boot",
	[HOST_STACK_DOUBLE_FAULT] = "double fault",
	[HOST_STACK_NMI] = "NMI",
	[HOST_STACK_MACHINE_CHECK] = "machine check",
};

void host_stacks_first(struct host_cpu *cpu)
{
	const struct host_stack stacks[HOST_STACKS] = {
		[HOST_STACK_BOOT] = {NULL, boot_stack_guard, boot_stack, boot_stack_end},
		[HOST_STACK_DOUBLE_FAULT] = {NULL, double_fault_stack_guard, double_fault_stack,
					     double_fault_stack_end},
		[HOST_STACK_NMI] = {NULL, nmi_stack_guard, nmi_stack, nmi_stack_end},
		[HOST_STACK_MACHINE_CHECK] = {NULL, machine_check_stack_guard, machine_check_stack,
					      machine_check_stack_end},
	};

	for (unsigned i = 0; i < HOST_STACKS; i++) {
		cpu->stacks[i] = stacks[i];
		cpu->stacks[i].name = stack_names[i];
	}
}

bool host_stacks_make(struct host_cpu *cpu)
{
	/* One block: a failure leaves nothing behind. */
	char *at = memory_alloc(BOOT_STACK_PAGES + (HOST_STACKS - 1) * IST_STACK_PAGES + HOST_STACKS);

	if (!at)
		return false;
	for (unsigned i = 0; i < HOST_STACKS; i++) {
		unsigned pages = i == HOST_STACK_BOOT ? BOOT_STACK_PAGES : IST_STACK_PAGES;
		char *start = at + HOST_PAGE, *end = start + (size_t)pages * HOST_PAGE;

		cpu->stacks[i] = (struct host_stack){stack_names[i], at, start, end};
		if (!paging_unmap((uintptr_t)at, (uintptr_t)start))
			return false;
		at = end;
	}
	return true;
}

const struct host_stack *host_stack_find(uint64_t address)
{
	for (unsigned cpu = 0; cpu < TL_MAX_CPUS; cpu++)
		for (unsigned i = 0; i < HOST_STACKS; i++) {
			const struct host_stack *stack = &host_cpus[cpu].stacks[i];

			if (address >= (uintptr_t)stack->guard && address < (uintptr_t)stack->end)
				return stack;
		}
	return NULL;
}
