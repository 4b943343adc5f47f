/* SPDX-License-Identifier: MIT */
/*
 * Riders: devices that many vCPUs use while the map changes under them, and that notice whatever must not happen. Each
 * write carries who made it and a number that grows from write to write, so that one that comes twice or late is seen.
 * A rider knows from which addresses it may be reached: from the old and the new one while a commit is under way,
 * from the new one alone once it has returned (rule 3), from none after its release.
 */
#ifndef GUEST_RIDER_H
#define GUEST_RIDER_H

#include "guest/abi.h"
#include <stdatomic.h>
#include <trapline.h>

struct platform;
struct platform_vcpu;

/* What one vCPU did to one rider; written on the CPU that runs it, and by nobody else. */
struct rider_count {
	uint64_t last; /* value written */
	uint64_t reads, writes;
} __attribute__((aligned(64)));

struct rider {
	struct platform *platform;
	unsigned number;
	tl_range_id id;
	_Atomic uint64_t from[2]; /* where its accesses may come from; RIDER_NOWHERE */
	_Atomic uint32_t live;    /* added, and not released yet */
	_Atomic uint64_t releases;
	struct rider_count count[ABI_VCPUS];
};

/* Readies all riders; none is in the map. */
void riders_init(struct platform *platform);

/*
 * HC_RIDE, and a write to the device CONTROL: ADD, REMOVE, MOVE or INVALIDATE. Returns the commit's enum tl_status, or
 * HC_FAILED. Each rider must be edited by one vCPU at a time. Context: host, or callback of `vcpu`.
 */
uint64_t rider_edit(struct platform_vcpu *vcpu, uint64_t edit, uint64_t number, uint64_t operand);

/* The callback of CONTROL. */
enum tl_status rider_control(struct tl_mmio *access);

/* HC_RIDER. */
struct abi_rider rider_report(const struct rider *rider);

/* The accesses that all riders counted. */
uint64_t riders_accesses(const struct platform *platform);

#endif
