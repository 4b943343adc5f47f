/* SPDX-License-Identifier: MIT */
/*
 * Several vCPUs on devices that come, move and go under them as fast as they can be committed. Each vCPU edits a rider
 * of its own, the first one by hypercalls, which commit outside of any callback, the others by writes to CONTROL, whose
 * callback commits; and each uses the riders of all. The very next access of the one that committed must see the new
 * map; the riders see whether an access comes from where they no longer are, or after their release, or twice. In the
 * end each access must be counted where it went: to a rider or to the hole. With the word `sitter` the last vCPU stays
 * in a loop without an exit, so that every commit that has to wait needs a kick.
 */
#include "guest/stubs/libsmp.h"

enum { DEFAULT_ROUNDS = 1600, USES_BETWEEN = 4, PLACES = ABI_RIDER_SIZE / 8 };

/* What one vCPU did. */
static struct doer {
	bool present, away;
	uint64_t reads, writes, edits, controls, releases;
} __attribute__((aligned(64))) doers[ABI_VCPUS];

static uint64_t rounds, crossings;
static unsigned vcpus;
static unsigned working; /* vCPUs */
static bool finished, sitter, interruptible;

static uint64_t place_of(unsigned number, bool away)
{
	return 0xd0400000 + (uint64_t)number * 0x10000 + (away ? 0x8000 : 0);
}

static void put(unsigned index, uint64_t rider_at, unsigned place)
{
	write64(rider_at + 8ull * place, smp_ride_value(index, place));
	doers[index].writes++;
}

static uint64_t get(unsigned index, uint64_t rider_at, unsigned place)
{
	doers[index].reads++;
	return read64(rider_at + 8ull * place);
}

/* At either place of anybody's rider, which may be there or not. */
static void use_any(unsigned index)
{
	uint64_t random = smp_random(index), value;
	uint64_t at = place_of((unsigned)(random >> 32) % vcpus, random & 1);
	unsigned place = (unsigned)(random >> 8) % PLACES;

	if (random & 2) {
		put(index, at, place);
		return;
	}
	value = get(index, at, place);
	CHECK(value == UINT64_MAX || value == 0 || value >> ABI_RIDE_VCPU_SHIFT == index);
}

/* The status of a commit, which may be pending in a callback: TL_PENDING is 1, TL_AGAIN -9, TL_CONFLICT -8. */
static bool commit(unsigned index, enum abi_edit edit, uint64_t address)
{
	struct doer *doer = &doers[index];
	uint64_t at = DEVICE_CONTROL_AT + 8ull * index, status;

	doer->edits++;
	if (index == 0) {
		status = vmcall(HC_RIDE, edit, index, address, 0);
	} else {
		write64(at, (uint64_t)edit << 56 | address);
		status = read64(at);
		doer->controls += 2;
	}
	if (status == (uint64_t)-9 || status == (uint64_t)-8)
		return false;
	CHECK(status == 0 || (status == 1 && index != 0));
	return true;
}

static void edit_own(unsigned index)
{
	struct doer *doer = &doers[index];
	unsigned choice = (unsigned)(smp_random(index) >> 20) % 8;

	if (!doer->present) {
		doer->away = choice & 1;
		doer->present = commit(index, EDIT_ADD, place_of(index, doer->away));
	} else if (choice == 0) {
		doer->present = !commit(index, EDIT_REMOVE, 0);
		doer->releases += !doer->present;
	} else if (choice == 1) {
		commit(index, EDIT_INVALIDATE, 0);
	} else if (commit(index, EDIT_MOVE, place_of(index, !doer->away))) {
		doer->away = !doer->away;
	}
}

/* Nobody else edits it. */
static void check_own(unsigned index)
{
	const struct doer *doer = &doers[index];
	unsigned place = (unsigned)(smp_random(index) >> 16) % PLACES;
	uint64_t here = place_of(index, doer->away), other = place_of(index, !doer->away);

	CHECK_EQUAL(get(index, other, place), UINT64_MAX);
	put(index, here, place);
	if (doer->present)
		CHECK_EQUAL(get(index, here, place) >> ABI_RIDE_PLACE_SHIFT, (uint64_t)index << 8 | (place & 0xff));
	else
		CHECK_EQUAL(get(index, here, place), UINT64_MAX);
}

/* So many rounds, or until the generation has wrapped so often: the first vCPU looks. */
static bool is_over(unsigned index, uint64_t round)
{
	if (!crossings)
		return round >= rounds;
	if (index == 0 && round % 16 == 15 && lib_stats().wraps >= crossings)
		__atomic_store_n(&finished, true, __ATOMIC_RELAXED);
	return __atomic_load_n(&finished, __ATOMIC_RELAXED);
}

static void sit(void)
{
	while (__atomic_load_n(&working, __ATOMIC_ACQUIRE))
		if (interruptible)
			smp_let_in();
		else
			__builtin_ia32_pause();
}

static void remap(unsigned index)
{
	smp_barrier();
	if (sitter && index == vcpus - 1) {
		sit();
		return;
	}
	for (uint64_t round = 0; !is_over(index, round); round++) {
		edit_own(index);
		check_own(index);
		for (unsigned i = 0; i < USES_BETWEEN; i++)
			use_any(index);
	}
	__atomic_fetch_sub(&working, 1, __ATOMIC_RELEASE);
}

int main(const struct mb1_info *info)
{
	struct doer sum = {0};
	uint64_t reads = 0, writes = 0, releases = 0;
	struct abi_stats stats;

	vcpus = smp_vcpus();
	rounds = lib_number(info, "rounds=", DEFAULT_ROUNDS) / vcpus;
	crossings = lib_number(info, "crossings=", 0);
	sitter = lib_word(info, "sitter");
	interruptible = lib_word(info, "interruptible");
	working = vcpus - sitter;
	CHECK_EQUAL(lib_edit(EDIT_ADD, DEVICE_CONTROL, DEVICE_CONTROL_AT), 0);
	smp_run(remap);
	for (unsigned i = 0; i < vcpus; i++) {
		struct abi_rider rider = smp_rider(i);

		reads += rider.reads;
		writes += rider.writes;
		releases += rider.releases;
		CHECK_EQUAL(rider.live, doers[i].present);
		sum.reads += doers[i].reads;
		sum.writes += doers[i].writes;
		sum.controls += doers[i].controls;
		sum.releases += doers[i].releases;
	}
	stats = lib_stats();
	CHECK_EQUAL(reads + stats.hole_reads, sum.reads);
	CHECK_EQUAL(writes + stats.hole_writes, sum.writes);
	CHECK_EQUAL(releases, sum.releases);
	CHECK_EQUAL(lib_device(DEVICE_CONTROL).reads + lib_device(DEVICE_CONTROL).writes, sum.controls);
	CHECK(stats.wraps >= crossings);
	return 0;
}
