/* SPDX-License-Identifier: MIT */
#include "example/console.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COM1 = 0x3f8, LINE_STATUS = 5, CAN_SEND = 1 << 5, ALL_SENT = 1 << 6 };
enum { BOCHS_SHUTDOWN = 0x8900, QEMU_EXIT = 0xf4, PIC_MASKS = 0x21, SLAVE_MASKS = 0xa1 };

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* 115200 baud, 8N1. The interrupts that firmware left on have no handler here. */
void console_start(void)
{
	out8(PIC_MASKS, 0xff);
	out8(SLAVE_MASKS, 0xff);
	out8(COM1 + 3, 0x80);
	out8(COM1, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 3);
}

static void put(char c)
{
	while (!(in8(COM1 + LINE_STATUS) & CAN_SEND))
		;
	out8(COM1, (uint8_t)c);
}

static void put_text(const char *text)
{
	for (; *text; text++)
		put(*text);
}

static void put_number(uint64_t number, unsigned base, unsigned width, char pad)
{
	char digits[20];
	unsigned count = 0;

	do
		digits[count++] = "0123456789abcdef"[number % base];
	while ((number /= base) && count < sizeof(digits));
	while (width-- > count)
		put(pad);
	while (count)
		put(digits[--count]);
}

static void put_signed(int number)
{
	if (number < 0)
		put('-');
	put_number(number < 0 ? -(uint64_t)number : (uint64_t)number, 10, 0, ' ');
}

/* One conversion, behind its width; returns what follows it. */
static const char *put_conversion(const char *at, va_list *arguments, unsigned width, char pad)
{
	bool is_long = *at == 'l';
	uint64_t number;

	if (is_long)
		at++;
	switch (*at) {
	case 's':
		put_text(va_arg(*arguments, const char *));
		break;
	case 'c':
		put((char)va_arg(*arguments, int));
		break;
	case 'd':
		put_signed(va_arg(*arguments, int));
		break;
	case 'u':
	case 'x':
		number = is_long ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned);
		put_number(number, *at == 'u' ? 10 : 16, width, pad);
		break;
	default:
		put(*at);
	}
	return at + 1;
}

void print_v(const char *format, va_list arguments)
{
	va_list rest;

	va_copy(rest, arguments);
	while (*format) {
		unsigned width = 0;
		char pad = ' ';

		if (*format != '%') {
			put(*format++);
			continue;
		}
		if (*++format == '0')
			pad = *format++;
		while (*format >= '0' && *format <= '9')
			width = 10 * width + (unsigned)(*format++ - '0');
		format = put_conversion(format, &rest, width, pad);
	}
	va_end(rest);
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_v(format, arguments);
	va_end(arguments);
}

_Noreturn void console_end(void)
{
	while (!(in8(COM1 + LINE_STATUS) & ALL_SENT))
		;
	for (const char *c = "Shutdown"; *c; c++)
		out8(BOCHS_SHUTDOWN, (uint8_t)*c);
	out8(QEMU_EXIT, 16);
	for (;;)
		__asm__ volatile("cli; hlt");
}
