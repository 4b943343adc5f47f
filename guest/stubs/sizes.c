/* SPDX-License-Identifier: MIT */
/*
 * What lies beyond one page and one range: MMIO entries of 4 KiB, 2 MiB and 1 GiB, pages that ranges share, accesses
 * that straddle pages and ranges, and accesses that the embedder completes. level=1 to 3 tells how large entries may
 * be.
 */
#include "guest/stubs/lib.h"

#define PAGE  0x1000ull
#define LARGE (2ull << 20)
#define HUGE  (1ull << 30)

static uint64_t bytes_of_pattern(uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)abi_pattern(offset + i) << (8 * i);
	return value;
}

static void check_pattern(uint64_t device, uint64_t offset)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		CHECK_EQUAL(lib_read(device + offset, size), bytes_of_pattern(offset, size));
		lib_write(device + offset, ~bytes_of_pattern(offset, size), size);
	}
}

/* Touches `count` pages, `step` apart, and returns how many of the first accesses found no entry. */
static uint64_t count_entries(uint64_t device, uint64_t first, uint64_t step, unsigned count)
{
	uint64_t stale = lib_stats().stale;

	for (unsigned i = 0; i < count; i++)
		check_pattern(device, first + i * step);
	return lib_stats().stale - stale;
}

/* Each span of the device is entered once by an entry of the largest size that fits. */
static void check_levels(unsigned level)
{
	uint64_t live = lib_stats().live_mmio_entries;

	CHECK_EQUAL(count_entries(DEVICE_LARGE_AT, 0, PAGE, 16), level >= 2 ? 1 : 16);
	CHECK_EQUAL(count_entries(DEVICE_LARGE_AT, LARGE, LARGE, 8), 8);
	CHECK_EQUAL(count_entries(DEVICE_HUGE_AT, 0, PAGE, 16), level >= 2 ? 1 : 16);
	CHECK_EQUAL(count_entries(DEVICE_HUGE_AT, LARGE, LARGE, 16), level >= 3 ? 0 : 16);
	CHECK_EQUAL(count_entries(DEVICE_HUGE_AT, HUGE, HUGE - PAGE, 2), level >= 3 ? 1 : 2);
	CHECK_EQUAL(lib_stats().live_mmio_entries - live, level == 3 ? 9 + 2 : level == 2 ? 9 + 1 + 16 + 2 : 24 + 34);
	/* One store makes the large ones stale too. */
	CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_LARGE, 0), 0);
	CHECK_EQUAL(count_entries(DEVICE_HUGE_AT, 0, PAGE, 2), level >= 2 ? 1 : 2);
	CHECK_EQUAL(count_entries(DEVICE_LARGE_AT, 0, PAGE, 2), level >= 2 ? 1 : 2);
}

/* A device put into the middle of a hole that one large entry served, and taken out again. */
static void check_split_hole(void)
{
	const uint64_t at = 0x50000000;

	CHECK_EQUAL(read32(at), UINT32_MAX);
	CHECK_EQUAL(read32(at + PAGE), UINT32_MAX);
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_SPARE, at), 0);
		write32(at + 8, i);
		CHECK_EQUAL(read32(at - 8), UINT32_MAX);
		CHECK_EQUAL(read32(at + 8), i);
		CHECK_EQUAL(read32(at + PAGE), UINT32_MAX);
		CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_SPARE, 0), 0);
		CHECK_EQUAL(read32(at + 8), UINT32_MAX);
	}
}

/*
 * Accesses of 2 to 8 bytes across `border`, each one byte further over it. On a side that is a hole the bytes written
 * are lost and all ones come back.
 */
static void check_border(uint64_t border, bool hole_below, bool hole_above)
{
	for (unsigned size = 2; size <= 8; size *= 2) {
		for (unsigned below = 1; below < size; below++) {
			uint64_t at = border - below, value = lib_random();
			uint64_t low = lib_mask(below), wanted = value & lib_mask(size);

			if (hole_below)
				wanted |= low;
			if (hole_above)
				wanted |= lib_mask(size) & ~low;
			lib_write(at, value, size);
			CHECK_EQUAL(lib_read(at, size), wanted);
			for (unsigned i = 0; i < size; i++)
				CHECK_EQUAL(read8(at + i), wanted >> (8 * i) & 0xff);
		}
	}
}

static void check_borders(const struct mb1_info *info)
{
	uint64_t ram_end = 0x100000 + ((uint64_t)info->mem_upper << 10);

	check_border(DEVICE_STRADDLE_AT + PAGE, false, false); /* two pages, one range */
	check_border(DEVICE_NEIGHBOUR_AT, false, false);       /* one page, two ranges */
	check_border(DEVICE_BANK1_AT, false, false);           /* two pages, two ranges */
	check_border(DEVICE_STRADDLE_AT, true, false);         /* hole and range, two pages */
	check_border(DEVICE_BANK3_AT + PAGE, false, true);     /* range and hole, two pages */
	check_border(DEVICE_SHARED0_AT + 0x400, false, true);  /* range and hole, one page */
	check_border(DEVICE_SHARED1_AT, true, false);          /* hole and range, one page */
	check_border(ABI_HOLE, true, true);                    /* all hole */
	check_border(ram_end, false, true);                    /* RAM and hole */
	check_border(0x100000, true, false);                   /* hole and RAM */
	check_border(DEVICE_EMBEDDER_AT, true, false);         /* hole and what the embedder completes */
	check_border(DEVICE_EMBEDDER_AT + PAGE, false, true);
}

static void check_embedder(void)
{
	struct abi_device before = lib_device(DEVICE_EMBEDDER), after;
	unsigned pairs = 0;

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned offset = 0; offset < 16; offset++, pairs++) {
			uint64_t value = lib_random();

			lib_write(DEVICE_EMBEDDER_AT + 0x100 + offset, value, size);
			CHECK_EQUAL(lib_read(DEVICE_EMBEDDER_AT + 0x100 + offset, size), value & lib_mask(size));
		}
	}
	after = lib_device(DEVICE_EMBEDDER);
	CHECK_EQUAL(after.reads - before.reads, pairs);
	CHECK_EQUAL(after.writes - before.writes, pairs);
	CHECK_EQUAL(after.bytes_written - before.bytes_written, 16 * (1 + 2 + 4 + 8));
}

int main(const struct mb1_info *info)
{
	check_levels((unsigned)lib_number(info, "level=", 3));
	check_split_hole();
	check_embedder();
	check_borders(info);
	return 0;
}
