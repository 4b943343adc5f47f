/* SPDX-License-Identifier: MIT */
/* The guests of a run: which modules they are, which of them run, and the table of how they ended. */
#ifndef BOOT_GUESTS_H
#define BOOT_GUESTS_H

#include "boot/cmdline.h"
#include "boot/multiboot.h"

/*
 * Takes the modules over as guests. false: there is no module, one has no name, guest= names none of them, or none is
 * left to run, and `reason` holds a sentence. Nothing has run then. Context: one CPU, once.
 */
bool guests_init(const struct boot_info *info, const struct boot_options *options, char *reason, size_t size);

/* Runs the guests that the options select, one after the other or `together`, and prints a row for each. Preconditions:
 * guests_init(), tl_cpu_up(). */
void guests_run(const struct boot_options *options, unsigned *passed, unsigned *failed);

#endif
