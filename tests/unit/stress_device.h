/* SPDX-License-Identifier: MIT */
/*
 * The devices of the stress test. Each agent, a writer or the callbacks of a vCPU, has one that comes and goes between
 * two places of its own. Agents are numbered like the CPUs (hosted_cpu): the vCPUs first, then the writers.
 */
#ifndef UNIT_STRESS_DEVICE_H
#define UNIT_STRESS_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <trapline.h>

enum { NR_VCPUS = 3, NR_WRITERS = 2, NR_AGENTS = NR_VCPUS + NR_WRITERS, NR_PLACES = 2 * NR_AGENTS };

#define PLACE_STRIDE 0x800ull
#define PLACE_SIZE   0x700ull
#define FIRST_PLACE  0x10000000ull

struct device {
	uint64_t serial;
	/* Where it may answer: a place is put in before the commit, and taken out when the commit has returned. */
	_Atomic uint32_t places;
	uint64_t calls[NR_VCPUS]; /* plain: each vCPU's own, summed by the release hook after the last call */
};

struct agent {
	struct device *device; /* NULL: none */
	tl_range_id id;
	unsigned place;
	uint64_t random, serials;
};

extern struct agent agents[NR_AGENTS];
/* The serial of the device that answers at a place for certain, from after its commit to before the next; 0: none. */
extern _Atomic uint64_t certain[NR_PLACES];
extern _Atomic uint64_t nr_made, nr_stress_released, released_calls, nr_commits, nr_refused;

/* Ends the process, from whatever thread. */
void require(bool holds, const char *what);

unsigned agent_random(struct agent *agent, unsigned below);
uint64_t place_start(unsigned place);

/* Commits; false: refused, inside a callback with too many maps waiting. Everything else must not happen. */
bool committed(struct tl_edit *edit);

/* Adds, moves or removes its device. Inside a callback it is not moved: when that commit completes is not known. */
void agent_changes(unsigned index);
void agent_removes(struct agent *agent);

#endif
