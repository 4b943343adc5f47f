/* SPDX-License-Identifier: MIT */
/*
 * Instructions on MMIO that end with their page, or lie across two: of every length and at every place, again and
 * again, while their bytes on either page and the translation of either page change. The pages are mapped a second time
 * at CODE_AT, side by side, whatever they are; the last page of RAM is one of them.
 */
#include "guest/stubs/lib.h"

#define PAGE    0x1000ull
#define CODE_AT (1ull << 39) /* the second entry of the PML4: nothing is there */
#define DEVICE  DEVICE_BANK0_AT
#define PRESENT 3ull

enum { RUNS = 3, RET = 0xc3, LOADED = 0x89abcdef };

struct table {
	uint64_t entry[512];
} __attribute__((aligned(4096)));

static struct table pdpt, directory, table;
static uint8_t front[4096] __attribute__((aligned(4096))), back[4096] __attribute__((aligned(4096))),
	other[4096] __attribute__((aligned(4096)));

/* RSI is DEVICE, EAX what is stored. The datum of a store's immediate is its last 4 bytes. */
struct form {
	const char *bytes;
	uint8_t length;
	bool immediate; /* a store of one; the others load EAX */
};

static const struct form forms[] = {
	{"\x8b\x06", 2, false},
	{"\x8b\x46\x00", 3, false},
	{"\x2e\x8b\x46\x00", 4, false},
	{"\xc7\x06\x01\x02\x03\x04", 6, true},
	{"\xc7\x46\x00\x01\x02\x03\x04", 7, true},
	{"\x2e\xc7\x46\x00\x01\x02\x03\x04", 8, true},
	{"\x2e\x2e\xc7\x46\x00\x01\x02\x03\x04", 9, true},
	{"\xc7\x86\x00\x00\x00\x00\x01\x02\x03\x04", 10, true},
	{"\xc7\x84\x26\x00\x00\x00\x00\x01\x02\x03\x04", 11, true},
	{"\x2e\x2e\x2e\x2e\xc7\x84\x26\x00\x00\x00\x00\x01\x02\x03\x04", 15, true},
};

static void map(unsigned page, const uint8_t *memory)
{
	uint64_t at = CODE_AT + page * PAGE;

	table.entry[page] = (uint64_t)memory | PRESENT;
	__asm__ volatile("invlpg (%0)" : : "r"(at) : "memory");
}

static void make_tables(void)
{
	uint64_t *pml4;

	__asm__ volatile("mov %%cr3, %0" : "=r"(pml4));
	directory.entry[0] = (uint64_t)&table | PRESENT;
	pdpt.entry[0] = (uint64_t)&directory | PRESENT;
	pml4[1] = (uint64_t)&pdpt | PRESENT;
}

/* Puts one byte of the code where the first page, the second, or both have it. `second` stands for the second page. */
static void put(uint8_t *first, uint8_t *second, size_t at, uint8_t byte)
{
	if (at < PAGE)
		first[at] = byte;
	else
		second[at - PAGE] = byte;
}

static void put_form(uint8_t *first, uint8_t *second, const struct form *form, size_t at)
{
	for (unsigned i = 0; i < form->length; i++)
		put(first, second, at + i, (uint8_t)form->bytes[i]);
	put(first, second, at + form->length, RET);
}

static uint32_t run(size_t at)
{
	uint32_t eax = 0x11111111;

	/* BX is the guest's own: that the code changes it is found out below. */
	__asm__ volatile("call *%1" : "+a"(eax) : "r"(CODE_AT + at), "S"(DEVICE) : "memory");
	return eax;
}

static void check_load(size_t at, uint32_t value)
{
	for (unsigned i = 0; i < RUNS; i++) {
		write32(DEVICE, value + i);
		CHECK_EQUAL(run(at), value + i);
	}
}

static void check_store(size_t at, uint32_t value)
{
	for (unsigned i = 0; i < RUNS; i++) {
		write32(DEVICE, 0);
		CHECK_EQUAL(run(at), 0x11111111);
		CHECK_EQUAL(read32(DEVICE), value);
	}
}

/* The immediate's bytes change one after the other, on the page that they are on. */
static void check_rewritten(uint8_t *first, uint8_t *second, const struct form *form, size_t at)
{
	uint32_t value = 0x04030201;

	for (unsigned i = 0; i < 4; i++) {
		value ^= 0x80u << (8 * i);
		put(first, second, at + form->length - 4 + i, (uint8_t)(value >> (8 * i)));
		check_store(at, value);
	}
}

/* Another page takes the place of the second one, whose bytes are the same but for the last of the instruction. */
static void check_remapped(uint8_t *first, const struct form *form, size_t at)
{
	size_t last = at + form->length - 1;

	if (last < PAGE)
		return;
	put_form(first, other, form, at);
	other[last - PAGE] = 0x55;
	map(1, other);
	check_store(at, 0x55030201);
	map(1, back);
	check_store(at, 0x04030201);
	map(1, other);
	check_store(at, 0x55030201);
	map(1, back);
}

static void check_form(uint8_t *first, const struct form *form)
{
	for (size_t at = PAGE - 16; at <= PAGE; at++) {
		map(0, first);
		map(1, back);
		put_form(first, back, form, at);
		if (!form->immediate) {
			check_load(at, LOADED);
			continue;
		}
		check_store(at, 0x04030201);
		check_remapped(first, form, at);
		check_rewritten(first, back, form, at);
	}
}

/* The first page changes under a second one that stays: a load becomes one of another register. */
static void check_first_page(void)
{
	for (unsigned i = 0; i < RUNS; i++) {
		map(0, front);
		put_form(front, back, &forms[1], PAGE - 2);
		check_load(PAGE - 2, LOADED);
		/* MOV ESI's place is taken by MOV ECX: EAX keeps what it held. */
		front[PAGE - 1] = 0x4e;
		write32(DEVICE, LOADED);
		for (unsigned run_of = 0; run_of < RUNS; run_of++) {
			uint32_t eax = 0x11111111, ecx = 0;

			__asm__ volatile("call *%2"
					 : "+a"(eax), "+c"(ecx)
					 : "r"(CODE_AT + PAGE - 2), "S"(DEVICE)
					 : "memory");
			CHECK_EQUAL(eax, 0x11111111);
			CHECK_EQUAL(ecx, LOADED);
		}
		__builtin_memset(other, 0x90, PAGE);
		other[PAGE - 2] = 0x8b;
		other[PAGE - 1] = 0x46;
		map(0, other);
		check_load(PAGE - 2, LOADED);
	}
}

int main(const struct mb1_info *info)
{
	uint8_t *last_page = (uint8_t *)(0x100000 + ((uint64_t)info->mem_upper << 10) - PAGE);

	make_tables();
	write32(DEVICE, 0);
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		check_form(front, &forms[i]);
		check_form(last_page, &forms[i]);
	}
	check_first_page();
	return 0;
}
