/* SPDX-License-Identifier: MIT */
/* The self-test: what Trapline relies on, checked on each CPU, for people who try it on a machine for the first time.
 */
#ifndef BOOT_SELFTEST_H
#define BOOT_SELFTEST_H

#include "boot/multiboot.h"

/*
 * Runs the checks on all CPUs that run and prints two things: a block that a program reads (tools/selftest), and after
 * it one screen of 80 columns and at most 24 rows. Preconditions: smp_init(). Context: the first CPU.
 */
void selftest_report(const struct boot_info *info, unsigned *ok, unsigned *failed, unsigned *absent);

#endif
