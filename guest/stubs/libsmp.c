/* SPDX-License-Identifier: MIT */
#include "guest/stubs/libsmp.h"

enum { STACK_SIZE = 8192 };

/* What belongs to one vCPU; no two share a cache line. */
static struct smp_own {
	uint64_t random, ride_number;
} __attribute__((aligned(64))) own[ABI_VCPUS];

static uint8_t stacks[ABI_VCPUS][STACK_SIZE] __attribute__((aligned(16)));
static void (*job)(unsigned index);
static unsigned done, arrived;

/* Asked for once: a vCPU that waits at a barrier is to stay in the guest, with whatever its CPU holds of it. */
unsigned smp_vcpus(void)
{
	static unsigned vcpus;
	unsigned number = __atomic_load_n(&vcpus, __ATOMIC_RELAXED);

	if (!number) {
		number = (uint32_t)vmcall(HC_VCPUS, 0, 0, 0, 0);
		__atomic_store_n(&vcpus, number, __ATOMIC_RELAXED);
	}
	return number;
}

unsigned smp_cpus(void)
{
	return (unsigned)(vmcall(HC_VCPUS, 0, 0, 0, 0) >> 32);
}

void smp_pause(void)
{
	static unsigned shares; /* 1: no, 2: yes */

	if (!shares)
		shares = smp_vcpus() > smp_cpus() ? 2 : 1;
	if (shares == 2)
		vmcall(HC_YIELD, YIELD_TURN, 0, 0, 0);
	else
		smp_let_in();
}

static _Noreturn void smp_entry(unsigned index)
{
	job(index);
	__atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
	for (;;)
		__asm__ volatile("cli; hlt" : : : "memory");
}

static void smp_start(unsigned index)
{
	/* As a call leaves it: 8 below a multiple of 16. */
	uint64_t stack = (uint64_t)stacks[index] + STACK_SIZE - 8, status;

	/* One that has just finished an earlier job may not have halted yet. */
	while ((status = vmcall(HC_START, index, (uint64_t)smp_entry, stack, index)) == HC_NOT_YET)
		smp_pause();
	CHECK_EQUAL(status, 0);
}

void smp_launch(void (*function)(unsigned index))
{
	unsigned vcpus = smp_vcpus();

	job = function;
	__atomic_store_n(&done, 1, __ATOMIC_RELEASE);
	for (unsigned index = 1; index < vcpus; index++)
		smp_start(index);
}

void smp_run(void (*function)(unsigned index))
{
	unsigned vcpus = smp_vcpus();

	smp_launch(function);
	function(0);
	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < vcpus)
		smp_pause();
}

void smp_barrier(void)
{
	unsigned vcpus = smp_vcpus();
	unsigned turn = __atomic_fetch_add(&arrived, 1, __ATOMIC_ACQ_REL) / vcpus;

	while (__atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < (turn + 1) * vcpus)
		smp_pause();
}

uint64_t smp_random(unsigned index)
{
	uint64_t state = own[index].random;

	if (!state)
		state = 0x2545f4914f6cdd1d + index;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return own[index].random = state;
}

uint64_t smp_ride_value(unsigned index, unsigned place)
{
	return (uint64_t)index << ABI_RIDE_VCPU_SHIFT | (uint64_t)(place & 0xff) << ABI_RIDE_PLACE_SHIFT |
	       ++own[index].ride_number;
}
