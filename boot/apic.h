/* SPDX-License-Identifier: MIT */
/* The local APIC, as xAPIC or x2APIC: interrupts from one CPU to another (SDM vol. 3, chapter 11). */
#ifndef BOOT_APIC_H
#define BOOT_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* What an interrupt command does to the CPU that gets it, SDM vol. 3, 11.6.1. Start-up: the page's number is added. */
enum {
	APIC_FIXED = 0x4000,
	APIC_NMI = 0x4400,
	APIC_INIT = 0x4500,
	APIC_STARTUP = 0x4600,
};

/*
 * Finds out which form the machine is to use, the same for all CPUs: x2APIC where the CPU has it, since it needs no
 * memory and reaches every ID, unless it is turned off; or it is locked (SDM vol. 3, 11.12.2), whatever is turned off.
 * false: there is no local APIC, or its registers cannot be mapped. Precondition: paging_init(). Context: the first
 * CPU.
 */
bool apic_init(bool x2apic_off);

/* "xAPIC" or "x2APIC"; NULL where none can be used, and nothing is sent. */
const char *apic_form(void);

/* Turns the calling CPU's APIC on, in that form, for kicks only. Precondition: apic_init(). Context: each CPU. */
void apic_enable(void);

/* The calling CPU's ID. Precondition: apic_enable() on it. */
uint32_t apic_id(void);

/* Whether an ID can be reached: xAPIC has 8 bits for it, the last of which mean everybody. */
bool apic_reaches(uint32_t id);

/*
 * Sends one of the above, with a vector, to the CPU with this ID. Everything stored before is seen by the CPU that
 * takes it. Context: any, interrupts off.
 */
void apic_send(uint32_t id, uint32_t command);

/* Measures the timer's rate by the TSC. Precondition: apic_enable(). Context: the first CPU, once. */
void apic_calibrate_timer(void);

/* As struct tl_hooks' arm_timer: the interrupt is a kick without a sender. Context: any, interrupts off. */
bool apic_arm_timer(uint64_t tsc_ticks);

/*
 * Says that the interrupt in service is done, if the APIC is in use by then: before, apic_enable() does it. Called by
 * boot/start.asm.
 */
void apic_end_interrupt(void);

#endif
