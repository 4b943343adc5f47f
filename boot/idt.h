/* SPDX-License-Identifier: MIT */
#ifndef BOOT_IDT_H
#define BOOT_IDT_H

#include <stdint.h>

/*
 * Vectors of the local APIC's: another CPU's kick, its notification of posted interrupts, and what the APIC takes back
 * (SDM vol. 3, 11.9).
 */
enum { IDT_VECTOR_KICK = 0xF0, IDT_VECTOR_NOTIFICATION = 0xF1, IDT_VECTOR_SPURIOUS = 0xFF };

/*
 * Fills and loads the IDT, which all CPUs share, and masks the PIC. From here on an exception ends the run with a
 * report. Precondition: gdt_init(). Context: the first CPU.
 */
void idt_init(void);

/* Loads it on another CPU. Preconditions: idt_init() on the first one, gdt_init() on this one. */
void idt_load(void);

/* NMIs, and interrupts, that were taken and had nothing to say. */
extern uint64_t idt_nmis, idt_interrupts;

#endif
