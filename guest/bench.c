/* SPDX-License-Identifier: MIT */
#include "guest/bench.h"
#include "guest/platform.h"
#include "guest/text.h"

enum {
	BENCH_HOST_SAMPLES = 2000,
	BENCH_WARM_UP = 16,
	BENCH_PAGES = (ABI_SAMPLES * sizeof(uint32_t) + 4095) / 4096,
};

/* LFENCE on both sides keeps the measured code between the two readings. SDM vol. 2, RDTSC. */
static uint64_t bench_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Shell sort: short, in place, and quick enough for a few thousand samples. */
static void bench_sort(uint32_t *samples, size_t count)
{
	static const size_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};

	for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++) {
		for (size_t i = gaps[g]; i < count; i++) {
			uint32_t moving = samples[i];
			size_t j = i;

			for (; j >= gaps[g] && samples[j - gaps[g]] > moving; j -= gaps[g])
				samples[j] = samples[j - gaps[g]];
			samples[j] = moving;
		}
	}
}

static uint32_t bench_less(uint32_t sample, uint64_t base)
{
	return sample > base ? sample - (uint32_t)base : 0;
}

/* Sorts, prints, and returns the median with the base still in it. */
static uint32_t bench_report(struct platform *platform, const char *name, uint32_t *samples, size_t count,
			     uint64_t base)
{
	bench_sort(samples, count);
	platform->services->print("bench: %s %u %u %u\n", name, bench_less(samples[0], base),
				  bench_less(samples[count / 2], base), bench_less(samples[count * 99 / 100], base));
	return samples[count / 2];
}

static bool bench_name(struct platform *platform, uint64_t gpa, char name[ABI_NAME])
{
	for (unsigned i = 0; i < ABI_NAME; i++) {
		if (!tl_mem_read(platform->vm, gpa + i, &name[i], 1))
			return false;
		if (!name[i])
			return i > 0;
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	}
	return false;
}

uint64_t bench_samples(struct platform *platform, const uint64_t argument[4])
{
	uint64_t count = argument[2], result = HC_FAILED;
	char name[ABI_NAME];
	uint32_t *samples;

	if (count == 0 || count > ABI_SAMPLES || !bench_name(platform, argument[0], name))
		return HC_FAILED;
	samples = platform->services->alloc_pages(BENCH_PAGES);
	if (!samples)
		return HC_FAILED;
	if (tl_mem_read(platform->vm, argument[1], samples, count * sizeof(samples[0])))
		result = bench_report(platform, name, samples, count, argument[3]);
	platform->services->free_pages(samples, BENCH_PAGES);
	return result;
}

static uint32_t bench_empty_pair(void)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < BENCH_WARM_UP; i++) {
		uint64_t begin = bench_ticks();
		uint32_t ticks = (uint32_t)(bench_ticks() - begin);

		least = ticks < least ? ticks : least;
	}
	return least;
}

uint64_t bench_time_invalidate(struct platform *platform, uint64_t live)
{
	uint32_t *samples = platform->services->alloc_pages(BENCH_PAGES);
	enum tl_status status = samples ? TL_OK : TL_NO_MEMORY;
	struct tl_stats stats;
	char name[ABI_NAME];

	for (unsigned i = 0; status == TL_OK && i < BENCH_WARM_UP + BENCH_HOST_SAMPLES; i++) {
		uint64_t begin = bench_ticks();

		status = tl_vm_invalidate_mmio(platform->vm);
		samples[i < BENCH_WARM_UP ? 0 : i - BENCH_WARM_UP] = (uint32_t)(bench_ticks() - begin);
	}
	tl_stats(platform->vm, &stats);
	if (status == TL_OK && stats.live_mmio_entries == live) {
		text_format(name, sizeof(name), "invalidate_all_ticks_%lu", live);
		bench_report(platform, name, samples, BENCH_HOST_SAMPLES, bench_empty_pair());
	} else {
		platform_fault(platform, "invalidate-all: %s, with %lu MMIO entries where %lu were wanted",
			       tl_status_text(status), stats.live_mmio_entries, live);
	}
	if (samples)
		platform->services->free_pages(samples, BENCH_PAGES);
	return 0;
}

/* The ticks of one transaction from its start to the end of its commit. */
static uint32_t bench_commit(struct platform *platform, bool add, enum tl_status *status)
{
	struct device *spare = &platform->device[DEVICE_SPARE];
	struct tl_range range = device_range(spare, spare->address);
	uint64_t begin = bench_ticks();
	struct tl_edit *edit = tl_map_edit(platform->vm);

	spare->live_ranges += add;
	*status = !edit ? TL_NO_MEMORY : add ? tl_map_add(edit, &range, &spare->id) : tl_map_remove(edit, spare->id);
	if (*status == TL_OK)
		*status = tl_map_commit(edit);
	else if (edit)
		tl_map_discard(edit);
	return (uint32_t)(bench_ticks() - begin);
}

uint64_t bench_time_commits(struct platform *platform)
{
	uint32_t *adds = platform->services->alloc_pages(2 * BENCH_PAGES);
	enum tl_status status = adds ? TL_OK : TL_NO_MEMORY;
	uint32_t *removals = adds ? adds + ABI_SAMPLES : NULL;

	for (unsigned i = 0; status == TL_OK && i < BENCH_WARM_UP + BENCH_HOST_SAMPLES; i++) {
		unsigned sample = i < BENCH_WARM_UP ? 0 : i - BENCH_WARM_UP;

		adds[sample] = bench_commit(platform, true, &status);
		if (status == TL_OK)
			removals[sample] = bench_commit(platform, false, &status);
	}
	if (status == TL_OK) {
		bench_report(platform, "commit_add_ticks", adds, BENCH_HOST_SAMPLES, bench_empty_pair());
		bench_report(platform, "commit_remove_mmio_ticks", removals, BENCH_HOST_SAMPLES, bench_empty_pair());
	} else {
		platform_fault(platform, "timing commits: %s", tl_status_text(status));
	}
	if (adds)
		platform->services->free_pages(adds, 2 * BENCH_PAGES);
	return 0;
}
