/* SPDX-License-Identifier: MIT */
#include "boot/backtrace.h"

#include <stdbool.h>

#include "boot/console.h"
#include "boot/stack.h"
#include "boot/symbols.h"

enum { BACKTRACE_MAX = 24 };

extern const uint8_t image_start[], image_text_end[];

/* CALL is E8 with a 32-bit offset, or FF /2 with a ModRM of 1 to 6 bytes behind it (SDM vol. 2, CALL). */
static bool follows_call(uint64_t address)
{
	const uint8_t *end = (const uint8_t *)address;

	if (address < (uintptr_t)image_start + 8 || address > (uintptr_t)image_text_end)
		return false;
	if (end[-5] == 0xE8)
		return true;
	for (int length = 2; length <= 7; length++)
		if (end[-length] == 0xFF && (end[1 - length] >> 3 & 7) == 2)
			return true;
	return false;
}

/* `seek` is where the name is looked up: a return address may already belong to the next function. */
static void print_place(uint64_t address, uint64_t seek)
{
	uint64_t offset;
	const char *name = symbol_find(seek, &offset);

	if (name)
		host_print("  %016llx %s+0x%llx\n", (unsigned long long)address, name,
			   (unsigned long long)offset + (address - seek));
	else
		host_print("  %016llx\n", (unsigned long long)address);
}

void backtrace_print(uint64_t rip, uint64_t rsp)
{
	const struct host_stack *stack = host_stack_find(rsp);
	uint64_t at = rsp & ~7ull;
	unsigned printed = 0;

	host_print("backtrace:\n");
	if (rip)
		print_place(rip, rip);
	if (!stack) {
		host_print("  RSP is in none of the host's stacks\n");
		return;
	}
	if (at < (uintptr_t)stack->start)
		at = (uintptr_t)stack->start;
	for (; at < (uintptr_t)stack->end && printed < BACKTRACE_MAX; at += 8) {
		uint64_t value = *(const uint64_t *)at;

		if (!follows_call(value))
			continue;
		print_place(value, value - 1);
		printed++;
	}
}
