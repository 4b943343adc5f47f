/* SPDX-License-Identifier: MIT */
/*
 * Uses the ranges that were added by hand, each as its kind is used, at its first and its last bytes, and tells what
 * was seen of it: by the guest, and by the hypervisor, which counts the accesses that had an exit.
 */
#include "guest/stubs/lib.h"

static const char *const names[] = {[ABI_HAND_RAM] = "ram",
				    [ABI_HAND_RING] = "ring",
				    [ABI_HAND_DOORBELL] = "doorbell",
				    [ABI_HAND_ROM] = "rom",
				    [ABI_HAND_DIRECT] = "direct"};

/* By `size` bytes at the start and at the end of a range. */
struct ends {
	uint64_t first, last;
	unsigned size;
};

/* start.asm maps to themselves what the platform's devices need. */
static void map(uint64_t address)
{
	enum { PRESENT_AND_WRITABLE = 3, LARGE = 0x80, LEVEL_LARGE = 2 };
	static uint64_t pool[4 * ABI_HANDS][512] __attribute__((aligned(4096)));
	static unsigned taken;
	uint64_t *entry, *table;

	__asm__ volatile("mov %%cr3, %0" : "=r"(table));
	for (unsigned level = 4;; level--) {
		entry = &table[address >> (12 + 9 * (level - 1)) & 511];
		if (level == LEVEL_LARGE || *entry & LARGE)
			break;
		if (!*entry)
			*entry = (uint64_t)pool[taken++] | PRESENT_AND_WRITABLE;
		table = (uint64_t *)(*entry & ~4095ull);
	}
	if (!*entry)
		*entry = (address & ~0x1fffffull) | LARGE | PRESENT_AND_WRITABLE;
}

static struct abi_hand hand(uint64_t number)
{
	struct abi_hand report;

	CHECK_EQUAL(vmcall(HC_HAND, number, (uint64_t)&report, 0, 0), 0);
	return report;
}

static struct ends ends_of(const struct abi_hand *range)
{
	unsigned size = 8;

	while (size > 1 && 2 * size > range->size)
		size /= 2;
	return (struct ends){range->start, range->start + range->size - size, size};
}

/* Both ends keep what is written, and bytes apart keep apart. */
static void write_and_read(const struct ends *at)
{
	uint64_t mask = lib_mask(at->size), value = lib_random() & mask;

	lib_write(at->last, value, at->size);
	CHECK_EQUAL(lib_read(at->last, at->size), value);
	lib_write(at->first, ~value & mask, at->size);
	CHECK_EQUAL(lib_read(at->first, at->size), ~value & mask);
	CHECK_EQUAL(lib_read(at->last, at->size), at->first == at->last ? ~value & mask : value);
}

static void use_ram(uint64_t number, const struct ends *at)
{
	write_and_read(at);
	CHECK_EQUAL(hand(number).writes, 2);
	CHECK_EQUAL(hand(number).reads, 3);
}

/* Writes wait in the ring until somebody reads. */
static void use_ring(uint64_t number, const struct ends *at)
{
	uint64_t coalesced = lib_stats().coalesced;

	for (uint64_t i = 1; i <= 10; i++)
		lib_write(at->first, i, at->size);
	CHECK_EQUAL(hand(number).writes, 0);
	CHECK_EQUAL(lib_stats().coalesced - coalesced, 10);
	CHECK_EQUAL(lib_read(at->first, at->size), 10);
	CHECK_EQUAL(hand(number).writes, 10);
	write_and_read(at);
	CHECK_EQUAL(hand(number).writes, 12);
}

static void use_doorbell(uint64_t number, const struct ends *at)
{
	for (unsigned i = 0; i < 10; i++)
		lib_write(i & 1 ? at->last : at->first, i, at->size);
	CHECK_EQUAL(hand(number).rings, 10);
}

/* No exit but for writes, and for the first read, which maps it. */
static void use_rom(uint64_t number, const struct ends *at)
{
	uint64_t exits;

	write_and_read(at);
	exits = lib_stats().exits;
	for (unsigned i = 0; i < 10; i++)
		lib_read(at->first, at->size);
	/* The one that asks. */
	CHECK_EQUAL(lib_stats().exits - exits, 1);
	CHECK_EQUAL(hand(number).writes, 2);
	CHECK_EQUAL(hand(number).reads, 0);
}

static void use_direct(uint64_t number, const struct ends *at)
{
	uint64_t exits;

	write_and_read(at);
	exits = lib_stats().exits;
	write_and_read(at);
	CHECK_EQUAL(lib_stats().exits - exits, 1);
	CHECK_EQUAL(hand(number).writes + hand(number).reads, 0);
}

static void tell(const struct abi_hand *range)
{
	struct lib_line line = {.length = 0};

	lib_line_text(&line, "0x");
	lib_line_number(&line, range->start, 16);
	lib_line_text(&line, ", 0x");
	lib_line_number(&line, range->size, 16);
	lib_line_text(&line, " bytes, ");
	lib_line_text(&line, names[range->kind]);
	lib_line_text(&line, ": with an exit ");
	lib_line_number(&line, range->reads, 10);
	lib_line_text(&line, " reads, ");
	lib_line_number(&line, range->writes, 10);
	lib_line_text(&line, " writes, ");
	lib_line_number(&line, range->rings, 10);
	lib_line_text(&line, " rings");
	lib_line_print(&line);
}

int main(const struct mb1_info *info)
{
	static void (*const uses[])(uint64_t number, const struct ends *at) = {[ABI_HAND_RAM] = use_ram,
									       [ABI_HAND_RING] = use_ring,
									       [ABI_HAND_DOORBELL] = use_doorbell,
									       [ABI_HAND_ROM] = use_rom,
									       [ABI_HAND_DIRECT] = use_direct};
	struct abi_hand range;
	uint64_t number;

	(void)info;
	for (number = 0; vmcall(HC_HAND, number, (uint64_t)&range, 0, 0) == 0; number++) {
		struct ends ends = ends_of(&range);

		map(ends.first);
		map(ends.last);
		uses[range.kind](number, &ends);
		range = hand(number);
		tell(&range);
	}
	if (!number)
		lib_print("there is no range by hand; add one with mmio=");
	return number == 0;
}
