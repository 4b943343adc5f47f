/* SPDX-License-Identifier: MIT */
/* The library's trace, for guests that check or measure it. Of the CPU that runs the guest's first vCPU. */
#include "guest/calls.h"

/* What was recorded before is dropped. */
static void drop_records(unsigned cpu)
{
	struct tl_trace_record record[16];
	uint64_t lost;

	while (tl_trace_read(cpu, record, 16, &lost))
		;
}

uint64_t calls_trace(struct platform_vcpu *vcpu, uint64_t events)
{
	const struct tl_trace_config config = {.events = (uint32_t)events, .last = UINT64_MAX};

	/* Where the run has a trace of its own, that one ends here. */
	if (events > UINT32_MAX || tl_trace_start(&config) != TL_OK)
		return HC_FAILED;
	vcpu->platform->traces = events != 0;
	if (events)
		drop_records(vcpu->ran_on);
	return 0;
}

uint64_t calls_trace_take(struct platform_vcpu *vcpu, uint64_t gpa, uint64_t count)
{
	struct tl_trace_record record;
	uint64_t lost, taken = 0;

	for (; taken < count && tl_trace_read(vcpu->ran_on, &record, 1, &lost) && !lost; taken++)
		if (!tl_mem_write(vcpu->platform->vm, gpa + taken * sizeof(record), &record, sizeof(record)))
			return HC_FAILED;
	return taken;
}
