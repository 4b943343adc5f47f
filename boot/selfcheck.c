/* SPDX-License-Identifier: MIT */
#include "boot/selfcheck.h"

#include <stddef.h>
#include <stdint.h>

#include "boot/halt.h"
#include "boot/smp.h"

/* In assembly, since each of these is undefined in C and a compiler may leave it out. */
static void crash_null(void)
{
	uint64_t value;

	__asm__ volatile("mov 8, %0" : "=r"(value));
}

static void crash_text(void)
{
	__asm__ volatile("movb $0x90, (%0)" : : "r"(selfcheck_crash) : "memory");
}

static void crash_data(void)
{
	static uint8_t code[] = {0xC3};

	__asm__ volatile("call *%0" : : "r"(code) : "memory");
}

static void crash_stack(void)
{
	__asm__ volatile("1: pushq $0\n\tjmp 1b");
}

void selfcheck_crash(enum boot_crash crash)
{
	switch (crash) {
	case BOOT_CRASH_NONE:
	case BOOT_CRASH_OTHER:
		return;
	case BOOT_CRASH_CHECK:
		__asm__ volatile("int $18" : : : "memory", "cc");
		return;
	case BOOT_CRASH_UD:
		__asm__ volatile("ud2");
		break;
	case BOOT_CRASH_NULL:
		crash_null();
		break;
	case BOOT_CRASH_TEXT:
		crash_text();
		break;
	case BOOT_CRASH_DATA:
		crash_data();
		break;
	case BOOT_CRASH_STACK:
		crash_stack();
		break;
	}
	host_exit(HOST_CANNOT_RUN, "the deliberate fault of crash= was not caught; this is a bug, please report it.");
}

static void overflow(void *context)
{
	(void)context;
	selfcheck_crash(BOOT_CRASH_STACK);
}

void selfcheck_crash_other(enum boot_crash crash)
{
	if (crash != BOOT_CRASH_OTHER)
		return;
	if (smp_nr_cpus() < 2)
		host_exit(HOST_CANNOT_RUN, "crash=other is for a second processor; give the machine one more.");
	smp_start(1, overflow, NULL);
	smp_wait(1);
}
