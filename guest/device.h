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
	DEVICE_KIND_ABSENT,
	DEVICE_KIND_PLAIN
};

struct platform;

struct device {
	struct platform *platform;
	const char *name;
	enum device_kind kind;
	uint64_t address, size; /* its range, as last committed */
	tl_range_id id;
	unsigned live_ranges; /* added and not released yet */
	bool watched;         /* its accesses count down to a planned commit, or none should come at all */
	uint64_t releases;
	struct tl_ring *ring;    /* of one whose writes are coalesced */
	uint64_t accesses[2][9]; /* reads and writes, by size */
	uint8_t registers[ABI_BANK_SIZE];
};

/* The access that TL_EXIT_MMIO brings, to a device of DEVICE_KIND_EMBEDDER. Context: host. */
enum tl_status device_complete(struct tl_mmio *access);

/* Takes what is in the ring of the device of TL_EXIT_DRAIN, in order. Context: host. */
enum tl_status device_drain(const struct tl_mmio *access);

/* All its reads, or all its writes, and their bytes. */
uint64_t device_count(const struct device *device, bool writes);
uint64_t device_bytes(const struct device *device, bool writes);

/* The range that puts the device at `address`. */
struct tl_range device_range(struct device *device, uint64_t address);

#endif
