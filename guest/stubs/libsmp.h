/* SPDX-License-Identifier: MIT */
/* Guests with several vCPUs: starting them, waiting for them, and the riders that they use together. */
#ifndef GUEST_STUBS_LIBSMP_H
#define GUEST_STUBS_LIBSMP_H

#include "guest/stubs/lib.h"

/* How many vCPUs this guest has. */
unsigned smp_vcpus(void);

/* How many CPUs run them. */
unsigned smp_cpus(void);

/*
 * Calls function(index) on every vCPU, on the calling one with index 0, and returns when all of them have returned.
 * Each has a stack of its own and the caller's page tables and segments. Context: the first vCPU.
 */
void smp_run(void (*function)(unsigned index));

/* Only starts it on the other vCPUs. */
void smp_launch(void (*function)(unsigned index));

/* For loops that wait for another vCPU: lets it have its turn where it may need one. */
void smp_pause(void);

/*
 * A pause that lets in what interrupts the host. Nothing interrupts the guest, and to a CPU it makes no difference; but
 * Bochs 2.7 keeps from a guest that masks interrupts those of a host that had masked them itself (boot/smp.c), and a
 * Linux with a KVM there has no other way to give the processor to another vCPU.
 */
static inline void smp_let_in(void)
{
	__asm__ volatile("sti; pause; cli" : : : "memory");
}

/* Waits until all vCPUs have come here so often. Context: inside smp_run(). */
void smp_barrier(void);

/* Pseudo-random numbers, a sequence for each vCPU (xorshift64). */
uint64_t smp_random(unsigned index);

/* The next value that a vCPU writes to a register of a rider (guest/abi.h). */
uint64_t smp_ride_value(unsigned index, unsigned place);

static inline struct abi_rider smp_rider(unsigned number)
{
	struct abi_rider rider;

	CHECK(vmcall(HC_RIDER, number, (uint64_t)&rider, 0, 0) == 0);
	return rider;
}

#endif
