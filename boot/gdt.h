/* SPDX-License-Identifier: MIT */
/* Segments and the task state: flat 64-bit code and data, and a TSS that gives three exceptions stacks of their own. */
#ifndef BOOT_GDT_H
#define BOOT_GDT_H

#include "boot/host_cpu.h"

enum { GDT_CODE = 0x08, GDT_DATA = 0x10, GDT_TSS = 0x18 };

/*
 * Loads the CPU's own table, its selectors, TR, which VMX wants nonzero (SDM vol. 3, 27.2.3), and GS's base. `cpu` is
 * the calling one. Precondition: its stacks are known. Context: host.
 */
void gdt_init(struct host_cpu *cpu);

#endif
