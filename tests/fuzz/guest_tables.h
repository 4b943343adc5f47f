/* SPDX-License-Identifier: MIT */
/* What stands in the memory of the guest of fuzz_engine.c before the input changes it. */
#ifndef FUZZ_GUEST_TABLES_H
#define FUZZ_GUEST_TABLES_H

#include <stdint.h>

enum { GUEST_GDT_BYTES = 0x100, GUEST_LDT_AT = 0x400 /* in PAGE_GDT */ };

/* Page tables of every paging mode, a GDT and an LDT; zeros elsewhere. `memory` is GUEST_RAM_BYTES long. */
void guest_tables_write(uint8_t *memory);

/* Entry `index` of the table on that page; `table` PAGE_PML5 to PAGE_PT32. Returns the offset of its 8-byte word. */
unsigned guest_table_word(unsigned table, unsigned index);

#endif
