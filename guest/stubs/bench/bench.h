/* SPDX-License-Identifier: MIT */
/* What the guest bench measures, and what it measures with. */
#ifndef GUEST_STUBS_BENCH_H
#define GUEST_STUBS_BENCH_H

#include "guest/stubs/lib.h"
#include "guest/stubs/ticks.h"

extern uint32_t samples[SAMPLES];
extern uint64_t rdtsc_pair; /* ticks of TICKS(EMPTY, 0) */

/* Prints the first `count` samples less `base`; returns their median, base and all. */
uint64_t report_some(const char *name, uint64_t count, uint64_t base);

/* The ticks of one change of the map. */
uint64_t time_edit(enum abi_edit edit, enum abi_device_id device, uint64_t operand);

/* size.c: what must not depend on the size of a range. */
void measure_logs(void);
void measure_sizes(void);

/* A device's set-up: 16 registers stored one after the other. */
#define STORE(at)      "mov %%r9d, " #at "(%%rsi)\n\t"
#define STORE_ROW(row) STORE(row##0) "" STORE(row##4) "" STORE(row##8) "" STORE(row##c)
#define STORES         STORE_ROW(0x0) "" STORE_ROW(0x1) "" STORE_ROW(0x2) "" STORE_ROW(0x3)

/* The same with a value made for each: as many instructions in between. */
#define MADE(at)      "mov $0x1234, %%r9d\n\t" STORE(at)
#define MADE_ROW(row) MADE(row##0) "" MADE(row##4) "" MADE(row##8) "" MADE(row##c)
#define MADE_STORES   MADE_ROW(0x0) "" MADE_ROW(0x1) "" MADE_ROW(0x2) "" MADE_ROW(0x3)

/* Loops of as many reads: a plain one; one that waits for a bit that never comes, and gives up; the same on memory. */
#define TURNS 64
#define LOOP(body)                  \
	"mov $64, %%ecx\n\t"        \
	"1:\t" body "dec %%ecx\n\t" \
	"jnz 1b\n"                  \
	"2:"
#define READ_LOOP   LOOP(READ "\n\t")
#define POLL_LOOP   LOOP(READ "\n\ttest $1, %%r9b\n\tjnz 2f\n\t")
#define POLL_MEMORY LOOP("pause\n\t" TEST "\n\tjnz 2f\n\t")

/* Reads that are more than a move. */
#define READ8 "movb 0x10(%%rsi), %%r9b"
#define TEST  "testl $1, 0x10(%%rsi)"

/* `elements` sent to a device, and received from it. */
#define REP_MOVSD(count, from, to)       \
	"mov %%rsi, %%r9\n\t"            \
	"mov %%rdi, %%rbx\n\t"           \
	"lea elements(%%rip), %%rdx\n\t" \
	"mov %%" from ", %%rsi\n\t"      \
	"mov %%" to ", %%rdi\n\t"        \
	"mov $" #count ", %%ecx\n\t"     \
	"cld\n\t"                        \
	"rep movsl\n\t"                  \
	"mov %%r9, %%rsi\n\t"            \
	"mov %%rbx, %%rdi"
#define SEND(count)    REP_MOVSD(count, "rdx", "r9")
#define RECEIVE(count) REP_MOVSD(count, "r9", "rdx")

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
