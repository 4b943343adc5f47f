/* SPDX-License-Identifier: MIT */
#include "boot/trace_out.h"

#include "boot/console.h"

static const char *const access_names[] = {
	[TL_TRACE_READ] = "read",
	[TL_TRACE_WRITE] = "write",
	[TL_TRACE_UNSATISFIED] = "unsatisfied-read",
	[TL_TRACE_RING] = "ring",
};

/* What an event's record holds beside its head: include/trapline_trace.h. */
static void print_details(const struct tl_trace_record *r)
{
	switch (r->event) {
	case TL_TRACE_EXIT:
		host_print("reason %s rip 0x%lx %s 0x%lx", tl_exit_reason_name((uint16_t)r->data), r->rip,
			   r->data == 48 || r->data == 49 ? "gpa" : "qualification", r->gpa);
		break;
	case TL_TRACE_ENTRY:
		host_print("rip 0x%lx injects 0x%lx", r->rip, r->data);
		break;
	case TL_TRACE_MARK_MMIO_SPTE:
	case TL_TRACE_CHECK_MMIO_SPTE:
	case TL_TRACE_HANDLE_MMIO_PAGE_FAULT:
		host_print("gpa 0x%lx spte 0x%lx range %lu fresh 0x%lx%s", r->gpa, r->data, r->range, r->fresh,
			   r->event != TL_TRACE_CHECK_MMIO_SPTE ? ""
			   : r->detail                          ? " not valid"
								: " valid");
		break;
	case TL_TRACE_MMIO:
		host_print("%s gpa 0x%lx size %u data 0x%lx range %lu", access_names[r->detail & 3], r->gpa, r->size,
			   r->data, r->range);
		break;
	case TL_TRACE_COMMIT:
		host_print("generation %lu, %lu ranges", r->data, r->range);
		break;
	case TL_TRACE_GRACE:
		host_print("round %lu, %lu ticks", r->data, r->gpa);
		break;
	case TL_TRACE_ZAP:
		host_print("0x%lx to 0x%lx", r->gpa, r->data);
		break;
	default:
		host_print("%lu", r->data);
	}
}

void trace_out_text(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost)
{
	console_lock();
	for (size_t i = 0; i < count; i++) {
		const struct tl_trace_record *r = &records[i];

		host_print("trace: %lu cpu %u vcpu %u %s ", r->tsc, cpu, r->vcpu,
			   r->event < TL_NR_TRACE_EVENTS ? tl_trace_event_names[r->event] : "unknown event");
		print_details(r);
		host_print("\n");
	}
	if (lost)
		host_print("trace: cpu %u had no room for %lu later events\n", cpu, lost);
	console_unlock();
}
