/* SPDX-License-Identifier: MIT */
/*
 * Crosses the generation's wrap under load. The trap it sets: an entry is left behind untouched for about as many
 * changes as there are tags, so that its tag comes round again; if a wrap zapped too little, that entry would be taken
 * for fresh and the device would answer where it no longer is.
 */
#include "guest/stubs/lib.h"

enum { DEFAULT_CROSSINGS = 1, DEFAULT_TAGS = 48, ROUNDS_A_LOOK = 8 };

/* Pages that do not meet in a small cache, so that a wrongly fresh entry goes the short way to the device. */
#define HOME_AT 0xd0101000ull
#define AWAY_AT 0xd0203000ull

static uint32_t written;

static void use(uint64_t at)
{
	written = (uint32_t)lib_random();
	write32(at + 0x10, written);
	CHECK_EQUAL(read32(at + 0x10), written);
}

/* A change that leaves the entries of HOME_AT and AWAY_AT alone until their tags come round. */
static void change(uint64_t i)
{
	uint64_t in_callback = i & 1;

	CHECK_EQUAL(vmcall(HC_EDIT, EDIT_INVALIDATE, DEVICE_BANK0, 0, in_callback), 0);
	write32(DEVICE_BANK0_AT, (uint32_t)i);
	CHECK_EQUAL(read32(DEVICE_BANK0_AT), (uint32_t)i);
}

/* Each round leaves another number of changes between making an entry and using it again: 1 to twice the tags. */
static void round_trip(uint64_t changes)
{
	use(HOME_AT);
	CHECK_EQUAL(read32(AWAY_AT), UINT32_MAX);
	CHECK_EQUAL(lib_edit(EDIT_MOVE, DEVICE_MOVER, AWAY_AT), 0);
	for (uint64_t i = 0; i < changes; i++)
		change(i);
	if (changes > 1)
		CHECK(vmcall(HC_PLAN_STATUS, 0, 0, 0, 0) <= 1);
	CHECK_EQUAL(read32(HOME_AT + 0x10), UINT32_MAX);
	CHECK_EQUAL(read32(AWAY_AT + 0x10), written);
	CHECK_EQUAL(lib_edit(EDIT_MOVE, DEVICE_MOVER, HOME_AT), 0);
}

int main(const struct mb1_info *info)
{
	uint64_t crossings = lib_number(info, "crossings=", DEFAULT_CROSSINGS);
	uint64_t tags = lib_number(info, "tags=", DEFAULT_TAGS);
	uint64_t rounds = 0;

	CHECK_EQUAL(lib_edit(EDIT_MOVE, DEVICE_MOVER, HOME_AT), 0);
	/* Statistics take the host longer than a round trip: not after each. */
	do {
		for (unsigned i = 0; i < ROUNDS_A_LOOK; i++)
			round_trip(1 + rounds++ % (2 * tags));
	} while (lib_stats().wraps < crossings);
	CHECK(lib_stats().zapped > 0);
	return 0;
}
