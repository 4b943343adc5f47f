/* SPDX-License-Identifier: MIT */
#ifndef BOOT_SELFCHECK_H
#define BOOT_SELFCHECK_H

#include "boot/cmdline.h"

/*
 * Commits the fault that was asked for, so that a test can see it caught; BOOT_CRASH_NONE returns at once. A host that
 * lets the fault pass ends the run with a sentence that says so.
 */
void selfcheck_crash(enum boot_crash crash);

/* The same for the fault that is another processor's. Precondition: smp_init(). */
void selfcheck_crash_other(enum boot_crash crash);

#endif
