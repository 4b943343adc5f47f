/* SPDX-License-Identifier: MIT */
/* Where text goes: the serial port and the screen, both. */
#ifndef BOOT_CONSOLE_H
#define BOOT_CONSOLE_H

#include <stdarg.h>

/* Finds the serial port and clears the screen. Context: host, one CPU. */
void console_init(void);

/* Waits until what was printed has left the machine. */
void console_drain(void);

/*
 * Conversions: see print_format(). The text brings its own newlines. Context: any, several CPUs at once.
 */
void host_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void host_print_v(const char *format, va_list arguments);

/* Keeps other CPUs' text out of what is printed in between. May be nested. */
void console_lock(void);
void console_unlock(void);

#endif
