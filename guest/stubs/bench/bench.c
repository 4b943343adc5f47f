/* SPDX-License-Identifier: MIT */
/*
 * What one exit costs, in ticks between two readings of the time-stamp counter around it, less those of an empty pair.
 * With the word `trace` it brackets single warm exits with magic breakpoints (XCHG BX, BX) instead, for a trace of
 * instructions: after each line `trace: NAME` TRACED pairs of them, of which the last is the warmest. tools/bench reads
 * both.
 */
#include "guest/stubs/bench/bench.h"
#include <trapline.h>

enum { RANGES = 16, GROWN_RANGES = 1000 };

uint32_t samples[SAMPLES];
uint32_t elements[1000] __attribute__((used));

uint64_t rdtsc_pair;

uint64_t report_some(const char *name, uint64_t count, uint64_t base)
{
	uint64_t median = vmcall(HC_SAMPLES, (uint64_t)name, (uint64_t)samples, count, base);

	CHECK(median != HC_FAILED);
	return median;
}

static uint64_t report(const char *name, uint64_t base)
{
	return report_some(name, SAMPLES, base);
}

static uint64_t verdicts(bool fresh)
{
	struct abi_stats stats = lib_stats();

	return fresh ? stats.fresh : stats.stale;
}

static void check_verdicts(uint64_t before, uint64_t after, uint64_t count)
{
	CHECK_EQUAL(after - before, count * (WARM_UP + SAMPLES));
}

uint64_t time_edit(enum abi_edit edit, enum abi_device_id device, uint64_t operand)
{
	uint64_t ticks = vmcall(HC_TIME_EDIT, edit, device, operand, 0);

	CHECK(ticks != HC_FAILED);
	return ticks;
}

/* The address, after all entries were made stale. */
uint64_t invalidated(uint64_t address)
{
	CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_PLAIN0, 0), 0);
	return address;
}

/* The address, after another page has taken its place in the cache of where pages' entries are. */
uint64_t evicted(uint64_t address)
{
	uint64_t other = DEVICE_BANK0_AT;

	_Static_assert((DEVICE_BANK0_AT >> 12 & 15) == (DEVICE_PLAIN0_AT >> 12 & 15), "one place for both");
	_Static_assert((DEVICE_BANK0_AT >> 12 & 15) == (DEVICE_BELL0_AT >> 12 & 15), "one place for both");
	read32(other);
	return address;
}

/* The address, after another range has changed. */
uint64_t after_other_commit(uint64_t address)
{
	static unsigned commits;

	CHECK_EQUAL(lib_edit(EDIT_MOVE, DEVICE_BANK1, commits++ & 1 ? DEVICE_BANK1_AT : DEVICE_SPARE_AT), 0);
	return address;
}

/* The address, after what was written there has reached the device. */
uint64_t drained(uint64_t address)
{
	read32(address);
	return address;
}

/* The measured devices take the places of two others in the map, so that it keeps its RANGES. */
static void add_plain_devices(void)
{
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_BANK2, 0), 0);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_BANK3, 0), 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_PLAIN0, DEVICE_PLAIN0_AT), 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_PLAIN1, DEVICE_PLAIN1_AT), 0);
	/* It comes and goes: what is measured before and after is so with the same number of slots. */
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_SPARE, DEVICE_SPARE_AT), 0);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_SPARE, 0), 0);
	CHECK_EQUAL(lib_stats().ranges, RANGES);
}

/* A device that is measured is a device: registers keep what is written, in every size. */
static void check_device(uint64_t at)
{
	write32(at + 0x10, 0x600df00d);
	write16(at + 0x12, 0xbeef);
	write8(at + 0x11, 0x5a);
	CHECK_EQUAL(read32(at + 0x10), 0xbeef5a0d);
	write64(at + 0x18, 0x0123456789abcdef);
	CHECK_EQUAL(read16(at + 0x1c), 0x4567);
	CHECK_EQUAL(read8(at + 0x1f), 0x01);
	CHECK_EQUAL(read64(at + 0x18), 0x0123456789abcdef);
}

uint8_t sites[SAMPLES + WARM_UP][SITE_SIZE] __attribute__((aligned(4096)));

void make_sites(void)
{
	size_t length = (size_t)(read_site_end - read_site);

	CHECK(length <= SITE_SIZE);
	for (unsigned i = 0; i < SAMPLES + WARM_UP; i++)
		__builtin_memcpy(sites[i], read_site, length);
}

/* Each site is used again at once: then it is kept. */
static uint32_t second_ticks(uint32_t n)
{
	ticks_at(sites[n], DEVICE_PLAIN0_AT);
	return ticks_at(sites[n], DEVICE_PLAIN0_AT);
}

/* A copy of read_site whose access ends `beyond` bytes behind the end of a page. */
const uint8_t *site_at_page_end(size_t beyond)
{
	static uint8_t pages[2][4096] __attribute__((aligned(4096)));
	uint8_t *site = pages[1] + beyond - (read_site_access_end - read_site);

	__builtin_memcpy(site, read_site, (size_t)(read_site_end - read_site));
	return site;
}

/* First, while there are no other MMIO entries than those that are asked for. */
static void measure_invalidation(void)
{
	static const char *const name[] = {"invalidate_all_ticks_1", "invalidate_all_ticks_1000",
					   "invalidate_all_ticks_50000"};
	static const uint64_t live[] = {1, 1000, 50000};
	uint64_t touched = 0;

	for (unsigned i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		for (; touched < live[i]; touched++)
			read8(DEVICE_HUGE_AT + (touched << 12));
		CHECK_EQUAL(lib_stats().live_mmio_entries, live[i]);
		SAMPLE(time_edit(EDIT_INVALIDATE, DEVICE_HUGE, 0));
		CHECK_EQUAL(lib_stats().live_mmio_entries, live[i]);
		report(name[i], 0);
	}
}

/* A range that is removed has a fresh entry, if entries are `live` at all. Returns the median of the additions. */
static uint64_t measure_adds(const char *add, const char *remove, bool live)
{
	static uint32_t adds[SAMPLES];

	for (unsigned i = 0; i < SAMPLES; i++) {
		adds[i] = (uint32_t)time_edit(EDIT_ADD, DEVICE_SPARE, DEVICE_SPARE_AT);
		if (live)
			read32(DEVICE_SPARE_AT);
		samples[i] = (uint32_t)time_edit(EDIT_REMOVE, DEVICE_SPARE, 0);
	}
	report(remove, 0);
	__builtin_memcpy(samples, adds, sizeof(samples));
	return report(add, 0);
}

/* The entries of measure_invalidation() live on. */
static uint64_t measure_commits(void)
{
	SAMPLE(time_edit(EDIT_MOVE, DEVICE_BANK1, n & 1 ? DEVICE_BANK1_AT : DEVICE_SPARE_AT));
	report("commit_move_ticks", 0);
	return measure_adds("commit_add_ticks", "commit_remove_mmio_ticks", true);
}

/* The same for memory that is mapped, by one leaf: first the fault that maps it. */
static void measure_memory(void)
{
	static uint32_t removals[SAMPLES];

	for (unsigned i = 0; i < SAMPLES; i++) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, DEVICE_MEMORY0_AT), 0);
		samples[i] = TICKS(READ, DEVICE_MEMORY0_AT);
		removals[i] = (uint32_t)time_edit(EDIT_REMOVE, DEVICE_MEMORY0, 0);
	}
	report("ram_fault_ticks", rdtsc_pair);
	CHECK(lib_stats().live_mmio_entries >= 50000);
	__builtin_memcpy(samples, removals, sizeof(samples));
	report("commit_remove_ram_ticks_50000", 0);
}

/* What each further range adds to a commit, which copies the map; rounded up. */
static void measure_large_map(uint64_t add)
{
	uint64_t more =
		measure_adds("commit_add_1000_ranges_ticks", "commit_remove_mmio_1000_ranges_ticks", true) - add;

	samples[0] = (uint32_t)((more + (GROWN_RANGES - RANGES) - 1) / (GROWN_RANGES - RANGES));
	report_some("commit_per_range_ticks", 1, 0);
}

static void measure_exits(void)
{
	uint64_t zero_pair;

	SAMPLE(TICKS(EMPTY, 0));
	rdtsc_pair = report("rdtsc_pair_ticks", 0);
	SAMPLE(TICKS(ZERO, 0));
	zero_pair = report("rdtsc_pair_zero_ticks", 0);
	SAMPLE(TICKS(VMCALL, 0));
	report("vmcall_ticks", zero_pair);
	SAMPLE(TICKS(CPUID, 0));
	report("cpuid_ticks", zero_pair);
}

static void measure_accesses(void)
{
	const uint8_t *site;

	check_device(DEVICE_PLAIN0_AT);
	check_device(DEVICE_PLAIN1_AT);
	read32(DEVICE_BANK0_AT);
	SAMPLE_ACCESS("mmio_read32_ticks", TICKS(READ, DEVICE_PLAIN0_AT), true);
	SAMPLE_ACCESS("mmio_write32_ticks", TICKS(WRITE, DEVICE_PLAIN0_AT), true);
	SAMPLE_ACCESS("mmio_read8_ticks", TICKS(READ8, DEVICE_PLAIN0_AT), true);
	SAMPLE_ACCESS("mmio_test32_ticks", TICKS(TEST, DEVICE_PLAIN0_AT), true);
	SAMPLE_ACCESS("mmio_alternating_pages_ticks", TICKS(READ, n & 1 ? DEVICE_PLAIN1_AT : DEVICE_PLAIN0_AT), true);
	make_sites();
	SAMPLE_ACCESS("mmio_cold_rip_ticks", ticks_at(sites[n], DEVICE_PLAIN0_AT), true);
	SAMPLE_ACCESSES("mmio_second_rip_ticks", second_ticks(n), true, 2);
	site = site_at_page_end(0);
	SAMPLE_ACCESS("mmio_page_end_ticks", ticks_at(site, DEVICE_PLAIN0_AT), true);
	site = site_at_page_end(2);
	SAMPLE_ACCESS("mmio_straddling_code_ticks", ticks_at(site, DEVICE_PLAIN0_AT), true);
	SAMPLE_EACH("clustered_store_ticks", TICKS(STORES, DEVICE_PLAIN0_AT), 16, 16);
	SAMPLE_EACH("clustered_made_store_ticks", TICKS(MADE_STORES, DEVICE_PLAIN0_AT), 16, 16);
	write32(DEVICE_PLAIN0_AT + 0x10, 0);
	SAMPLE_EACH("read_loop_per_iteration_ticks", TICKS(READ_LOOP, DEVICE_PLAIN0_AT), TURNS, TURNS);
	SAMPLE_EACH("poll_loop_per_iteration_ticks", TICKS(POLL_LOOP, DEVICE_PLAIN0_AT), TURNS, TURNS);
	SAMPLE_EACH("poll_memory_per_iteration_ticks", TICKS(POLL_MEMORY, DEVICE_PLAIN0_AT), TURNS, TURNS);
	SAMPLE_EACH("rep_movsd_per_element_ticks", TICKS(SEND(1000), DEVICE_PLAIN0_AT), 1000, 1);
	SAMPLE_EACH("rep_movsd_64_per_element_ticks", TICKS(SEND(64), DEVICE_PLAIN0_AT), 64, 1);
	SAMPLE_EACH("rep_movsd_receive_per_element_ticks", TICKS(RECEIVE(1000), DEVICE_PLAIN0_AT), 1000, 1);
	SAMPLE_EACH("rep_movsd_receive_64_per_element_ticks", TICKS(RECEIVE(64), DEVICE_PLAIN0_AT), 64, 1);
	SAMPLE_ACCESS("mmio_read32_verified_ticks", TICKS(READ, DEVICE_BANK0_AT), true);
	SAMPLE_ACCESS("stale_total_ticks", TICKS(READ, invalidated(DEVICE_PLAIN0_AT)), false);
	read32(DEVICE_BANK0_AT);
	SAMPLE_ACCESSES("mmio_evicted_ticks", TICKS(READ, evicted(DEVICE_PLAIN0_AT)), true, 2);
	SAMPLE_ACCESS("mmio_after_other_commit_ticks", TICKS(READ, after_other_commit(DEVICE_PLAIN0_AT)), true);
}

/* Ranges that the map holds only while they are measured: what changes it is measured with RANGES in it. */
static const struct {
	enum abi_device_id device;
	uint64_t at;
} other_kinds[] = {
	{DEVICE_PLAINEMB, DEVICE_PLAINEMB_AT}, {DEVICE_BELL0, DEVICE_BELL0_AT}, {DEVICE_BELL1, DEVICE_BELL1_AT},
	{DEVICE_SHADOW, DEVICE_SHADOW_AT},     {DEVICE_SIZED, DEVICE_SIZED_AT}, {DEVICE_COALESCED, DEVICE_COALESCED_AT},
};

enum { NR_OTHER_KINDS = sizeof(other_kinds) / sizeof(other_kinds[0]) };

void add_other_kinds(void)
{
	for (unsigned i = 0; i < NR_OTHER_KINDS; i++) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, other_kinds[i].device, other_kinds[i].at), 0);
		write32(other_kinds[i].at, 0);
	}
}

void remove_other_kinds(void)
{
	for (unsigned i = 0; i < NR_OTHER_KINDS; i++)
		CHECK_EQUAL(lib_edit(EDIT_REMOVE, other_kinds[i].device, 0), 0);
}

static void measure_other_kinds(void)
{
	add_other_kinds();
	SAMPLE_ACCESS("embedder_read_ticks", TICKS(READ, DEVICE_PLAINEMB_AT), true);
	SAMPLE_ACCESS("embedder_write_ticks", TICKS(WRITE, DEVICE_PLAINEMB_AT), true);
	SAMPLE_ACCESS("doorbell_ticks", TICKS(WRITE, DEVICE_BELL0_AT), true);
	SAMPLE_ACCESS("doorbell_alternating_ticks", TICKS(WRITE, n & 1 ? DEVICE_BELL1_AT : DEVICE_BELL0_AT), true);
	SAMPLE_ACCESSES("doorbell_evicted_ticks", TICKS(WRITE, evicted(DEVICE_BELL0_AT)), true, 2);
	CHECK_EQUAL(lib_device(DEVICE_BELL0).rings + lib_device(DEVICE_BELL1).rings, 3 * (WARM_UP + SAMPLES) + 2);
	SAMPLE_ACCESS("doorbell_decoded_ticks", TICKS(WRITE, DEVICE_SHADOW_AT), true);
	CHECK_EQUAL(lib_device(DEVICE_SHADOW).rings, WARM_UP + SAMPLES + 1);
	SAMPLE_ACCESS("sized_read32_ticks", TICKS(READ, DEVICE_SIZED_AT), true);
	SAMPLE_ACCESSES("coalesced_write_ticks", TICKS(WRITE, drained(DEVICE_COALESCED_AT)), true, 2);
	remove_other_kinds();
}

static void measure_trace(void)
{
	CHECK_EQUAL(vmcall(HC_TRACE, EVENTS_OF_ACCESS, 0, 0, 0), 0);
	SAMPLE_ACCESS("mmio_read32_traced_ticks", TICKS(READ, DEVICE_PLAIN0_AT), true);
	CHECK_EQUAL(vmcall(HC_TRACE, 0, 0, 0, 0), 0);
}

static void measure(void)
{
	uint64_t add;

	samples[0] = (uint32_t)lib_stats().ranges;
	report_some("map_ranges", 1, 0);
	measure_adds("commit_add_0_live_ticks", "commit_remove_mmio_0_live_ticks", false);
	measure_invalidation();
	measure_exits();
	measure_accesses();
	add = measure_commits();
	measure_memory();
	measure_other_kinds();
	measure_logs();
	measure_sizes();
	measure_trace();
	CHECK_EQUAL(vmcall(HC_GROW, GROWN_RANGES, 0, 0, 0), 0);
	CHECK_EQUAL(lib_stats().ranges, GROWN_RANGES);
	measure_large_map(add);
	read32(DEVICE_PLAIN0_AT);
	SAMPLE_ACCESS("mmio_read32_1000_ranges_ticks", TICKS(READ, DEVICE_PLAIN0_AT), true);
	CHECK_EQUAL(lib_stats().wraps, 0);
}

int main(const struct mb1_info *info)
{
	add_plain_devices();
	if (lib_word(info, "trace"))
		trace();
	else if (lib_word(info, "vectors"))
		measure_vectors();
	else
		measure();
	return 0;
}
