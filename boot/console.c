/* SPDX-License-Identifier: MIT */
#include "boot/console.h"

#include <stdatomic.h>
#include <stdint.h>

#include "boot/cpu.h"
#include "boot/host_cpu.h"
#include "boot/print.h"
#include "boot/uart.h"
#include "boot/vga.h"

void console_init(void)
{
	vga_init();
	uart_init();
}

void console_drain(void)
{
	uart_drain();
}

/*
 * Who prints, as its number and 1; 0: nobody. The same CPU may come again, from a lock taken around several prints or
 * from an exception inside one. A CPU that does not let go has died in here: rather mixed lines than none.
 */
enum { LOCK_LOOKS = 100000000 };
static _Atomic unsigned console_owner;
static unsigned console_depth;

void console_lock(void)
{
	unsigned self = host_cpu_index() + 1;

	for (unsigned looks = 0; looks < LOCK_LOOKS; looks++) {
		unsigned owner = 0;

		/* acquire: the screen and the UART as the last owner left them. */
		if (atomic_compare_exchange_strong_explicit(&console_owner, &owner, self, memory_order_acquire,
							    memory_order_relaxed) ||
		    owner == self)
			break;
		cpu_relax();
	}
	console_depth++;
}

void console_unlock(void)
{
	/* release: pairs with console_lock(). */
	if (--console_depth == 0)
		atomic_store_explicit(&console_owner, 0, memory_order_release);
}

static void console_put(void *context, char c)
{
	(void)context;
	if (c == '\n')
		uart_put('\r');
	uart_put((uint8_t)c);
	vga_put(c);
}

void host_print_v(const char *format, va_list arguments)
{
	console_lock();
	print_format(console_put, NULL, format, arguments);
	console_unlock();
}

void host_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	host_print_v(format, arguments);
	va_end(arguments);
}
