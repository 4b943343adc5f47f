/* SPDX-License-Identifier: MIT */
/* Where text goes: the serial port and the screen, both. */
#ifndef BOOT_CONSOLE_H
#define BOOT_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "boot/multiboot.h"

/*
 * Opens the serial port that `serial` (enum boot_console) asks for, and the screen: the VGA's text where the loader
 * says so or says nothing, a framebuffer, or with NULL none. Only the first call counts; text that is printed before
 * opens what is found. Preconditions: the early tables are in use. Context: host, one CPU.
 */
void console_start(uint64_t serial, const struct boot_framebuffer *framebuffer);

/* Moves to the host's own tables. Precondition: paging_init() just now. Context: host, one CPU. */
void console_remap(void);

/* Says what was opened, and what was not and why. */
void console_describe(void);

/*
 * Shows `rows` rows of `columns` characters on the screen, if there is one, in place of the text, which goes on unseen;
 * NULL: the text again. The serial port is not touched. Context: any, several CPUs at once.
 */
void console_page(const char *cells, unsigned columns, unsigned rows);

/* Whether there is a screen. */
bool console_has_screen(void);

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
