/* SPDX-License-Identifier: MIT */
#ifndef BOOT_IDT_H
#define BOOT_IDT_H

#include <stdint.h>

/* Loads the IDT and masks the PIC. From here on an exception ends the run with a report. Precondition: gdt_init(). */
void idt_init(void);

/* NMIs, and interrupts, that were taken and had nothing to say. */
extern uint64_t idt_nmis, idt_interrupts;

#endif
