/* SPDX-License-Identifier: MIT */
/* The ranges of the platform's devices, and what the library does with a device other than calling it. */
#include "guest/bench.h"
#include "guest/device.h"
#include "guest/device_memory.h"
#include "guest/platform.h"

static void device_release(void *context)
{
	struct device *device = context;

	if (!device->live_ranges)
		platform_fault(device->platform, "device %s was released more often than removed", device->name);
	else
		device->live_ranges--;
	device->watched |= !device->live_ranges;
	device->releases++;
}

static tl_mmio_fn device_callback(enum device_kind kind)
{
	switch (kind) {
	case DEVICE_KIND_PATTERN:
		return device_pattern;
	case DEVICE_KIND_EMBEDDER:
	case DEVICE_KIND_PLAINEMB:
	case DEVICE_KIND_LATE:
	case DEVICE_KIND_BACKEDEMB:
	case DEVICE_KIND_MEMORY:
		return NULL;
	case DEVICE_KIND_BACKED:
		return device_backed;
	case DEVICE_KIND_BROKEN:
		return device_broken;
	case DEVICE_KIND_PLAIN:
		return bench_register;
	case DEVICE_KIND_FLASH:
		return device_flash;
	case DEVICE_KIND_CONTROL:
		return rider_control;
	default:
		return device_bank;
	}
}

enum tl_status device_complete(struct tl_mmio *access)
{
	const struct device *device = access->context;

	/* First: it is measured. */
	if (device->kind == DEVICE_KIND_PLAINEMB)
		return bench_register(access);
	return device->kind == DEVICE_KIND_BACKEDEMB ? device_backed(access) : device_bank(access);
}

enum tl_status device_drain(const struct tl_mmio *access)
{
	struct device *device = access->context;
	struct tl_coalesced writes[8];
	size_t count;

	while ((count = tl_ring_take(device->options.ring, writes, sizeof(writes) / sizeof(writes[0]))) > 0)
		for (size_t i = 0; i < count; i++) {
			struct tl_mmio write = {.gpa = device->address + writes[i].offset,
						.offset = writes[i].offset,
						.data = writes[i].data,
						.size = writes[i].size,
						.write = true,
						.context = device,
						.vcpu = access->vcpu};

			if (device_bank(&write) != TL_OK)
				return TL_DEVICE_ERROR;
		}
	return TL_OK;
}

uint64_t device_rings(const struct device *device)
{
	uint64_t sum = device->rings;

	if (device->kind == DEVICE_KIND_BELL)
		for (unsigned i = 0; i < TL_MAX_CPUS; i++)
			sum += ((const struct tl_doorbell_count *)(const void *)device->registers)[i].count;
	return sum;
}

static void device_rang(void *context, uint64_t offset, struct tl_vcpu *vcpu)
{
	struct device *device = context;

	(void)vcpu;
	if (offset >= device->size)
		platform_fault(device->platform, "device %s rang at offset 0x%lx", device->name, offset);
	device->rings++;
}

bool device_prepare(struct device *device)
{
	static const struct tl_doorbell_match match = {
		.offset = ABI_MATCH_AT, .value = ABI_MATCH_VALUE, .mask = ~0ull, .size = 4};

	switch (device->kind) {
	case DEVICE_KIND_BELL:
		device->bell.counts = (struct tl_doorbell_count *)(void *)device->registers;
		break;
	case DEVICE_KIND_MATCH:
		device->bell = (struct tl_doorbell){
			.signal = TL_SIGNAL_CALL, .call = device_rang, .matches = &match, .nr_matches = 1};
		break;
	case DEVICE_KIND_SHADOW:
		device->bell = (struct tl_doorbell){
			.signal = TL_SIGNAL_CALL, .call = device_rang, .shadow = device->registers};
		break;
	case DEVICE_KIND_COALESCED:
	case DEVICE_KIND_LATE:
		if (!device->options.ring)
			device->options.ring = tl_ring_create(TL_MAX_CPUS, DEVICE_RING_ENTRIES);
		return device->options.ring;
	case DEVICE_KIND_SIZED:
		device->options.sizes = 4;
		break;
	case DEVICE_KIND_MEMORY:
		return device_memory_create(device);
	default:
		break;
	}
	return true;
}

void device_destroy(struct device *device)
{
	if (device->options.ring)
		tl_ring_destroy(device->options.ring);
	device->options.ring = NULL;
	device_memory_destroy(device);
}

static enum tl_range_kind device_range_kind(enum device_kind kind)
{
	switch (kind) {
	case DEVICE_KIND_BELL:
	case DEVICE_KIND_MATCH:
	case DEVICE_KIND_SHADOW:
		return TL_RANGE_DOORBELL;
	case DEVICE_KIND_FLASH:
		return TL_RANGE_ROM;
	case DEVICE_KIND_CODE:
		return TL_RANGE_EXECUTE_ONLY;
	case DEVICE_KIND_MEMORY:
		return TL_RANGE_RAM;
	default:
		return TL_RANGE_MMIO;
	}
}

struct tl_range device_range(struct device *device, uint64_t address)
{
	struct tl_range range = {
		.kind = device_range_kind(device->kind),
		.start = address,
		.size = device->size,
		.access = device_callback(device->kind),
		.context = device,
		.release = device_release,
	};

	if (range.kind == TL_RANGE_DOORBELL)
		range.doorbell = &device->bell;
	else if (range.kind == TL_RANGE_MMIO)
		range.options = &device->options;
	else
		range.host = device->kind == DEVICE_KIND_MEMORY ? device->memory : device->registers;
	return range;
}
