/* SPDX-License-Identifier: MIT */
#include "guest/device_memory.h"
#include "guest/platform.h"

/* Aligned as the guest sees it, so that the EPT may map it by large pages. */
enum { MEMORY_ALIGNMENT = 2 << 20, MEMORY_BLOCK_PAGES = (ABI_MEMORY_SIZE + MEMORY_ALIGNMENT) / 4096 - 1 };

_Static_assert(ABI_MEMORY_PAGES / 8 <= ABI_BANK_SIZE, "the log of its writes is the device's registers");

bool device_memory_create(struct device *device)
{
	if (!device->block)
		device->block = device->platform->services->alloc_pages(MEMORY_BLOCK_PAGES);
	device->memory =
		(uint8_t *)(((uintptr_t)device->block + MEMORY_ALIGNMENT - 1) & ~((uintptr_t)MEMORY_ALIGNMENT - 1));
	return device->block;
}

void device_memory_destroy(struct device *device)
{
	if (device->block)
		device->platform->services->free_pages(device->block, MEMORY_BLOCK_PAGES);
	device->block = NULL;
}

static uint64_t fetch(struct platform *platform, const struct device *device, uint64_t gpa)
{
	uint64_t pages[ABI_MEMORY_PAGES / 64] = {0};
	enum tl_status status;
	size_t count;

	status = tl_dirty_fetch(platform->vm, device->id, pages, &count);
	if (status != TL_OK)
		return (uint64_t)(int64_t)status;
	return tl_mem_write(platform->vm, gpa, pages, sizeof(pages)) ? count : HC_FAILED;
}

uint64_t device_memory_dirty(struct platform *platform, const uint64_t argument[4])
{
	struct device *device;

	if (argument[1] >= ABI_NR_DEVICES || platform->device[argument[1]].kind != DEVICE_KIND_MEMORY)
		return HC_FAILED;
	device = &platform->device[argument[1]];
	switch (argument[0]) {
	case DIRTY_START:
		__builtin_memset(device->registers, 0, ABI_MEMORY_PAGES / 8);
		return (uint64_t)(int64_t)tl_dirty_start(platform->vm, device->id,
							 (uint64_t *)(void *)device->registers);
	case DIRTY_FETCH:
		return fetch(platform, device, argument[2]);
	case DIRTY_STOP:
		return (uint64_t)(int64_t)tl_dirty_stop(platform->vm, device->id);
	default:
		return HC_FAILED;
	}
}
