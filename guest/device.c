/* SPDX-License-Identifier: MIT */
#include "guest/device.h"
#include "guest/platform.h"
#include "guest/scenario.h"

static void device_fault(const struct device *device, const struct tl_mmio *access, const char *what)
{
	platform_fault(device->platform, "device %s: a %s of %u bytes at 0x%lx, offset 0x%lx, %s", device->name,
		       access->write ? "write" : "read", access->size, access->gpa, access->offset, what);
}

/* What the library promises of an access, whatever the guest did. */
static bool device_check(const struct device *device, const struct tl_mmio *access)
{
	const char *wrong = NULL;

	if (access->size - 1 > 7)
		wrong = "has no such size";
	else if (access->offset >= device->size || access->size > device->size - access->offset)
		wrong = "leaves the range";
	else if (access->gpa != device->address + access->offset)
		wrong = "has an offset that is not its address's";
	else if (access->write && access->size < 8 && access->data >> (access->size * 8))
		wrong = "has data above its size";
	else if (!device->live_ranges)
		wrong = "comes after the device was released";
	if (!wrong)
		return true;
	device_fault(device, access, wrong);
	return false;
}

static void device_bank(struct device *device, struct tl_mmio *access)
{
	uint8_t *at = device->registers + access->offset;

	if (access->size == 4 && access->write)
		__builtin_memcpy(at, &access->data, 4);
	else if (access->size == 4)
		__builtin_memcpy(&access->data, at, 4);
	else if (access->write)
		for (unsigned i = 0; i < access->size; i++)
			at[i] = (uint8_t)(access->data >> (8 * i));
	else
		for (unsigned i = 0; i < access->size; i++)
			((uint8_t *)&access->data)[i] = at[i];
}

static void device_pattern(const struct device *device, struct tl_mmio *access)
{
	uint64_t data = 0;

	for (unsigned i = 0; i < access->size; i++)
		data |= (uint64_t)abi_pattern(access->offset + i) << (8 * i);
	if (!access->write)
		access->data = data;
	else if ((access->data ^ data) != UINT64_MAX >> (64 - 8 * access->size))
		device_fault(device, access, "does not carry the complement of the pattern");
}

enum tl_status device_access(struct tl_mmio *access)
{
	struct device *device = access->context;

	if (device->kind == DEVICE_KIND_BROKEN || !device_check(device, access))
		return TL_DEVICE_ERROR;
	if (access->write) {
		device->writes++;
		device->bytes_written += access->size;
	} else {
		device->reads++;
		device->bytes_read += access->size;
		access->data = 0;
	}
	if (device->kind == DEVICE_KIND_PATTERN)
		device_pattern(device, access);
	else
		device_bank(device, access);
	/* The embedder's device is no callback, so it counts down to no commit made in one. */
	if (device->platform->plan_countdown && device->kind != DEVICE_KIND_EMBEDDER)
		scenario_count(device->platform);
	return TL_OK;
}

static void device_release(void *context)
{
	struct device *device = context;

	if (!device->live_ranges)
		platform_fault(device->platform, "device %s was released more often than removed", device->name);
	else
		device->live_ranges--;
	device->releases++;
}

struct tl_range device_range(struct device *device, uint64_t address)
{
	return (struct tl_range){
	    .kind = TL_RANGE_MMIO,
	    .start = address,
	    .size = device->size,
	    .access = device->kind == DEVICE_KIND_EMBEDDER ? NULL : device_access,
	    .context = device,
	    .release = device_release,
	};
}
