/* SPDX-License-Identifier: MIT */
#include "boot/console.h"

#include <stdint.h>

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
	print_format(console_put, NULL, format, arguments);
}

void host_print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	host_print_v(format, arguments);
	va_end(arguments);
}
