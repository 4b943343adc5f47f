/* SPDX-License-Identifier: MIT */
#include "guest/traced.h"

enum { BATCH = 32 };

void traced_begin(const struct guest_services *services)
{
	const struct tl_trace_config config = {
		.events = services->trace_events, .last = UINT64_MAX, .leaves_at_half = true};

	if (services->trace_events)
		tl_trace_start(&config);
}

void traced_drain(const struct guest_services *services, unsigned cpu)
{
	struct tl_trace_record record[BATCH];
	uint64_t lost;
	size_t count;

	if (!services->trace_events)
		return;
	do {
		count = tl_trace_read(cpu, record, BATCH, &lost);
		if (count || lost)
			services->take_trace(cpu, record, count, lost);
	} while (count == BATCH);
}

void traced_end(const struct guest_services *services, bool by_guest)
{
	if (by_guest)
		tl_trace_stop();
	if (!services->trace_events)
		return;
	tl_trace_stop();
	for (unsigned cpu = 0; cpu < services->nr_cpus; cpu++)
		traced_drain(services, cpu);
}
