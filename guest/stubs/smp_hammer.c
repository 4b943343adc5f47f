/* SPDX-License-Identifier: MIT */
/*
 * Several vCPUs on devices at once: each on a rider of its own and on one that all share. Every write is read back, and
 * the riders see that the writes of each vCPU come once and in their order. In the end every access must be counted.
 */
#include "guest/stubs/libsmp.h"

enum { DEFAULT_ROUNDS = 4000, SHARED = ABI_VCPUS, PLACES = ABI_RIDER_SIZE / 8 };

static uint64_t rounds;
static bool interruptible;
static uint64_t counter; /* every vCPU adds to it, in memory: no write of another one is to be lost */

static uint64_t rider_at(unsigned number)
{
	return 0xd0400000 + (uint64_t)number * 0x10000;
}

static void use(unsigned index, unsigned rider)
{
	unsigned place = (unsigned)(smp_random(index) % PLACES);
	uint64_t value = smp_ride_value(index, place), at = rider_at(rider) + 8ull * place;

	write64(at, value);
	CHECK_EQUAL(read64(at), value);
}

static void hammer(unsigned index)
{
	smp_barrier();
	for (uint64_t i = 0; i < rounds; i++) {
		use(index, index);
		use(index, SHARED);
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
	}
}

/* Nothing but the host ends this, and there is no exit that it could use. */
static void stay(unsigned index)
{
	(void)index;
	for (;;)
		if (interruptible)
			smp_let_in();
		else
			__builtin_ia32_pause();
}

int main(const struct mb1_info *info)
{
	unsigned vcpus = smp_vcpus();

	rounds = lib_number(info, "rounds=", DEFAULT_ROUNDS) / vcpus;
	interruptible = lib_word(info, "interruptible");
	for (unsigned i = 0; i < vcpus; i++)
		CHECK_EQUAL(vmcall(HC_RIDE, EDIT_ADD, i, rider_at(i), 0), 0);
	CHECK_EQUAL(vmcall(HC_RIDE, EDIT_ADD, SHARED, rider_at(SHARED), 0), 0);
	smp_run(hammer);
	CHECK_EQUAL(counter, vcpus * rounds);
	for (unsigned i = 0; i < vcpus; i++) {
		CHECK_EQUAL(smp_rider(i).writes, rounds);
		CHECK_EQUAL(smp_rider(i).reads, rounds);
	}
	CHECK_EQUAL(smp_rider(SHARED).writes, vcpus * rounds);
	CHECK_EQUAL(smp_rider(SHARED).reads, vcpus * rounds);
	/* The guest ends while its other vCPUs run. */
	smp_launch(stay);
	return 0;
}
