/* SPDX-License-Identifier: MIT */
#include "guest/profile.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { PROBES = 32 /* where a place is looked for */ };

struct profiled_range {
	uint64_t id, first, last; /* the lowest and the highest byte that was accessed */
	uint64_t reads, writes, rings, bytes;
	uint64_t size[4]; /* accesses of 1, 2, 4, 8 bytes */
	uint64_t ticks, buckets[PROFILE_BUCKETS];
	bool used, shown;
};

/* A register, or an instruction, of a range. */
struct place {
	uint64_t address, range, count; /* count 0: free */
};

static struct {
	struct profiled_range range[PROFILE_RANGES];
	struct place reg[PROFILE_PLACES], code[PROFILE_PLACES];
	uint64_t rip[TL_MAX_CPUS]; /* of the CPU's last exit */
	uint64_t lost, left_out;   /* records; accesses to ranges, registers and instructions beyond what is kept */
} profile;

static atomic_flag busy = ATOMIC_FLAG_INIT;

void profile_reset(void)
{
	__builtin_memset(&profile, 0, sizeof(profile));
}

/* By the id, in any free place: ids are small and few. */
static struct profiled_range *range_of(uint64_t id)
{
	for (unsigned i = 0; i < PROFILE_RANGES; i++) {
		struct profiled_range *range = &profile.range[(id + i) % PROFILE_RANGES];

		if (!range->used)
			*range = (struct profiled_range){.id = id, .first = UINT64_MAX, .used = true};
		if (range->id == id)
			return range;
	}
	return NULL;
}

static void count_place(struct place *places, uint64_t address, uint64_t range)
{
	/* Addresses lie close together, so a multiplication spreads them. */
	unsigned at = (unsigned)((address + range * 0x1000) * 0x9e3779b97f4a7c15 >> 51);

	_Static_assert(PROFILE_PLACES == 1 << (64 - 51), "the hash is an index");
	for (unsigned i = 0; i < PROBES; i++) {
		struct place *place = &places[(at + i) % PROFILE_PLACES];

		if (!place->count) {
			place->address = address;
			place->range = range;
		}
		if (place->address == address && place->range == range) {
			place->count++;
			return;
		}
	}
	profile.left_out++;
}

static unsigned bucket_of(uint64_t ticks)
{
	unsigned bucket = ticks ? 63 - (unsigned)__builtin_clzll(ticks) : 0;

	return bucket < PROFILE_BUCKETS ? bucket : PROFILE_BUCKETS - 1;
}

static void add_access(unsigned cpu, const struct tl_trace_record *r)
{
	struct profiled_range *range = range_of(r->range);
	uint64_t ticks = r->other ? r->tsc - r->other : 0;

	/* It counts when it is completed. */
	if (r->detail == TL_TRACE_UNSATISFIED)
		return;
	if (!range) {
		profile.left_out++;
		return;
	}
	range->reads += r->detail == TL_TRACE_READ;
	range->writes += r->detail == TL_TRACE_WRITE;
	range->rings += r->detail == TL_TRACE_RING;
	range->bytes += r->size;
	if (r->size && !(r->size & (r->size - 1)) && r->size <= 8)
		range->size[__builtin_ctz(r->size)]++;
	range->first = r->gpa < range->first ? r->gpa : range->first;
	range->last = r->gpa > range->last ? r->gpa : range->last;
	range->ticks += ticks;
	range->buckets[bucket_of(ticks)]++;
	count_place(profile.reg, r->gpa, r->range);
	count_place(profile.code, profile.rip[cpu], r->range);
}

void profile_add(unsigned cpu, const struct tl_trace_record *records, size_t count, uint64_t lost)
{
	/* acquire, release: what the CPU before left. */
	while (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
		__builtin_ia32_pause();
	profile.lost += lost;
	for (size_t i = 0; i < count; i++) {
		if (records[i].event == TL_TRACE_EXIT)
			profile.rip[cpu] = records[i].rip;
		else if (records[i].event == TL_TRACE_MMIO)
			add_access(cpu, &records[i]);
	}
	atomic_flag_clear_explicit(&busy, memory_order_release);
}

static uint64_t accesses_of(const struct profiled_range *range)
{
	return range->reads + range->writes + range->rings;
}

static struct profiled_range *busiest(void)
{
	struct profiled_range *found = NULL;

	for (unsigned i = 0; i < PROFILE_RANGES; i++) {
		struct profiled_range *range = &profile.range[i];

		if (range->used && !range->shown && (!found || accesses_of(range) > accesses_of(found)))
			found = range;
	}
	return found;
}

/* Each that is shown is taken out, so that the next one is found. */
static void show_hottest(profile_print_fn print, const char *what, struct place *places, uint64_t range)
{
	print("    %s", what);
	for (unsigned shown = 0; shown < PROFILE_HOTTEST; shown++) {
		struct place *hottest = NULL;

		for (unsigned i = 0; i < PROFILE_PLACES; i++)
			if (places[i].count && places[i].range == range &&
			    (!hottest || places[i].count > hottest->count))
				hottest = &places[i];
		if (!hottest)
			break;
		print("  0x%lx %lu", hottest->address, hottest->count);
		hottest->count = 0;
	}
	print("\n");
}

static void show_histogram(profile_print_fn print, const struct profiled_range *range)
{
	print("    ticks in the callback: %lu on average; at least", range->ticks / accesses_of(range));
	for (unsigned i = 0; i < PROFILE_BUCKETS; i++)
		if (range->buckets[i])
			print("  %lu: %lu", (uint64_t)(i ? 1ull << i : 0), range->buckets[i]);
	print("\n");
}

static void show_range(profile_print_fn print, const struct profiled_range *range)
{
	print("  range %lu, 0x%lx to 0x%lx: %lu reads, %lu writes, %lu rings; %lu bytes; of size 1 %lu, 2 %lu, 4 %lu, "
	      "8 %lu\n",
	      range->id, range->first, range->last, range->reads, range->writes, range->rings, range->bytes,
	      range->size[0], range->size[1], range->size[2], range->size[3]);
	show_histogram(print, range);
	show_hottest(print, "registers ", profile.reg, range->id);
	show_hottest(print, "by code at", profile.code, range->id);
}

void profile_show(profile_print_fn print)
{
	struct profiled_range *range;

	while ((range = busiest())) {
		range->shown = true;
		if (accesses_of(range))
			show_range(print, range);
	}
	if (profile.lost || profile.left_out)
		print("  %lu records were lost, %lu were more than what is kept\n", profile.lost, profile.left_out);
}
