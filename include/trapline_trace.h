/* SPDX-License-Identifier: MIT */
/* The trace: what the CPUs did for their guests, record by record. Included by trapline.h. */
#ifndef TRAPLINE_TRACE_H
#define TRAPLINE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The events, by KVM's names where KVM has them. What a record of each holds beside its head: */
enum tl_trace_event {
	TL_TRACE_EXIT,  /* data: exit reason. rip. other: exit qualification. gpa: of an EPT exit */
	TL_TRACE_ENTRY, /* rip. data: the event that it injects, as in the VMCS, or 0 */
	/* Of an EPT entry: gpa. data: the entry. range: that it names. other: what the map says it would have to be. */
	TL_TRACE_MARK_MMIO_SPTE,         /* data: what was written */
	TL_TRACE_CHECK_MMIO_SPTE,        /* detail: the verdict, 0 is EMULATE */
	TL_TRACE_HANDLE_MMIO_PAGE_FAULT, /* data: after it. detail: 0 where a device is to serve the access */
	/* gpa, size, range. detail: enum tl_trace_access. data: what was read or written. other: the TSC before the
	 * device was asked, 0 where that is not known */
	TL_TRACE_MMIO,
	TL_TRACE_COMMIT, /* data: the generation. range: how many there are by now */
	TL_TRACE_GRACE,  /* data: the round that was waited for. gpa: TSC ticks that it took */
	TL_TRACE_ZAP,    /* gpa: the first address. data: the last one */
	TL_TRACE_FLUSH,  /* data: the VM's flush number that this CPU is up to now */
	TL_TRACE_KICK,   /* data: the CPU that was kicked */
	TL_NR_TRACE_EVENTS
};

/* Their names; NULL ends the list. */
extern const char *const tl_trace_event_names[];

/* How an access went. */
enum tl_trace_access {
	TL_TRACE_READ,
	TL_TRACE_WRITE,
	TL_TRACE_UNSATISFIED, /* a read that was left to the embedder; TL_TRACE_READ follows when it is completed */
	TL_TRACE_RING,        /* a doorbell that nothing was decoded for: neither size nor data is known */
};

struct tl_trace_record {
	uint64_t tsc;
	uint8_t event; /* enum tl_trace_event */
	uint8_t detail;
	uint8_t size;
	uint8_t reserved[3];
	uint16_t vcpu; /* that the CPU was running, by its VPID; 0: none */
	uint64_t gpa;
	uint64_t data;
	uint64_t rip;
	uint64_t other;
	uint64_t range;  /* id */
	uint64_t unused; /* a record is a cache line */
};

enum { TL_TRACE_RING_RECORDS = 16384 /* that a CPU holds until they are taken */ };

struct tl_trace_config {
	uint32_t events;      /* mask of 1 << enum tl_trace_event */
	uint64_t first, last; /* addresses: records of an EPT entry or of an access elsewhere are left out */
	/* A vCPU whose CPU has half of its ring full leaves tl_vcpu_run() by TL_EXIT_KICKED, so that it can be read. */
	bool leaves_at_half;
};

/*
 * Turns tracing on, or changes what is traced. The first record of a CPU allocates its ring (1 MiB). A
 * vCPU that runs meanwhile traces its exits from its next tl_vcpu_run() on. While TL_TRACE_EXIT, TL_TRACE_ENTRY,
 * TL_TRACE_CHECK_MMIO_SPTE or TL_TRACE_MMIO is on, each access has an exit of its own: nothing is clustered.
 * TL_INVALID_ARGUMENT: no such event, or first above last. Context: host.
 */
enum tl_status tl_trace_start(const struct tl_trace_config *config);
void tl_trace_stop(void);

/*
 * Takes up to `count` records of `cpu`, oldest first, and returns how many. *lost: how many were not kept since the
 * last call, for want of room or memory. Context: any. Concurrency: one reader at a time for each CPU; the CPU itself
 * may go on.
 */
size_t tl_trace_read(unsigned cpu, struct tl_trace_record *records, size_t count, uint64_t *lost);

/* Gives the rings back, with what was not taken. Preconditions: stopped; no vCPU runs and no map is edited meanwhile.
 */
void tl_trace_release(void);

#endif
