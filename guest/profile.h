/* SPDX-License-Identifier: MIT */
/*
 * What a guest did to its devices, worked out of the library's trace while it runs: of each range the accesses, their
 * sizes, the time that its callback took, the registers and the instructions that account for most.
 */
#ifndef GUEST_PROFILE_H
#define GUEST_PROFILE_H

#include <stddef.h>
#include <stdint.h>
#include <trapline.h>

/* The events that it needs. */
enum { PROFILE_EVENTS = 1 << TL_TRACE_EXIT | 1 << TL_TRACE_MMIO };

enum {
	PROFILE_RANGES = 64,   /* of others only the accesses are counted */
	PROFILE_PLACES = 8192, /* registers and instructions, each; likewise */
	PROFILE_BUCKETS = 24,  /* of the histogram: 2^n ticks and more, the last one has all above */
	PROFILE_HOTTEST = 5,   /* that are shown of a range */
};

typedef void (*profile_print_fn)(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Forgets everything. Context: while nobody adds. */
void profile_reset(void);

/* Takes records of `cpu`, in their order: a guest_services.take_trace. Context: any. */
void profile_add(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost);

/* The table, the busiest range first. Context: while nobody adds. */
void profile_show(profile_print_fn print);

#endif
