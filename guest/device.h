/* SPDX-License-Identifier: MIT */
/* The platform's devices: models that check every access they get. */
#ifndef GUEST_DEVICE_H
#define GUEST_DEVICE_H

#include "guest/abi.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <trapline.h>

enum device_kind {
	DEVICE_KIND_BANK,
	DEVICE_KIND_PATTERN,
	DEVICE_KIND_EMBEDDER,
	DEVICE_KIND_BROKEN,
	/* Not in the map until they are added. */
	DEVICE_KIND_ABSENT,
	DEVICE_KIND_PLAIN,
	DEVICE_KIND_PLAINEMB,
	DEVICE_KIND_BELL,
	DEVICE_KIND_MATCH,
	DEVICE_KIND_SHADOW,
	DEVICE_KIND_COALESCED,
	DEVICE_KIND_LATE,
	DEVICE_KIND_SIZED,
	DEVICE_KIND_FLASH,
	DEVICE_KIND_CODE,
	DEVICE_KIND_CONTROL,
	DEVICE_KIND_BACKED,
	DEVICE_KIND_BACKEDEMB,
	DEVICE_KIND_MEMORY
};

/* Of a ring of coalesced writes: small, so that tests fill it. */
enum { DEVICE_RING_ENTRIES = 16 };

struct platform;

struct device {
	struct platform *platform;
	const char *name;
	unsigned number; /* enum abi_device_id; the filler is behind them */
	enum device_kind kind;
	uint64_t address, size; /* its range, as last committed */
	tl_range_id id;
	_Atomic unsigned live_ranges; /* added and not released yet */
	_Atomic bool watched;         /* its accesses count down to a planned commit, or none should come at all */
	_Atomic uint64_t releases;
	uint64_t backing; /* guest memory behind a BACKED device */
	struct tl_mmio_options options;
	struct tl_doorbell bell;
	_Atomic uint64_t rings;                                          /* of a doorbell that calls */
	void *block;                                                     /* of a MEMORY: what was allocated, */
	uint8_t *memory;                                                 /* and the memory in it */
	uint8_t registers[ABI_BANK_SIZE] __attribute__((aligned(4096))); /* of a BELL: its counts */
};

_Static_assert(TL_MAX_CPUS * sizeof(struct tl_doorbell_count) <= ABI_BANK_SIZE, "a bell's counts are its registers");

/* Callbacks. */
enum tl_status device_bank(struct tl_mmio *access);
enum tl_status device_pattern(struct tl_mmio *access);
enum tl_status device_flash(struct tl_mmio *access);
enum tl_status device_backed(struct tl_mmio *access);
enum tl_status device_broken(struct tl_mmio *access);

/* The access that TL_EXIT_MMIO brings, to a device without a callback. Context: host. */
enum tl_status device_complete(struct tl_mmio *access);

/* Takes what is in the ring of the device of TL_EXIT_DRAIN, in order. Context: host. */
enum tl_status device_drain(const struct tl_mmio *access);

/* All its reads, or all its writes, and their bytes, by all vCPUs. */
uint64_t device_count(const struct device *device, bool writes);
uint64_t device_bytes(const struct device *device, bool writes);

/* How often a BELL, MATCH or SHADOW rang. */
uint64_t device_rings(const struct device *device);

/* Makes what the device needs before it is added for the first time. False: no memory. Context: host or callback. */
bool device_prepare(struct device *device);

/* Frees it. Precondition: its range is released. */
void device_destroy(struct device *device);

/* The range that puts the device at `address`. */
struct tl_range device_range(struct device *device, uint64_t address);

#endif
