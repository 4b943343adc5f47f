/* SPDX-License-Identifier: MIT */
#include "tests/unit/stress_device.h"
#include "mmu/grace.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <stdio.h>
#include <stdlib.h>

void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "stress: %s\n", what);
	abort();
}

struct agent agents[NR_AGENTS];
_Atomic uint64_t certain[NR_PLACES];
_Atomic uint64_t nr_made, nr_stress_released, released_calls, nr_commits, nr_refused;

unsigned agent_random(struct agent *agent, unsigned below)
{
	agent->random = agent->random * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(agent->random >> 33) % below;
}

uint64_t place_start(unsigned place)
{
	return FIRST_PLACE + PLACE_STRIDE * place;
}

static void release(void *context)
{
	struct device *device = context;

	for (unsigned i = 0; i < NR_VCPUS; i++)
		atomic_fetch_add(&released_calls, device->calls[i]);
	atomic_fetch_add(&nr_stress_released, 1);
	free(device);
}

static enum tl_status serve(struct tl_mmio *access)
{
	struct device *device = access->context;
	unsigned vcpu = hosted_cpu, place = (unsigned)((access->gpa - FIRST_PLACE) / PLACE_STRIDE);

	require(atomic_load(&device->places) & 1u << place, "a device is called where it does not stand any more");
	device->calls[vcpu]++;
	access->data = device->serial;
	/* Rule 8: a callback may change the map, also take away its own device. */
	if (agent_random(&agents[vcpu], 64) == 0)
		agent_changes(vcpu);
	return TL_OK;
}

bool committed(struct tl_edit *edit)
{
	enum tl_status status = tl_map_commit(edit);

	if (status >= TL_OK)
		atomic_fetch_add(&nr_commits, 1);
	else
		atomic_fetch_add(&nr_refused, 1);
	require(status >= TL_OK || (status == TL_AGAIN && grace_current()), "a commit was refused");
	return status >= TL_OK;
}

static void agent_adds(unsigned index)
{
	struct agent *agent = &agents[index];
	struct device *device = calloc(1, sizeof(*device));
	unsigned place = 2 * index + agent_random(agent, 2);
	struct tl_range range = {.kind = TL_RANGE_MMIO,
				 .start = place_start(place),
				 .size = PLACE_SIZE,
				 .access = serve,
				 .context = device,
				 .release = release};
	struct tl_edit *edit = tl_map_edit(vm);

	device->serial = ++agent->serials;
	atomic_store(&device->places, 1u << place);
	tl_map_add(edit, &range, &agent->id);
	if (!committed(edit)) {
		free(device);
		return;
	}
	atomic_fetch_add(&nr_made, 1);
	agent->device = device;
	agent->place = place;
	atomic_store(&certain[place], device->serial);
}

void agent_removes(struct agent *agent)
{
	struct tl_edit *edit = tl_map_edit(vm);
	struct device *device = agent->device;

	atomic_store(&certain[agent->place], 0);
	tl_map_remove(edit, agent->id);
	agent->device = NULL;
	if (committed(edit))
		return;
	agent->device = device;
	atomic_store(&certain[agent->place], device->serial);
}

/* The commit returns when nobody is called at the old place any more. */
static void agent_moves(struct agent *agent)
{
	struct tl_edit *edit = tl_map_edit(vm);
	struct device *device = agent->device;
	unsigned from = agent->place, to = from ^ 1;

	atomic_store(&certain[from], 0);
	atomic_fetch_or(&device->places, 1u << to);
	tl_map_move(edit, agent->id, place_start(to));
	committed(edit);
	atomic_fetch_and(&device->places, ~(1u << from));
	agent->place = to;
	atomic_store(&certain[to], device->serial);
}

void agent_changes(unsigned index)
{
	struct agent *agent = &agents[index];

	if (!agent->device)
		agent_adds(index);
	else if (index >= NR_VCPUS && agent_random(agent, 2))
		agent_moves(agent);
	else
		agent_removes(agent);
}
