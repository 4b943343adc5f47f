/* SPDX-License-Identifier: MIT */
/* The machine's processors: found in ACPI's tables, started, and given work. */
#ifndef BOOT_SMP_H
#define BOOT_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/acpi.h"
#include "boot/multiboot.h"

/*
 * Starts every processor that ACPI lists, up to TL_MAX_CPUS, and calls tl_cpu_up() on each. One that does not answer,
 * or that the library refuses, is named on the console, and the run goes on without it. `apics` may list none: the
 * first CPU is alone then. `x2apic_off`: see apic_init(). Preconditions: tl_init() and tl_cpu_up() on the calling CPU,
 * which is the first. Context: once.
 */
void smp_init(const struct boot_info *info, const struct acpi_apics *apics, bool x2apic_off);

/* One line about the processors. */
void smp_describe(void);

/* How many CPUs run, the first one included. */
unsigned smp_nr_cpus(void);

/*
 * Has a CPU call function(context), interrupts off, and returns at once. `cpu` counts from 1 to smp_nr_cpus() - 1: the
 * calling CPU is 0 and works by itself. Precondition: it has nothing to do. Context: the first CPU.
 */
void smp_start(unsigned cpu, void (*function)(void *context), void *context);

/* Waits until it has done so. What it wrote is seen. Context: the first CPU. */
void smp_wait(unsigned cpu);

/* Turns VMX off on all CPUs but the calling one. Precondition: none of them has work. Context: the first CPU. */
void smp_stop(void);

/*
 * struct tl_hooks' arm_timer, by the timer that smp_idle() uses, too, and then gives back. Context: interrupts off.
 */
bool smp_arm_alarm(uint64_t tsc_ticks);

/*
 * Halts the calling CPU until the TSC reaches `tsc` (UINT64_MAX: whenever), a kick, or any other interrupt; it may
 * return at once. What is kicked for after the caller last looked ends it, since interrupts are off until the halt: a
 * precondition. Lets go of vCPUs that are asked for (tl_cpu_poll()).
 */
void smp_idle(uint64_t tsc);

/* Has the CPU with this number, as smp_start() counts, come back from smp_idle(). Context: any, interrupts off. */
void smp_wake(unsigned cpu);

/* An interrupt that makes a CPU leave its guest, or look for work. `index` is the library's number. Context: any. */
void smp_kick(unsigned index);

/* The notification of posted interrupts: struct tl_hooks' notify. */
void smp_notify(unsigned index);

#endif
