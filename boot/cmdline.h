/* SPDX-License-Identifier: MIT */
/* The words of the hypervisor's command line. One table in cmdline_words.c holds them all; a new word is a new row. */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

#include "guest/hand.h"

enum { CMDLINE_GUESTS_MAX = 16, CMDLINE_NAME_MAX = 32 };

enum boot_trace_to { BOOT_TRACE_TO_CONSOLE = 1, BOOT_TRACE_TO_DEBUGCON };

/* Deliberate faults of the host. */
enum boot_crash {
	BOOT_CRASH_NONE,
	BOOT_CRASH_UD,    /* executes UD2 */
	BOOT_CRASH_NULL,  /* reads through a null pointer */
	BOOT_CRASH_TEXT,  /* writes to code */
	BOOT_CRASH_DATA,  /* executes data */
	BOOT_CRASH_STACK, /* overflows the stack */
	BOOT_CRASH_OTHER, /* overflows another processor's stack */
	BOOT_CRASH_CHECK, /* executes INT 18, a machine check without a cause, which is survived */
};

/* Where text goes besides the screen; from BOOT_CONSOLE_PORT on it is the first of a UART's eight ports. */
enum boot_console {
	BOOT_CONSOLE_ANY, /* the first UART that is found: COM1 to COM4, then one on PCI */
	BOOT_CONSOLE_NONE,
	BOOT_CONSOLE_COM1,
	BOOT_CONSOLE_COM2,
	BOOT_CONSOLE_COM3,
	BOOT_CONSOLE_COM4,
	BOOT_CONSOLE_PCI,
	BOOT_CONSOLE_PORT = 0x100,
};

enum boot_screen_use { BOOT_SCREEN_USE_ANY, BOOT_SCREEN_USE_OFF, BOOT_SCREEN_USE_LOG, BOOT_SCREEN_USE_DASHBOARD };

/* What off= can name beside the library's features. */
enum { BOOT_FEATURE_X2APIC = TL_NR_FEATURES };

/* What trust= can name. */
enum boot_trust { BOOT_TRUST_VIRTUAL_INTERRUPTS, BOOT_TRUST_POSTED_INTERRUPTS, BOOT_TRUST_XSAVES };

struct boot_options {
	char guests[CMDLINE_GUESTS_MAX][CMDLINE_NAME_MAX]; /* run only these; none named: all but the manual ones */
	size_t nr_guests;
	bool help, selftest, quiet, together, profile, monitor;
	uint64_t trace;                            /* mask of 1 << enum tl_trace_event */
	uint64_t trace_to;                         /* enum boot_trace_to */
	uint64_t mmio_level, tag_bits, generation; /* for struct tl_vm_config; 0: not given */
	uint64_t memory, vcpus;                    /* of every guest; 0: as its module says */
	uint64_t invalidate;                       /* 1 + enum tl_invalidate; 0: not given */
	struct hand_range ranges[ABI_HANDS];       /* mmio= */
	size_t nr_ranges;
	uint64_t crash;            /* enum boot_crash */
	uint64_t console;          /* enum boot_console */
	uint64_t screen;           /* enum boot_screen_use */
	uint64_t mitigations;      /* a bit for each enum tl_mitigation, and one for none; 0: what the CPU needs */
	uint64_t features_off;     /* enum tl_feature, and those above */
	uint64_t features_trusted; /* enum boot_trust */
};

/*
 * Reads the words of `line`. false: a word is unknown, malformed, out of its range or given twice, and `reason` holds a
 * sentence that names it, cut to `size` bytes. Context: any.
 */
bool cmdline_parse(const char *line, struct boot_options *options, char *reason, size_t size);

/* How the word with this index is written, and what it does; false: there are no more. Context: any. */
bool cmdline_describe(size_t index, char *usage, size_t usage_size, char *help, size_t help_size);

#endif
