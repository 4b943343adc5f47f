/* SPDX-License-Identifier: MIT */
/*
 * MSRs as a kernel uses them: the time-stamp counter moves with what is written to it, and RDTSC, which does not exit,
 * with it; what is kept reads back; the memory type ranges are as firmware leaves them; and another MSR of each kind.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/lib.h"

enum {
	MSR_TIME_STAMP_COUNTER = 0x10,
	MSR_TSC_ADJUST = 0x3b,
	MSR_MTRRCAP = 0xfe,
	MSR_MISC_ENABLE = 0x1a0,
	MISC_ENABLE_FAST_STRINGS = 1, /* as the CPU has them */
	MSR_MTRR_PHYSBASE0 = 0x200,
	MSR_MTRR_FIX64K = 0x250,
	MSR_MTRR_DEF_TYPE = 0x2ff,
	SOON = 100000, /* ticks, within which the next instructions run */
};
#define MSR_LSTAR          0xc0000082u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define FAR_AHEAD          0x123456789abcdull

static void check_time(void)
{
	uint64_t before = rdtsc(), adjust;

	CHECK_EQUAL(rdmsr(MSR_TSC_ADJUST), 0);
	wrmsr(MSR_TIME_STAMP_COUNTER, FAR_AHEAD);
	CHECK(rdtsc() - FAR_AHEAD < SOON);
	CHECK(rdmsr(MSR_TIME_STAMP_COUNTER) - FAR_AHEAD < SOON);
	adjust = rdmsr(MSR_TSC_ADJUST);
	CHECK(FAR_AHEAD - before - adjust < SOON);
	/* It can be put back by either of them. */
	wrmsr(MSR_TSC_ADJUST, 0);
	CHECK(rdtsc() - before < 10 * SOON);
	wrmsr(MSR_TSC_ADJUST, 1ull << 40);
	CHECK(rdtsc() - (1ull << 40) - before < 10 * SOON);
	wrmsr(MSR_TSC_ADJUST, 0);
}

static void check_kept(uint32_t msr, uint64_t value)
{
	uint64_t before = rdmsr(msr);

	wrmsr(msr, value);
	CHECK_EQUAL(rdmsr(msr), value);
	wrmsr(msr, before);
	CHECK_EQUAL(rdmsr(msr), before);
}

int main(const struct mb1_info *info)
{
	(void)info;
	check_time();
	CHECK_EQUAL(rdmsr(MSR_MTRRCAP), 0x508);
	CHECK_EQUAL(rdmsr(MSR_MTRR_DEF_TYPE), 0xc06);
	CHECK_EQUAL(rdmsr(MSR_MISC_ENABLE) | MISC_ENABLE_FAST_STRINGS, 0x1801);
	check_kept(MSR_MTRR_FIX64K, 0x0506010006060606);
	check_kept(MSR_MTRR_PHYSBASE0, 0xc0000000);
	check_kept(MSR_MTRR_PHYSBASE0 + 1, 0xfc0000800);
	check_kept(MSR_LSTAR, 0xffffffff81000000);
	check_kept(MSR_KERNEL_GS_BASE, 0xffff888000000000);
	return 0;
}
