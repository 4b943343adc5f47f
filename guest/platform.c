/* SPDX-License-Identifier: MIT */
#include "guest/platform.h"

enum { PLATFORM_PAGE = 4096, PLATFORM_LARGE_PAGE = 2 << 20 };

/* From here on HC_GROW adds ranges, one page each with a page between them. */
#define PLATFORM_FILLER_AT 0x90000000ull

struct device_place {
	const char *name;
	enum device_kind kind;
	uint64_t address, size;
};

#define DEVICE(name, kind, address, size) [DEVICE_##name] = {#name, DEVICE_KIND_##kind, address, size},
static const struct device_place device_table[ABI_NR_DEVICES] = {ABI_DEVICES(DEVICE)};
#undef DEVICE

static const struct device_place filler = {"FILLER", DEVICE_KIND_PLAIN, PLATFORM_FILLER_AT, PLATFORM_PAGE};

static bool platform_allocate_ram(struct platform *platform, uint64_t size)
{
	uint64_t low = size < PLATFORM_LOW_RAM ? size : PLATFORM_LOW_RAM;

	/* Aligned alike for guest and host, so that the EPT maps it by large pages. */
	platform->block_pages = (size + PLATFORM_LARGE_PAGE) / PLATFORM_PAGE - 1;
	platform->block = platform->services->alloc_pages(platform->block_pages);
	if (!platform->block)
		return false;
	platform->ram = (uint8_t *)(((uintptr_t)platform->block + PLATFORM_LARGE_PAGE - 1) &
				    ~((uintptr_t)PLATFORM_LARGE_PAGE - 1));
	platform->memory.nr_regions = size > PLATFORM_HIGH_RAM ? 2 : 1;
	platform->memory.region[0] = (struct load_region){0, low, platform->ram};
	platform->memory.region[1] =
		(struct load_region){PLATFORM_HIGH_RAM, size - PLATFORM_HIGH_RAM, platform->ram + PLATFORM_HIGH_RAM};
	return true;
}

static enum tl_status platform_add_ranges(struct platform *platform, struct tl_edit *edit)
{
	enum tl_status status = TL_OK;

	for (unsigned i = 0; status == TL_OK && i < platform->memory.nr_regions; i++) {
		const struct load_region *region = &platform->memory.region[i];
		struct tl_range range = {
			.kind = TL_RANGE_RAM, .start = region->start, .size = region->size, .host = region->host};

		status = tl_map_add(edit, &range, NULL);
		platform->nr_ranges++;
	}
	for (unsigned i = 0; i <= PLATFORM_FILLER; i++) {
		const struct device_place *place = i == PLATFORM_FILLER ? &filler : &device_table[i];
		struct device *device = &platform->device[i];
		struct tl_range range;

		device->platform = platform;
		device->number = i;
		device->name = place->name;
		device->kind = place->kind;
		device->address = place->address;
		device->size = place->size;
		if (status != TL_OK || device->kind >= DEVICE_KIND_ABSENT ||
		    hand_covers(platform, place->address, place->size))
			continue;
		range = device_range(device, device->address);
		status = tl_map_add(edit, &range, &device->id);
		device->live_ranges++;
		platform->nr_ranges++;
	}
	return status == TL_OK ? hand_add(platform, edit) : status;
}

static enum tl_status platform_build_map(struct platform *platform)
{
	struct tl_edit *edit = tl_map_edit(platform->vm);
	enum tl_status status;

	if (!edit)
		return TL_NO_MEMORY;
	status = platform_add_ranges(platform, edit);
	if (status == TL_OK)
		return tl_map_commit(edit);
	tl_map_discard(edit);
	return status;
}

/* As many CPUs as there are vCPUs, or all of them for vCPUs that roam; turns where they are too few. */
static void platform_spread(struct platform *platform, const struct guest_options *options)
{
	unsigned cpus = platform->services->nr_cpus;

	platform->nr_vcpus = options->vcpus;
	platform->nr_cpus = options->roam || options->vcpus > cpus ? cpus : options->vcpus;
	platform->shares = options->roam || options->vcpus > cpus;
	platform->slice = platform->shares ? options->slice : platform->services->attend_ticks;
}

struct tl_vcpu *platform_new_vcpu(struct platform_vcpu *vcpu, enum tl_status *status)
{
	struct tl_vcpu *new = tl_vcpu_create(vcpu->platform->vm, status);

	if (!new)
		return NULL;
	tl_vcpu_set_context(new, vcpu);
	if (!vcpu->limited)
		return new;
	*status = tl_vcpu_set_budget(new, vcpu->left);
	/* Without a preemption timer a guest that hangs is not ended; all else works. */
	if (*status == TL_UNSUPPORTED)
		*status = TL_OK;
	return new;
}

static enum tl_status platform_create_vcpu(struct platform *platform, unsigned index,
					   const struct guest_options *options)
{
	struct platform_vcpu *vcpu = &platform->vcpu[index];
	enum tl_status status;

	vcpu->platform = platform;
	vcpu->index = index;
	vcpu->exit.reason = TL_EXIT_KICKED;
	vcpu->left = options->timeout;
	vcpu->limited = options->timeout;
	vcpu->vcpu = platform_new_vcpu(vcpu, &status);
	return status;
}

bool platform_create(struct platform *platform, const struct guest_services *services,
		     const struct guest_options *options, char *why, size_t size)
{
	struct tl_vm_config config = {.first_generation = options->first_generation,
				      .tag_bits = options->tag_bits,
				      .mmio_level = options->mmio_level,
				      .invalidate = services->invalidate,
				      .decode_doorbells = options->decode_doorbells};
	enum tl_status status;

	platform->services = services;
	platform->plan_status = HC_NOT_YET;
	riders_init(platform);
	if (!platform_allocate_ram(platform, options->memory)) {
		text_format(why, size, "the host has no %lu KiB of contiguous memory for the guest: lower mem=",
			    options->memory >> 10);
		return false;
	}
	platform->vm = tl_vm_create(&config, &status);
	if (platform->vm)
		status = platform_build_map(platform);
	platform_spread(platform, options);
	for (unsigned i = 0; i < platform->nr_vcpus && status == TL_OK; i++)
		status = platform_create_vcpu(platform, i, options);
	if (status == TL_OK)
		return true;
	text_format(why, size, "%s", tl_status_text(status));
	platform_destroy(platform);
	return false;
}

void platform_destroy(struct platform *platform)
{
	for (unsigned i = 0; i < platform->nr_vcpus; i++) {
		if (platform->vcpu[i].vcpu)
			tl_vcpu_destroy(platform->vcpu[i].vcpu);
		if (platform->vcpu[i].former)
			tl_vcpu_destroy(platform->vcpu[i].former);
	}
	if (platform->vm)
		tl_vm_destroy(platform->vm);
	if (platform->block)
		platform->services->free_pages(platform->block, platform->block_pages);
	bench_memory_destroy(platform);
	for (unsigned i = 0; i <= PLATFORM_FILLER; i++)
		if (platform->device[i].live_ranges)
			platform_fault(platform, "device %s was not released with its VM", platform->device[i].name);
		else
			device_destroy(&platform->device[i]);
	hand_free(platform);
	for (unsigned i = 0; i < ABI_RIDERS; i++)
		if (platform->rider[i].live)
			platform_fault(platform, "rider %u was not released with its VM", i);
}

uint64_t platform_accesses(const struct platform *platform)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i <= PLATFORM_FILLER; i++)
		sum += device_count(&platform->device[i], false) + device_count(&platform->device[i], true);
	return sum + riders_accesses(platform) + hand_accesses(platform);
}
