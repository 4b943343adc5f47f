/* SPDX-License-Identifier: MIT */
/* The end of a run. */
#ifndef BOOT_HALT_H
#define BOOT_HALT_H

#include <stdarg.h>

/* What the runner makes its own exit status of. */
enum host_status {
	HOST_PASSED = 0,
	HOST_FAILED = 1,
	HOST_CANNOT_RUN = 2,
};

/*
 * Prints the last line, "trapline: " and the text (for HOST_CANNOT_RUN "trapline: cannot run: " and the text, one
 * sentence), and ends the machine: Bochs by its shutdown port, QEMU by its isa-debug-exit device at 0xF4 (QEMU's own
 * exit status is then 33, 35 or 37), any other machine by halting. Context: any.
 */
_Noreturn void host_exit(enum host_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void host_exit_v(enum host_status status, const char *format, va_list arguments);

/*
 * Makes the calling CPU the one that ends the run: it returns for the first that calls it, however often, and stops
 * every other. For who has something to print before host_exit(), which calls it as well. Context: any.
 */
void host_claim_end(void);

#endif
