/* SPDX-License-Identifier: MIT */
/* A printf of the size that boot/ needs. Pure C: it knows no device. */
#ifndef BOOT_PRINT_H
#define BOOT_PRINT_H

#include <stdarg.h>
#include <stddef.h>

/* Takes the next character of the output. */
typedef void (*print_sink)(void *context, char c);

/*
 * Formats into `sink`. Conversions: %s %c %d %i %u %x %X %p %%, with '-', '0', a width, and for %s a precision (numbers
 * or '*'), and the lengths h, hh, l, ll, z and t. Anything else is printed as it stands. %s of NULL prints "(null)".
 */
void print_format(print_sink sink, void *context, const char *format, va_list arguments);

/*
 * Formats into `buffer`, cut to `size` bytes with the NUL; returns the length that the whole text has. size may be 0.
 */
size_t print_to_buffer(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t print_to_buffer_v(char *buffer, size_t size, const char *format, va_list arguments);

/* What stands for a character in a text of one line: a blank for a control character. */
static inline char print_visible(char c)
{
	return c && (unsigned char)c < ' ' ? ' ' : c;
}

#endif
