/* SPDX-License-Identifier: MIT */
/* Ranges by hand: those that the command line adds to the map of every guest. */
#ifndef GUEST_HAND_H
#define GUEST_HAND_H

#include "guest/abi.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <trapline.h>

enum { HAND_MOST_MEMORY = 16 << 20 /* bytes that are kept for a range */ };

/* What was asked for. */
struct hand_range {
	uint64_t start, size;
	enum abi_hand_kind kind;
};

struct platform;

/* One of them in a guest's machine. */
struct hand {
	struct hand_range range;
	struct platform *platform;
	uint8_t *memory; /* what is kept in it; of a doorbell its counts */
	size_t pages;
	struct tl_mmio_options options;
	struct tl_doorbell bell;
	_Atomic uint64_t reads, writes; /* that the callback served */
};

/*
 * Whether the ranges can be had: below `limit`, the end of the addresses that there are, and apart from each other.
 * False, and one sentence in `why`, if not. Context: any.
 */
bool hand_check(const struct hand_range *ranges, size_t count, uint64_t limit, char *why, size_t size);

/* Whether they are apart from the memory of a guest that has `memory` bytes of it. The same otherwise. */
bool hand_check_memory(const struct hand_range *ranges, size_t count, uint64_t memory, char *why, size_t size);

/* Whether one of the platform's own ranges would overlap one by hand, and so gives way. */
bool hand_covers(const struct platform *platform, uint64_t start, uint64_t size);

/* Adds those of the services to a transaction. Context: host. */
enum tl_status hand_add(struct platform *platform, struct tl_edit *edit);

/* Frees what hand_add() made. Precondition: the VM is destroyed. */
void hand_free(struct platform *platform);

/* HC_HAND. */
uint64_t hand_report(struct platform *platform, uint64_t number, uint64_t gpa);

/* The accesses that their callback served. */
uint64_t hand_accesses(const struct platform *platform);

#endif
