/* SPDX-License-Identifier: MIT */
#include "boot/trace_out.h"

#include "boot/console.h"
#include "boot/cpu.h"
#include "boot/libc.h"
#include "boot/tsc.h"

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
		host_print("reason %s rip 0x%lx qualification 0x%lx gpa 0x%lx", tl_exit_reason_name((uint16_t)r->data),
			   r->rip, r->other, r->gpa);
		break;
	case TL_TRACE_ENTRY:
		host_print("rip 0x%lx injects 0x%lx", r->rip, r->data);
		break;
	case TL_TRACE_MARK_MMIO_SPTE:
	case TL_TRACE_CHECK_MMIO_SPTE:
	case TL_TRACE_HANDLE_MMIO_PAGE_FAULT:
		host_print("gpa 0x%lx spte 0x%lx range %lu in the map 0x%lx%s", r->gpa, r->data, r->range, r->other,
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

/* The frames that tools/trace reads; numbers are little-endian. */
struct frame {
	char magic[8];
	uint16_t kind;  /* enum frame_kind */
	uint16_t cpu;   /* FRAME_RECORDS */
	uint32_t count; /* what follows: records, or characters of a name */
	uint64_t value; /* FRAME_RECORDS: how many more were lost. FRAME_GUEST: ticks of the TSC in a second, 0: unknown
			 */
};

enum frame_kind { FRAME_GUEST = 1, FRAME_RECORDS = 2 };

_Static_assert(sizeof(struct frame) == 24 && sizeof(struct tl_trace_record) == 64, "tools/trace_file.py knows them");

/* Bochs and QEMU take a byte at a time and wait for nothing. */
enum { DEBUGCON = 0xE9 };

static void send(struct frame frame, const void *content, size_t size)
{
	__builtin_memcpy(frame.magic, "TRAPLINE", sizeof(frame.magic));
	console_lock();
	io_write_bytes(DEBUGCON, &frame, sizeof(frame));
	io_write_bytes(DEBUGCON, content, size);
	console_unlock();
}

void trace_out_debugcon(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost)
{
	send((struct frame){.kind = FRAME_RECORDS, .cpu = (uint16_t)cpu, .count = (uint32_t)count, .value = lost},
	     records, count * sizeof(records[0]));
}

void trace_out_guest(const char *name)
{
	send((struct frame){.kind = FRAME_GUEST, .count = (uint32_t)strlen(name), .value = tsc_hz()}, name,
	     strlen(name));
}
