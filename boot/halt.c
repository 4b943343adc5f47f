/* SPDX-License-Identifier: MIT */
#include "boot/halt.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/host_cpu.h"

enum { BOCHS_SHUTDOWN_PORT = 0x8900, QEMU_EXIT_PORT = 0xF4 };

/* isa-debug-exit makes QEMU exit with 2 * value + 1: the 16 keeps that apart from QEMU's own statuses. */
enum { QEMU_EXIT_BASE = 16 };

void host_claim_end(void)
{
	static _Atomic unsigned ender; /* the CPU's number and 1 */
	unsigned self = host_cpu_index() + 1, first = 0;

	/* relaxed: it decides who goes on, and orders nothing. */
	if (!atomic_compare_exchange_strong_explicit(&ender, &first, self, memory_order_relaxed,
						     memory_order_relaxed) &&
	    first != self)
		cpu_stop();
	/* The last words are to be seen. */
	console_page(NULL, 0, 0);
}

_Noreturn void host_exit_v(enum host_status status, const char *format, va_list arguments)
{
	host_claim_end();
	host_print("trapline: %s", status == HOST_CANNOT_RUN ? "cannot run: " : "");
	host_print_v(format, arguments);
	host_print("\n");
	console_drain();
	for (const char *c = "Shutdown"; *c; c++)
		io_write8(BOCHS_SHUTDOWN_PORT, (uint8_t)*c);
	io_write8(QEMU_EXIT_PORT, (uint8_t)(QEMU_EXIT_BASE + status));
	cpu_stop();
}

_Noreturn void host_exit(enum host_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	host_exit_v(status, format, arguments);
}
