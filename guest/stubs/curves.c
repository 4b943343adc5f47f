/* SPDX-License-Identifier: MIT */
/*
 * How costs grow: with the number of live MMIO entries, and with the number of ranges in the map. In the way of the
 * guest bench, with fewer samples; tools/bench draws the curves.
 */
#include "guest/stubs/lib.h"
#include "guest/stubs/ticks.h"

enum { FEW = 200 };

/* A large doorbell: mmio=40G,4G,doorbell on the hypervisor's command line. A page that was touched has an MMIO entry.
 */
enum { LARGE_GIGABYTE = 40, LARGE_GIGABYTES = 4, PAGE_1G = 0x83 };
#define LARGE_AT ((uint64_t)LARGE_GIGABYTE << 30)

static uint32_t samples[FEW];

/* By pages of 1 GiB, which the CPU that is measured on has. */
static void map_large(void)
{
	uint64_t *table;

	__asm__ volatile("mov %%cr3, %0" : "=r"(table));
	table = (uint64_t *)(table[0] & ~0xfffull);
	for (uint64_t i = LARGE_GIGABYTE; i < LARGE_GIGABYTE + LARGE_GIGABYTES; i++)
		table[i] = i << 30 | PAGE_1G;
}

static void report(const char *what, const char *by, uint64_t number, uint64_t base)
{
	struct lib_line name = {.length = 0};

	lib_line_text(&name, what);
	lib_line_text(&name, by);
	lib_line_number(&name, number, 10);
	CHECK(vmcall(HC_SAMPLES, (uint64_t)name.text, (uint64_t)samples, FEW, base) != HC_FAILED);
}

static uint32_t time_edit(enum abi_edit edit, enum abi_device_id device, uint64_t operand)
{
	uint64_t ticks = vmcall(HC_TIME_EDIT, edit, device, operand, 0);

	CHECK(ticks != HC_FAILED);
	return (uint32_t)ticks;
}

static void add_and_remove(const char *by, uint64_t number)
{
	static uint32_t adds[FEW];

	for (unsigned i = 0; i < FEW; i++) {
		adds[i] = time_edit(EDIT_ADD, DEVICE_SPARE, DEVICE_SPARE_AT);
		read32(DEVICE_SPARE_AT);
		samples[i] = time_edit(EDIT_REMOVE, DEVICE_SPARE, 0);
	}
	report("curve_remove_mmio_ticks", by, number, 0);
	__builtin_memcpy(samples, adds, sizeof(samples));
	report("curve_add_ticks", by, number, 0);
}

static void remove_memory(uint64_t live)
{
	for (unsigned i = 0; i < FEW; i++) {
		CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_MEMORY0, DEVICE_MEMORY0_AT), 0);
		read32(DEVICE_MEMORY0_AT);
		samples[i] = time_edit(EDIT_REMOVE, DEVICE_MEMORY0, 0);
	}
	report("curve_remove_ram_ticks", "_live_", live, 0);
}

static void by_live_entries(void)
{
	static const uint64_t live[] = {0, 1000, 50000, 1000000};
	uint64_t touched = 0;

	for (unsigned i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		for (; touched < live[i]; touched++)
			read8(LARGE_AT + (touched << 12));
		CHECK(lib_stats().live_mmio_entries >= live[i]);
		for (unsigned n = 0; n < FEW; n++)
			samples[n] = time_edit(EDIT_INVALIDATE, DEVICE_SPARE, 0);
		report("curve_invalidate_ticks", "_live_", live[i], 0);
		add_and_remove("_live_", live[i]);
		remove_memory(live[i]);
	}
}

static void by_ranges(void)
{
	static const uint64_t ranges[] = {16, 100, 1000, 10000};
	uint64_t empty;

	for (unsigned n = 0; n < FEW; n++)
		samples[n] = TICKS(EMPTY, 0);
	empty = vmcall(HC_SAMPLES, (uint64_t) "curve_rdtsc_pair", (uint64_t)samples, FEW, 0);
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		if (lib_stats().ranges < ranges[i])
			CHECK_EQUAL(vmcall(HC_GROW, ranges[i], 0, 0, 0), 0);
		for (unsigned n = 0; n < FEW; n++)
			samples[n] = TICKS(READ, DEVICE_PLAIN0_AT);
		report("curve_read32_ticks", "_ranges_", ranges[i], empty);
		for (unsigned n = 0; n < FEW; n++) {
			CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_SPARE, 0), 0);
			samples[n] = TICKS(READ, DEVICE_PLAIN0_AT);
		}
		report("curve_stale_read32_ticks", "_ranges_", ranges[i], empty);
		add_and_remove("_ranges_", ranges[i]);
	}
}

int main(const struct mb1_info *info)
{
	(void)info;
	map_large();
	/* It and the measured device take the places of two others. */
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_BANK2, 0), 0);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_BANK3, 0), 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_PLAIN0, DEVICE_PLAIN0_AT), 0);
	by_live_entries();
	by_ranges();
	return 0;
}
