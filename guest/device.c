/* SPDX-License-Identifier: MIT */
#include "guest/device.h"
#include "guest/platform.h"
#include "guest/scenario.h"

static void device_fault(const struct device *device, const struct tl_mmio *access, const char *what)
{
	platform_fault(device->platform, "device %s: a %s of %u bytes at 0x%lx, offset 0x%lx, %s", device->name,
		       access->write ? "write" : "read", access->size, access->gpa, access->offset, what);
}

/* Whether the access is what the library promises of one, whatever the guest did. Short: a million of them pass. */
static inline bool device_proper(const struct device *device, const struct tl_mmio *access)
{
	return access->offset < device->size && access->size <= device->size - access->offset &&
	       access->gpa - access->offset == device->address;
}

static __attribute__((noinline)) enum tl_status device_improper(const struct device *device,
								const struct tl_mmio *access)
{
	const char *wrong = "has data above its size";

	if (!device->live_ranges)
		wrong = "comes after the device was released";
	else if (access->offset >= device->size || access->size > device->size - access->offset)
		wrong = "leaves the range";
	else if (access->gpa - access->offset != device->address)
		wrong = "has an offset that is not its address's";
	else if (access->size - 1 > 7)
		wrong = "has no such size";
	device_fault(device, access, wrong);
	return TL_DEVICE_ERROR;
}

/* By the vCPU that makes it, so that the sum over all of them is exact without a lock. */
static inline void device_count_one(const struct device *device, const struct tl_mmio *access, unsigned size)
{
	struct platform_vcpu *vcpu = tl_vcpu_context(access->vcpu);

	vcpu->accesses[device->number][access->write][size]++;
}

/* Halves of split accesses have odd sizes. */
static __attribute__((noinline)) enum tl_status device_odd(struct device *device, struct tl_mmio *access)
{
	uint8_t *at = device->registers + access->offset;
	unsigned bits = 8 * access->size;

	if (access->size - 1 > 7 || (access->write && access->data >> bits))
		return device_improper(device, access);
	device_count_one(device, access, access->size);
	if (!access->write)
		access->data = 0;
	for (unsigned i = 0; i < access->size; i++)
		if (access->write)
			at[i] = (uint8_t)(access->data >> (8 * i));
		else
			access->data |= (uint64_t)at[i] << (8 * i);
	return TL_OK;
}

/* The number of accesses until a planned commit, or one to a device that is gone. */
static __attribute__((noinline)) enum tl_status device_watched(struct device *device, const struct tl_mmio *access)
{
	if (!device->live_ranges)
		return device_improper(device, access);
	if (device->platform->plan_countdown && device->kind != DEVICE_KIND_EMBEDDER)
		scenario_count(device->platform);
	return TL_OK;
}

#define DEVICE_SERVE(type)                                               \
	do {                                                             \
		type *at = (type *)(device->registers + access->offset); \
                                                                         \
		if (!access->write)                                      \
			access->data = *at;                              \
		else if (access->data == (type)access->data)             \
			*at = (type)access->data;                        \
		else                                                     \
			return device_improper(device, access);          \
		device_count_one(device, access, sizeof(type));          \
	} while (0)

enum tl_status device_bank(struct tl_mmio *access)
{
	struct device *device = access->context;

	if (!device_proper(device, access))
		return device_improper(device, access);
	if (access->size == 4)
		DEVICE_SERVE(uint32_t);
	else if (access->size == 1)
		DEVICE_SERVE(uint8_t);
	else if (access->size == 8)
		DEVICE_SERVE(uint64_t);
	else if (access->size == 2)
		DEVICE_SERVE(uint16_t);
	else if (device_odd(device, access) != TL_OK)
		return TL_DEVICE_ERROR;
	return device->watched ? device_watched(device, access) : TL_OK;
}

enum tl_status device_pattern(struct tl_mmio *access)
{
	struct device *device = access->context;
	uint64_t data = 0, mask;

	if (!device_proper(device, access) || access->size - 1 > 7)
		return device_improper(device, access);
	mask = UINT64_MAX >> (64 - 8 * access->size);
	for (unsigned i = 0; i < access->size; i++)
		data |= (uint64_t)abi_pattern(access->offset + i) << (8 * i);
	if (!access->write)
		access->data = data;
	else if ((access->data ^ data) != mask)
		device_fault(device, access, "does not carry the complement of the pattern");
	device_count_one(device, access, access->size);
	return device->watched ? device_watched(device, access) : TL_OK;
}

/* As NOR flash is programmed: bits go from 1 to 0. */
enum tl_status device_flash(struct tl_mmio *access)
{
	struct device *device = access->context;

	if (!device_proper(device, access) || !access->write)
		return device_improper(device, access);
	for (unsigned i = 0; i < access->size; i++)
		device->registers[access->offset + i] &= (uint8_t)(access->data >> (8 * i));
	device_count_one(device, access, access->size);
	return TL_OK;
}

enum tl_status device_backed(struct tl_mmio *access)
{
	struct device *device = access->context;
	struct tl_vm *vm = device->platform->vm;
	uint64_t at = device->backing + access->offset, data = 0;
	bool copied;

	if (!device_proper(device, access) || access->size - 1 > 7)
		return device_improper(device, access);
	if (access->write && access->size < 8 && access->data >> (8 * access->size))
		return device_improper(device, access);
	copied = access->write ? tl_mem_write(vm, at, &access->data, access->size)
			       : tl_mem_read(vm, at, &data, access->size);
	if (!copied)
		device_fault(device, access, "has no guest memory behind it: HC_BACK comes first");
	if (!access->write)
		access->data = data;
	device_count_one(device, access, access->size);
	return TL_OK;
}

enum tl_status device_broken(struct tl_mmio *access)
{
	(void)access;
	return TL_DEVICE_ERROR;
}

uint64_t device_count(const struct device *device, bool writes)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < device->platform->nr_vcpus; i++)
		for (unsigned size = 1; size <= 8; size++)
			sum += device->platform->vcpu[i].accesses[device->number][writes][size];
	return sum;
}

uint64_t device_bytes(const struct device *device, bool writes)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < device->platform->nr_vcpus; i++)
		for (unsigned size = 1; size <= 8; size++)
			sum += device->platform->vcpu[i].accesses[device->number][writes][size] * size;
	return sum;
}
