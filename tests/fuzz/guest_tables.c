/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/guest_tables.h"
#include "tests/fuzz/guest.h"
#include <string.h>

enum { PAGE = 4096, ENTRY = 7 /* present, writable, the user's */, DATA_PAGE = PAGE_GDT + 1, DATA_PAGES = 2 };

static void put64(uint8_t *memory, unsigned at, uint64_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

static void put32(uint8_t *memory, unsigned at, uint32_t value)
{
	memcpy(memory + at, &value, sizeof(value));
}

static void write_page_tables(uint8_t *memory)
{
	put64(memory, PAGE_PML5 * PAGE, PAGE_PML4 * PAGE | ENTRY);
	put64(memory, PAGE_PML4 * PAGE, PAGE_PDPT * PAGE | ENTRY);
	put64(memory, PAGE_PDPT * PAGE, PAGE_PD * PAGE | ENTRY);
	put64(memory, PAGE_PD * PAGE, PAGE_PT * PAGE | ENTRY);
	put32(memory, PAGE_PD32 * PAGE, PAGE_PT32 * PAGE | ENTRY);
	for (unsigned i = 0; i < NR_MAPPED_PAGES; i++) {
		put64(memory, PAGE_PT * PAGE + 8 * i, i * PAGE | ENTRY);
		put32(memory, PAGE_PT32 * PAGE + 4 * i, i * PAGE | ENTRY);
	}
}

/* Descriptors that an instruction may load, of both privileges, and some that it may not. */
static void write_descriptors(uint8_t *memory)
{
	static const uint64_t descriptors[] = {
		0,
		0x00cf9a000000ffff, /* 08: code, 32 bits */
		0x00cf92000000ffff, /* 10: data */
		0x00cffa000000ffff, /* 18: code of the user's, 32 bits */
		0x00cff2000000ffff, /* 20: data of the user's */
		0x00affa000000ffff, /* 28: code of the user's, 64 bits */
		0x00af9a000000ffff, /* 30: code, 64 bits */
		0x00009e000000ffff, /* 38: conforming code, 16 bits */
		0x0000890000000067, /* 40: a TSS, in 64-bit mode with the next */
		0,
		0x0000820000007fff, /* 50: an LDT, likewise */
		0,
		0x0000ec0000080000, /* 60: a call gate */
		0x0000e50000080000, /* 68: a task gate */
		0x00cf12000000ffff, /* 70: data that is not present */
		0x00409600000000ff, /* 78: data, expand-down */
	};

	memcpy(memory + PAGE_GDT * PAGE, descriptors, sizeof(descriptors));
	memcpy(memory + PAGE_GDT * PAGE + GUEST_LDT_AT, descriptors, sizeof(descriptors));
}

/* What instructions find in memory: one selector after the other. */
static void write_data(uint8_t *memory)
{
	for (unsigned i = 0; i < DATA_PAGES * PAGE / 2; i++) {
		uint16_t selector = (uint16_t)((i & 15) << 3 | (i >> 4 & 3));

		memcpy(memory + DATA_PAGE * PAGE + 2 * i, &selector, sizeof(selector));
	}
}

void guest_tables_write(uint8_t *memory)
{
	memset(memory, 0, GUEST_RAM_BYTES);
	write_data(memory);
	write_page_tables(memory);
	write_descriptors(memory);
}

unsigned guest_table_word(unsigned table, unsigned index)
{
	return (table * PAGE + index * 8) % GUEST_RAM_BYTES;
}
