/* SPDX-License-Identifier: MIT */
/*
 * What an exit costs under a hypervisor that executes VMX for ours, and how much of that is Trapline's: a read of a
 * device and a doorbell, and the same read where the least of all handlers skips it, which only the image of
 * tests/bench has. tools/bench reads the figures; the bar is checked here, too.
 */
#include "guest/stubs/lib.h"
#include "guest/stubs/ticks.h"

/* Of the bare exit: what Trapline may add to it. */
enum { MOST_PERCENT = 105 };

static uint32_t samples[SAMPLES];

/* Prints the samples as `name`, less the reading of the counter, and returns their median. */
static uint64_t report(const char *name, uint64_t base)
{
	uint64_t median = vmcall(HC_SAMPLES, (uint64_t)name, (uint64_t)samples, SAMPLES, base);

	CHECK(median != HC_FAILED);
	return median - base;
}

/* The first samples are taken cold: the last ones take their places. */
#define SAMPLE(sample)                                           \
	do {                                                     \
		for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++) \
			samples[n % SAMPLES] = (sample);         \
	} while (0)

static void set_bare(bool bare)
{
	CHECK_EQUAL(vmcall(HC_BARE_EXITS, bare, 0, 0, 0), 0);
}

/* Neither the hypervisor nor the device saw any of these. */
static uint64_t measure_bare(uint64_t pair, uint64_t at)
{
	struct abi_stats before = lib_stats(), after;

	set_bare(true);
	SAMPLE(TICKS(READ, at));
	set_bare(false);
	after = lib_stats();
	CHECK_EQUAL(after.fresh + after.stale, before.fresh + before.stale);
	return report("nested_bare_exit_ticks", pair);
}

static uint64_t measure(const char *name, uint64_t pair, bool write, uint64_t at)
{
	uint64_t before = lib_stats().fresh;

	if (write)
		SAMPLE(TICKS(WRITE, at));
	else
		SAMPLE(TICKS(READ, at));
	CHECK_EQUAL(lib_stats().fresh - before, WARM_UP + SAMPLES);
	return report(name, pair);
}

int main(const struct mb1_info *info)
{
	uint64_t pair, bare, read, doorbell;

	(void)info;
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_PLAIN0, DEVICE_PLAIN0_AT), 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_BELL0, DEVICE_BELL0_AT), 0);
	read32(DEVICE_PLAIN0_AT);
	write32(DEVICE_BELL0_AT, 0);
	SAMPLE(TICKS(EMPTY, 0));
	pair = report("nested_rdtsc_pair_ticks", 0);
	bare = measure_bare(pair, DEVICE_PLAIN0_AT);
	read = measure("nested_mmio_read32_ticks", pair, false, DEVICE_PLAIN0_AT);
	doorbell = measure("nested_doorbell_ticks", pair, true, DEVICE_BELL0_AT);
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings, WARM_UP + SAMPLES + 1);
	CHECK(read * 100 <= bare * MOST_PERCENT);
	CHECK(doorbell * 100 <= bare * MOST_PERCENT);
	return 0;
}
