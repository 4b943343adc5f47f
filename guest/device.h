/* SPDX-License-Identifier: MIT */
/* The platform's devices: models that check every access they get. */
#ifndef GUEST_DEVICE_H
#define GUEST_DEVICE_H

#include "guest/abi.h"
#include <stdbool.h>
#include <trapline.h>

enum device_kind {
	DEVICE_KIND_BANK,
	DEVICE_KIND_PATTERN,
	DEVICE_KIND_EMBEDDER,
	DEVICE_KIND_BROKEN,
	DEVICE_KIND_ABSENT
};

struct platform;

struct device {
	struct platform *platform;
	const char *name;
	enum device_kind kind;
	uint64_t address, size; /* its range, as last committed */
	tl_range_id id;
	unsigned live_ranges; /* added and not released yet */
	uint64_t reads, writes, bytes_read, bytes_written, releases;
	uint8_t registers[ABI_BANK_SIZE];
};

/* Serves one access to any device; its context is the struct device. The callback of the ranges, and of TL_EXIT_MMIO.
 */
enum tl_status device_access(struct tl_mmio *access);

/* The range that puts the device at `address`. */
struct tl_range device_range(struct device *device, uint64_t address);

#endif
