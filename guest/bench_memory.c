/* SPDX-License-Identifier: MIT */
#include "guest/bench_memory.h"
#include "guest/bench.h"
#include "guest/platform.h"

/* Mapped by leaves of 2 MiB: it is aligned to them, and to no more. */
enum {
	PAGES_2M = 512,
	BLOCK_PAGES = ABI_BENCH_MEMORY / 4096 + 2 * PAGES_2M,
	LOG_PAGES = ABI_BENCH_MEMORY / 4096 / 8 / 4096
};

static uint8_t *aligned(void *block)
{
	uint64_t at = ((uint64_t)(uintptr_t)block + (PAGES_2M * 4096 - 1)) & ~(PAGES_2M * 4096ull - 1);

	/* One leaf of 1 GiB would be too few to be walked. */
	return (uint8_t *)(uintptr_t)(at % ABI_BENCH_MEMORY ? at : at + PAGES_2M * 4096ull);
}

static bool allocate(struct platform *platform)
{
	const struct guest_services *services = platform->services;
	struct bench_memory *memory = &platform->bench_memory;

	if (memory->block)
		return true;
	memory->block = services->alloc_pages(BLOCK_PAGES);
	memory->log = services->alloc_pages(LOG_PAGES);
	memory->pages = services->alloc_pages(LOG_PAGES);
	return memory->block && memory->log && memory->pages;
}

void bench_memory_destroy(struct platform *platform)
{
	const struct guest_services *services = platform->services;
	struct bench_memory *memory = &platform->bench_memory;

	if (memory->block)
		services->free_pages(memory->block, BLOCK_PAGES);
	if (memory->log)
		services->free_pages(memory->log, LOG_PAGES);
	if (memory->pages)
		services->free_pages(memory->pages, LOG_PAGES);
	*memory = (struct bench_memory){.id = TL_HOLE};
}

static enum tl_status add(struct platform *platform, uint64_t size)
{
	struct bench_memory *memory = &platform->bench_memory;
	struct tl_range range = {.kind = TL_RANGE_RAM, .start = ABI_BENCH_MEMORY_AT, .size = size};
	struct tl_edit *edit;

	if (size > ABI_BENCH_MEMORY || !allocate(platform))
		return TL_NO_MEMORY;
	edit = tl_map_edit(platform->vm);
	if (!edit)
		return TL_NO_MEMORY;
	range.host = aligned(memory->block);
	memory->size = size;
	tl_map_add(edit, &range, &memory->id);
	return tl_map_commit(edit);
}

static enum tl_status remove(struct platform *platform)
{
	struct tl_edit *edit = tl_map_edit(platform->vm);

	if (!edit)
		return TL_NO_MEMORY;
	tl_map_remove(edit, platform->bench_memory.id);
	return tl_map_commit(edit);
}

/* What is timed. */
static enum tl_status change_log(struct platform *platform, enum abi_bench_memory what)
{
	struct bench_memory *memory = &platform->bench_memory;

	switch (what) {
	case BENCH_MEMORY_START:
		return tl_dirty_start(platform->vm, memory->id, memory->log);
	case BENCH_MEMORY_FETCH:
		return tl_dirty_fetch(platform->vm, memory->id, memory->pages, NULL);
	case BENCH_MEMORY_STOP:
		return tl_dirty_stop(platform->vm, memory->id);
	default:
		return TL_INVALID_ARGUMENT;
	}
}

uint64_t bench_time_memory(struct platform *platform, const uint64_t argument[4])
{
	struct bench_memory *memory = &platform->bench_memory;
	enum abi_bench_memory what = (enum abi_bench_memory)argument[0];
	enum tl_status status;
	uint32_t ticks = 0;
	uint64_t begin;

	if (what == BENCH_MEMORY_ADD) {
		status = add(platform, argument[1]);
	} else if (what == BENCH_MEMORY_REMOVE) {
		status = remove(platform);
	} else {
		if (what == BENCH_MEMORY_START)
			__builtin_memset(memory->log, 0, memory->size / 4096 / 8);
		begin = bench_ticks();
		status = change_log(platform, what);
		ticks = (uint32_t)(bench_ticks() - begin);
	}
	if (status == TL_OK)
		return bench_less(ticks, bench_empty_pair());
	platform_fault(platform, "the memory that is measured: %s", tl_status_text(status));
	return HC_FAILED;
}
