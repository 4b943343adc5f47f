/* SPDX-License-Identifier: MIT */
/*
 * Who gets what is typed: the guest, or the monitor. Ctrl-A is the prefix of what is for neither, as in QEMU: Ctrl-A c
 * goes to the monitor and back, Ctrl-A d shows the dashboard or the text, Ctrl-A x ends the run, Ctrl-A h helps, and
 * Ctrl-A Ctrl-A is a Ctrl-A that is typed.
 * Pure C: it knows no device.
 */
#ifndef BOOT_INPUT_H
#define BOOT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

enum { INPUT_PREFIX = 'a' & 0x1F };

enum input_to {
	INPUT_NOBODY,
	INPUT_GUEST,
	INPUT_MONITOR,
	INPUT_SWITCH,    /* the other one of the two gets what follows: input.monitor says which */
	INPUT_DASHBOARD, /* it is shown, or no longer */
	INPUT_HELP,
	INPUT_QUIT,
};

/* Zeroed at first: the guest is typed to. */
struct input {
	bool prefixed, monitor;
};

/* Whose the next byte is, or what it asks for. */
enum input_to input_route(struct input *input, uint8_t byte);

enum { INPUT_KEPT = 256 /* bytes, a power of 2 */ };

/* Keeps a byte for the guest until it is read; false: there is no room. Concurrency: one CPU at a time. */
bool input_keep(uint8_t byte);

/* The oldest byte that is kept, or -1. Concurrency: one CPU at a time, beside one that keeps. */
int input_read(void);

#endif
