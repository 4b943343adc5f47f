/* SPDX-License-Identifier: MIT */
/* COM1, and the end of the machine. */
#ifndef EXAMPLE_CONSOLE_H
#define EXAMPLE_CONSOLE_H

#include <stdarg.h>

void console_start(void);

/* Conversions: those of tl_hooks.log. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void print_v(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

/* Once all is sent an emulator ends, and a machine halts. */
_Noreturn void console_end(void);

#endif
