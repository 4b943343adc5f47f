/* SPDX-License-Identifier: MIT */
#include "guest/scenario.h"
#include "guest/platform.h"

enum { SCENARIO_MOST_RANGES = 16384 };

/* Where a device stands while two change places; nothing else is ever there. */
#define SCENARIO_PARKING 0xdf000000ull

/* Devices look at a plan, or at a removal, only while they are watched. */
static void scenario_watch(struct platform *platform)
{
	for (unsigned i = 0; i <= PLATFORM_FILLER; i++)
		platform->device[i].watched = platform->plan_countdown || !platform->device[i].live_ranges;
}

static enum tl_status scenario_add(struct tl_edit *edit, struct device *device, uint64_t address)
{
	struct tl_range range;

	if (!device_prepare(device))
		return TL_NO_MEMORY;
	range = device_range(device, address);
	return tl_map_add(edit, &range, &device->id);
}

static enum tl_status scenario_replace(struct tl_edit *edit, struct device *device, uint64_t address)
{
	enum tl_status status = tl_map_remove(edit, device->id);

	return status == TL_OK ? scenario_add(edit, device, address) : status;
}

static enum tl_status scenario_swap(struct tl_edit *edit, const struct device *one, const struct device *other)
{
	enum tl_status status = tl_map_move(edit, one->id, SCENARIO_PARKING);

	if (status == TL_OK)
		status = tl_map_move(edit, other->id, one->address);
	return status == TL_OK ? tl_map_move(edit, one->id, other->address) : status;
}

static enum tl_status scenario_note(struct platform *platform, const struct scenario_edit *change, struct tl_edit *edit)
{
	struct device *device = &platform->device[change->device];

	switch (change->edit) {
	case EDIT_ADD:
		return scenario_add(edit, device, change->operand);
	case EDIT_REMOVE:
		return tl_map_remove(edit, device->id);
	case EDIT_MOVE:
		return tl_map_move(edit, device->id, change->operand);
	case EDIT_RESIZE:
		return tl_map_resize(edit, device->id, change->operand);
	case EDIT_REPLACE:
		return scenario_replace(edit, device, change->operand);
	case EDIT_SWAP:
		return scenario_swap(edit, device, &platform->device[change->second]);
	case EDIT_PROTECT:
		return tl_map_protect(edit, device->id, change->operand ? TL_RANGE_ROM : TL_RANGE_RAM, NULL);
	case EDIT_INVALIDATE:
		break;
	}
	return TL_INVALID_ARGUMENT;
}

/* What the commit changed, in the device models. */
static void scenario_follow(struct platform *platform, const struct scenario_edit *change)
{
	struct device *device = &platform->device[change->device], *second = &platform->device[change->second];
	uint64_t address = device->address;

	switch (change->edit) {
	case EDIT_ADD:
		platform->nr_ranges++;
		device->address = change->operand;
		break;
	case EDIT_REMOVE:
		platform->nr_ranges--;
		break;
	case EDIT_REPLACE:
	case EDIT_MOVE:
		device->address = change->operand;
		break;
	case EDIT_RESIZE:
		device->size = change->operand;
		break;
	case EDIT_SWAP:
		device->address = second->address;
		second->address = address;
		break;
	case EDIT_INVALIDATE:
	case EDIT_PROTECT:
		break;
	}
}

static enum tl_status scenario_commit(struct platform *platform, const struct scenario_edit *change)
{
	struct device *device = &platform->device[change->device];
	struct tl_edit *edit;
	enum tl_status status;
	unsigned added;

	if (change->edit == EDIT_INVALIDATE)
		return tl_vm_invalidate_mmio(platform->vm);
	edit = tl_map_edit(platform->vm);
	if (!edit)
		return TL_NO_MEMORY;
	status = scenario_note(platform, change, edit);
	if (status != TL_OK) {
		tl_map_discard(edit);
		return status;
	}
	/* A release hook may run inside the commit, and must find the new range counted. */
	added = change->edit == EDIT_ADD || change->edit == EDIT_REPLACE;
	device->live_ranges += added;
	status = tl_map_commit(edit);
	if (status >= TL_OK)
		scenario_follow(platform, change);
	else
		device->live_ranges -= added;
	scenario_watch(platform);
	return status;
}

/* A bank cannot be larger than its registers. */
static uint64_t scenario_most(const struct device *device)
{
	if (device->kind == DEVICE_KIND_PATTERN)
		return UINT64_MAX;
	return device->kind == DEVICE_KIND_MEMORY ? ABI_MEMORY_SIZE : ABI_BANK_SIZE;
}

uint64_t scenario_edit(struct platform *platform, const uint64_t argument[4])
{
	struct scenario_edit change = {.edit = (enum abi_edit)argument[0],
				       .device = (uint32_t)argument[1],
				       .second = (uint32_t)(argument[1] >> 32),
				       .operand = argument[2]};

	if (argument[0] > EDIT_PROTECT || change.device >= ABI_NR_DEVICES || change.second >= ABI_NR_DEVICES)
		return HC_FAILED;
	if (change.edit == EDIT_RESIZE && change.operand > scenario_most(&platform->device[change.device]))
		return HC_FAILED;
	if (argument[3] == 0)
		return (uint64_t)(int64_t)scenario_commit(platform, &change);
	platform->plan = change;
	platform->plan_countdown = argument[3];
	platform->plan_status = HC_NOT_YET;
	scenario_watch(platform);
	return 0;
}

void scenario_count(struct platform *platform)
{
	/* Only the access that counts it down to 0 commits, whatever other vCPUs count meanwhile. */
	if (atomic_fetch_sub_explicit(&platform->plan_countdown, 1, memory_order_relaxed) != 1)
		return;
	scenario_watch(platform);
	platform->plan_status = (uint64_t)(int64_t)scenario_commit(platform, &platform->plan);
}

uint64_t scenario_grow(struct platform *platform, uint64_t count)
{
	struct device *filler = &platform->device[PLATFORM_FILLER];
	struct tl_edit *edit = tl_map_edit(platform->vm);
	uint64_t address = filler->address;
	enum tl_status status = edit ? TL_OK : TL_NO_MEMORY;
	unsigned added = 0;

	if (count > SCENARIO_MOST_RANGES || platform->nr_ranges > count)
		status = TL_INVALID_ARGUMENT;
	for (; status == TL_OK && platform->nr_ranges + added < count; added++, address += 2 * filler->size) {
		struct tl_range range = device_range(filler, address);

		status = tl_map_add(edit, &range, NULL);
	}
	if (status == TL_OK)
		status = tl_map_commit(edit);
	else if (edit)
		tl_map_discard(edit);
	if (status < TL_OK)
		return (uint64_t)(int64_t)status;
	platform->nr_ranges += added;
	filler->live_ranges += added;
	filler->address = address;
	return 0;
}
