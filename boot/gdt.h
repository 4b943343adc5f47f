/* SPDX-License-Identifier: MIT */
/* Segments and the task state: flat 64-bit code and data, and a TSS that gives three exceptions stacks of their own. */
#ifndef BOOT_GDT_H
#define BOOT_GDT_H

enum { GDT_CODE = 0x08, GDT_DATA = 0x10, GDT_TSS = 0x18 };

/* Loads the table, its selectors and TR, which VMX wants nonzero (SDM vol. 3, 27.2.3). Context: host, one CPU. */
void gdt_init(void);

#endif
