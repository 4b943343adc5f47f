/* SPDX-License-Identifier: MIT */
/* Addresses that nothing claims: reads give all ones, writes go nowhere, and both are counted. */
#include "guest/stubs/lib.h"

enum { ROUNDS = 40 };

static uint64_t reads, writes;

static void check_hole(uint64_t at)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		CHECK_EQUAL(lib_read(at, size), lib_mask(size));
		lib_write(at, lib_random(), size);
		CHECK_EQUAL(lib_read(at, size), lib_mask(size));
		reads += 2;
		writes++;
	}
}

/* What lies beside a hole on one page is not touched by what is written into the hole. */
static void check_neighbours(void)
{
	write64(DEVICE_SHARED0_AT + 0x3f8, 0x0123456789abcdef);
	write64(DEVICE_SHARED1_AT, 0xfedcba9876543210);
	check_hole(DEVICE_SHARED0_AT + 0x400);
	check_hole(DEVICE_SHARED1_AT - 8);
	CHECK_EQUAL(read64(DEVICE_SHARED0_AT + 0x3f8), 0x0123456789abcdef);
	CHECK_EQUAL(read64(DEVICE_SHARED1_AT), 0xfedcba9876543210);
}

int main(const struct mb1_info *info)
{
	const uint64_t places[] = {
		0xa0000,
		DEVICE_LOW_AT - 8,
		DEVICE_LOW_AT + 0x1000,
		0x100000 - 8,
		0x100000 + ((uint64_t)info->mem_upper << 10), /* right behind RAM */
		0x40000000,
		DEVICE_BANK0_AT - 8,
		DEVICE_BANK3_AT + 0x1000,
		ABI_HOLE,
		ABI_HOLE + 0x123450,
		DEVICE_LARGE_AT + (64 << 20),
		0x100000000 - 8,
	};
	struct abi_stats before = lib_stats(), after;

	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned p = 0; p < sizeof(places) / sizeof(places[0]); p++)
			check_hole(places[p]);
		check_neighbours();
	}
	after = lib_stats();
	CHECK_EQUAL(after.hole_reads - before.hole_reads, reads);
	CHECK_EQUAL(after.hole_writes - before.hole_writes, writes);
	return 0;
}
