/* SPDX-License-Identifier: MIT */
/* What must not depend on the size of a range: the start of a log, and commits. */
#include "guest/stubs/bench/bench.h"

/* Each sample of 1 GiB writes 512 places anew. */
enum { WRITTEN_PAGES = 64, MIB_2 = 2 << 20, GIB_1 = 1 << 30, LARGE_SAMPLES = 200 };

uint64_t time_memory(enum abi_bench_memory what, uint64_t size)
{
	uint64_t ticks = vmcall(HC_TIME_MEMORY, what, size, 0, 0);

	CHECK(ticks != HC_FAILED);
	return ticks;
}

/* A log of memory all of which is mapped, and written, by leaves of 2 MiB. Then some pages are written again. */
static void measure_log(uint64_t size, unsigned count, const char *enable, const char *write, const char *fetch)
{
	static uint32_t writes[SAMPLES], fetches[SAMPLES];

	time_memory(BENCH_MEMORY_ADD, size);
	for (unsigned i = 0; i < count; i++) {
		for (uint64_t at = 0; at < size; at += MIB_2)
			write64(ABI_BENCH_MEMORY_AT + at, at);
		samples[i] = (uint32_t)time_memory(BENCH_MEMORY_START, 0);
		writes[i] = (uint32_t)TICKS(WRITE, ABI_BENCH_MEMORY_AT);
		for (uint64_t page = 1; page < WRITTEN_PAGES; page++)
			write64(ABI_BENCH_MEMORY_AT + (page << 12), page);
		fetches[i] = (uint32_t)time_memory(BENCH_MEMORY_FETCH, 0);
		time_memory(BENCH_MEMORY_STOP, 0);
	}
	time_memory(BENCH_MEMORY_REMOVE, 0);
	report_some(enable, count, 0);
	__builtin_memcpy(samples, writes, sizeof(writes));
	report_some(write, count, rdtsc_pair);
	__builtin_memcpy(samples, fetches, sizeof(fetches));
	report_some(fetch, count, 0);
}

void measure_logs(void)
{
	measure_log(MIB_2, SAMPLES, "dirty_enable_2mib_ticks", "dirty_first_write_2mib_ticks",
		    "dirty_fetch_2mib_ticks");
	measure_log(GIB_1, LARGE_SAMPLES, "dirty_enable_1gib_ticks", "dirty_first_write_1gib_ticks",
		    "dirty_fetch_1gib_ticks");
}

/* A range that comes and goes at one place, with an entry that is live, in two sizes. Last: it is a large device. */
static void measure_size(uint64_t size, const char *add, const char *remove)
{
	static uint32_t adds[SAMPLES];

	CHECK_EQUAL(lib_edit(EDIT_RESIZE, DEVICE_HUGE, size), 0);
	CHECK_EQUAL(lib_edit(EDIT_REMOVE, DEVICE_HUGE, 0), 0);
	for (unsigned i = 0; i < SAMPLES; i++) {
		adds[i] = (uint32_t)time_edit(EDIT_ADD, DEVICE_HUGE, DEVICE_HUGE_AT);
		read32(DEVICE_HUGE_AT);
		samples[i] = (uint32_t)time_edit(EDIT_REMOVE, DEVICE_HUGE, 0);
	}
	report_some(remove, SAMPLES, 0);
	__builtin_memcpy(samples, adds, sizeof(adds));
	report_some(add, SAMPLES, 0);
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_HUGE, DEVICE_HUGE_AT), 0);
}

void measure_sizes(void)
{
	measure_size(4096, "commit_add_4kib_ticks", "commit_remove_4kib_ticks");
	measure_size(GIB_1, "commit_add_1gib_ticks", "commit_remove_1gib_ticks");
}
