/* SPDX-License-Identifier: MIT */
#include "guest/bench.h"
#include "guest/platform.h"
#include "guest/text.h"

enum {
	BENCH_PAIRS = 16,
	BENCH_PAGES = (ABI_SAMPLES * sizeof(uint32_t) + 4095) / 4096,
};

/* LFENCE on both sides keeps the measured code between the two readings. SDM vol. 2, RDTSC. */
uint64_t bench_ticks(void)
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

uint32_t bench_less(uint32_t sample, uint64_t base)
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

uint32_t bench_empty_pair(void)
{
	uint32_t least = UINT32_MAX;

	for (unsigned i = 0; i < BENCH_PAIRS; i++) {
		uint64_t begin = bench_ticks();
		uint32_t ticks = (uint32_t)(bench_ticks() - begin);

		least = ticks < least ? ticks : least;
	}
	return least;
}

/*
 * One transaction from its start to the end of its commit, without the bookkeeping of scenario.c. A release hook may
 * run inside the commit, and must find a new range counted.
 */
static enum tl_status bench_commit(struct platform *platform, enum abi_edit kind, struct device *device,
				   uint64_t address, uint32_t *ticks)
{
	struct tl_range range = device_range(device, address);
	enum tl_status status = TL_OK;
	struct tl_edit *edit;
	uint64_t begin;

	device->live_ranges += kind == EDIT_ADD;
	begin = bench_ticks();
	edit = tl_map_edit(platform->vm);
	if (!edit)
		return TL_NO_MEMORY;
	if (kind == EDIT_ADD)
		status = tl_map_add(edit, &range, &device->id);
	else if (kind == EDIT_REMOVE)
		status = tl_map_remove(edit, device->id);
	else
		status = tl_map_move(edit, device->id, address);
	if (status == TL_OK)
		status = tl_map_commit(edit);
	else
		tl_map_discard(edit);
	*ticks = (uint32_t)(bench_ticks() - begin);
	return status;
}

static enum tl_status bench_invalidate(struct platform *platform, uint32_t *ticks)
{
	uint64_t begin = bench_ticks();
	enum tl_status status = tl_vm_invalidate_mmio(platform->vm);

	*ticks = (uint32_t)(bench_ticks() - begin);
	return status;
}

uint64_t bench_time_edit(struct platform *platform, const uint64_t argument[4])
{
	enum abi_edit kind = (enum abi_edit)argument[0];
	enum tl_status status;
	struct device *device;
	uint32_t ticks = 0;

	if (argument[1] >= ABI_NR_DEVICES)
		return HC_FAILED;
	device = &platform->device[argument[1]];
	if (kind == EDIT_INVALIDATE)
		status = bench_invalidate(platform, &ticks);
	else if (kind == EDIT_ADD || kind == EDIT_REMOVE || kind == EDIT_MOVE)
		status = bench_commit(platform, kind, device, argument[2], &ticks);
	else
		return HC_FAILED;
	if (status != TL_OK) {
		platform_fault(platform, "a timed edit of device %s: %s", device->name, tl_status_text(status));
		return HC_FAILED;
	}
	if (kind == EDIT_ADD || kind == EDIT_MOVE)
		device->address = argument[2];
	platform->nr_ranges += kind == EDIT_ADD;
	platform->nr_ranges -= kind == EDIT_REMOVE;
	return bench_less(ticks, bench_empty_pair());
}

/* Registers of 32 bits are what most devices have: their size comes first, the rest is bytes. */
enum tl_status bench_register(struct tl_mmio *access)
{
	struct device *device = access->context;
	uint8_t *at = device->registers + access->offset;

	if (access->size == 4 && access->write) {
		*(uint32_t *)at = (uint32_t)access->data;
	} else if (access->size == 4) {
		access->data = *(uint32_t *)at;
	} else if (access->write) {
		__builtin_memcpy(at, &access->data, access->size);
	} else {
		access->data = 0;
		__builtin_memcpy(&access->data, at, access->size);
	}
	return TL_OK;
}
