/* SPDX-License-Identifier: MIT */
/* Prints the TSC as a decimal number. Freestanding: it is in an initramfs by itself. */
#include <stdint.h>

enum { SYS_WRITE = 1, SYS_EXIT = 60, STDOUT = 1 };

static long call(long number, long first, long second, long third)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(first), "S"(second), "d"(third)
			 : "rcx", "r11", "memory");
	return result;
}

/* Where the kernel enters. */
_Noreturn void _start(void);

_Noreturn void _start(void)
{
	char text[24], *at = text + sizeof(text);
	uint32_t low, high;
	uint64_t tsc;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	*--at = '\n';
	for (tsc = (uint64_t)high << 32 | low; at == text + sizeof(text) - 1 || tsc; tsc /= 10)
		*--at = (char)('0' + tsc % 10);
	call(SYS_WRITE, STDOUT, (long)at, text + sizeof(text) - at);
	for (;;)
		call(SYS_EXIT, 0, 0, 0);
}
