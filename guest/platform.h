/* SPDX-License-Identifier: MIT */
/* The machine of one guest: RAM, the devices of abi.h, and the VM that holds them. */
#ifndef GUEST_PLATFORM_H
#define GUEST_PLATFORM_H

#include "guest/device.h"
#include "guest/guest.h"
#include "guest/load.h"
#include "guest/options.h"
#include "guest/scenario.h"
#include "guest/text.h"

enum {
	PLATFORM_FAULT = 160,
	PLATFORM_FILLER = ABI_NR_DEVICES, /* one more device, which all ranges of HC_GROW share */
};

struct platform {
	const struct guest_services *services;
	const char *name; /* the guest's */
	struct tl_vm *vm;
	struct tl_vcpu *vcpu;
	struct load_memory memory;
	uint8_t *ram; /* within the block that was allocated */
	void *block;
	size_t block_pages;
	unsigned nr_ranges; /* in the map, without the hole */
	uint64_t plan_countdown;
	struct scenario_edit plan;
	uint64_t plan_status;
	char last_line[ABI_TEXT + 1]; /* of HC_PRINT */
	char fault[PLATFORM_FAULT];   /* the first thing that a host-side check found wrong; "" if none */
	struct device device[ABI_NR_DEVICES + 1];
};

/*
 * Builds the VM and one vCPU. *platform is zeroed memory. False, with nothing left allocated and one sentence in
 * `why`, if it cannot be had. Context: host.
 */
bool platform_create(struct platform *platform, const struct guest_services *services,
		     const struct guest_options *options, char *why, size_t size);

/* Frees everything but *platform itself, and checks that every device was released. Context: host. */
void platform_destroy(struct platform *platform);

/* The accesses that the devices counted. */
uint64_t platform_accesses(const struct platform *platform);

/* Notes what a host-side check found wrong; the guest fails. The first one is kept. Context: host or callback. */
#define platform_fault(platform, ...)                                                \
	do {                                                                         \
		if (!(platform)->fault[0])                                           \
			text_format((platform)->fault, PLATFORM_FAULT, __VA_ARGS__); \
	} while (0)

#endif
