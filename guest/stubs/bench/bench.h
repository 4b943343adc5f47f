/* SPDX-License-Identifier: MIT */
/* What the guest bench measures, and what it measures with. */
#ifndef GUEST_STUBS_BENCH_H
#define GUEST_STUBS_BENCH_H

#include "guest/stubs/lib.h"
#include "guest/stubs/ticks.h"
#include <trapline.h>

extern uint32_t samples[SAMPLES];
extern uint64_t rdtsc_pair; /* ticks of TICKS(EMPTY, 0) */

/* Prints the first `count` samples less `base`; returns their median, base and all. */
uint64_t report_some(const char *name, uint64_t count, uint64_t base);

/* The ticks of one change of the map. */
uint64_t time_edit(enum abi_edit edit, enum abi_device_id device, uint64_t operand);

uint64_t time_memory(enum abi_bench_memory what, uint64_t size);

/* The address, after something was done that the access to it is measured after. */
uint64_t invalidated(uint64_t address);
uint64_t evicted(uint64_t address);
uint64_t after_other_commit(uint64_t address);
uint64_t drained(uint64_t address);

/* Copies of read_site, and one whose access ends `beyond` bytes behind the end of a page. */
extern uint8_t sites[SAMPLES + WARM_UP][SITE_SIZE];
void make_sites(void);
const uint8_t *site_at_page_end(size_t beyond);

void add_other_kinds(void);
void remove_other_kinds(void);

/* The records of an access, of which tools/bench works out what one costs. */
enum {
	EVENTS_OF_ACCESS =
		1 << TL_TRACE_EXIT | 1 << TL_TRACE_CHECK_MMIO_SPTE | 1 << TL_TRACE_MMIO | 1 << TL_TRACE_ENTRY,
};

/* vector.c */
void measure_vectors(void);

/* trace.c: the same, each a few times between magic breakpoints. */
void trace(void);

/* size.c: what must not depend on the size of a range. */
void measure_logs(void);
void measure_sizes(void);

/* `sample` gives the ticks of sample `n`. The first are taken cold: the last ones take their places. */
#define SAMPLE(sample)                                             \
	do {                                                       \
		for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++)   \
			samples[n % SAMPLES] = (uint32_t)(sample); \
	} while (0)

/*
 * The same for accesses: `fresh` says whether the entry's tag has to serve all of them, or none. A sample has `count`
 * accesses, of which one is measured.
 */
#define SAMPLE_ACCESSES(name, sample, fresh, count)             \
	do {                                                    \
		uint64_t before = verdicts(fresh);              \
                                                                \
		SAMPLE(sample);                                 \
		check_verdicts(before, verdicts(fresh), count); \
		report(name, rdtsc_pair);                       \
	} while (0)
#define SAMPLE_ACCESS(name, sample, fresh) SAMPLE_ACCESSES(name, sample, fresh, 1)

/* Accesses that are measured together: the ticks of each of `count`, rounded up. `checked` times a tag was. */
#define SAMPLE_EACH(name, sample, count, checked)                    \
	do {                                                         \
		uint64_t before = verdicts(true);                    \
                                                                     \
		SAMPLE(((sample)-rdtsc_pair + (count)-1) / (count)); \
		check_verdicts(before, verdicts(true), checked);     \
		report(name, 0);                                     \
	} while (0)

#endif
