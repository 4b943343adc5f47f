/* SPDX-License-Identifier: MIT */
/* The checks of the self-test that the library cannot make: those of the machine, and of one CPU beside another. */
#ifndef BOOT_SELFTEST_HOST_H
#define BOOT_SELFTEST_HOST_H

#include <trapline.h>

#include "boot/multiboot.h"

enum host_check {
	HOST_CHECK_TSC_RATE,   /* the TSC's rate, measured against the PIT, beside what CPUID says */
	HOST_CHECK_TSC_AGREES, /* the CPUs' TSCs beside each other */
	HOST_CHECK_NMI,        /* each is taken, in the host and while checks run, and changes nothing */
	HOST_CHECK_L1TF,       /* no memory where MMIO entries point a CPU with that fault */
	HOST_NR_CHECKS
};

struct host_selftest {
	struct tl_check_result check[HOST_NR_CHECKS];
	uint64_t tsc_hz, cpuid_tsc_hz; /* 0: unknown */
	uint64_t tsc_window;           /* the CPUs' TSCs differ by no more than so many ticks */
};

const char *host_check_name(enum host_check check);

/* Context: the first CPU, the others have no work. */
void host_selftest(const struct boot_info *info, struct host_selftest *report);

#endif
