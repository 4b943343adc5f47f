/* SPDX-License-Identifier: MIT */
/*
 * Has the host damage an EPT entry of a page that was just used, and uses the page again. The word says how. What still
 * is an MMIO entry, or none, is made again; everything else must end this guest, and only it (expect=bug). Runs in the
 * image of the system tests only.
 */
#include "guest/stubs/lib.h"

#define ALL     UINT64_MAX
#define NOTHING 0ull

struct damage {
	const char *word;
	unsigned level;
	uint64_t keep, set;
};

static const struct damage damages[] = {
	/* Ends the guest. */
	{"write-only", 1, NOTHING, 0x2},
	{"write-execute", 1, ~(1ull << 62), 0},               /* 110b, without the layout's mark */
	{"reserved-address", 1, NOTHING, 0x000f000000000037}, /* a readable page beyond MAXPHYADDR */
	{"memory-type", 1, NOTHING, 0x17},                    /* type 2 does not exist */
	{"table-address", 2, ALL, 1ull << 51},                /* a table beyond MAXPHYADDR */
	{"table-reserved", 2, ALL, 1ull << 3},                /* bits 6:3 of a pointer to a table are 0 */
	{"large-type", 2, NOTHING, 0x97},                     /* a 2 MiB page of type 2 */
	{"top", 4, ALL, 1ull << 7},                           /* no page is as large as a PML4 entry's span */
	/* Is repaired. */
	{"zapped", 1, NOTHING, 0},
	{"unknown-range", 1, ALL, 0xfffffull << 12},
	{"other-tag-low", 1, ~(1ull << 3), 0},
	{"other-tag-high", 1, ~(1ull << 61), 0},
	{"other-range", 1, ~(0xfffffull << 12), 0}, /* the hole's id with another range's tag */
};

static void corrupt(const struct damage *damage)
{
	static volatile struct abi_corruption how;

	how.level = damage->level;
	how.keep = damage->keep;
	how.set = damage->set;
	write32(DEVICE_BANK0_AT, 0x12345678);
	CHECK_EQUAL(vmcall(HC_CORRUPT, DEVICE_BANK0_AT, (uint64_t)&how, 0, 0), 0);
	CHECK_EQUAL(read32(DEVICE_BANK0_AT), 0x12345678);
}

int main(const struct mb1_info *info)
{
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++)
		if (lib_word(info, damages[i].word)) {
			corrupt(&damages[i]);
			return 0;
		}
	lib_print("corrupt: its words name no damage");
	return 1;
}
