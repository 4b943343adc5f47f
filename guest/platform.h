/* SPDX-License-Identifier: MIT */
/* The machine of one guest: RAM, the devices of abi.h, and the VM that holds them. */
#ifndef GUEST_PLATFORM_H
#define GUEST_PLATFORM_H

#include "guest/bench_memory.h"
#include "guest/controller.h"
#include "guest/device.h"
#include "guest/guest.h"
#include "guest/load.h"
#include "guest/options.h"
#include "guest/rider.h"
#include "guest/scenario.h"
#include "guest/text.h"
#include "guest/view.h"
#include <stdatomic.h>

enum {
	PLATFORM_FAULT = 160,
	PLATFORM_FILLER = ABI_NR_DEVICES, /* one more device, which all ranges of HC_GROW share */
};

/* Memory is laid out as in a PC: RAM below 640 KiB and from 1 MiB on. */
#define PLATFORM_LOW_RAM  0xa0000ull
#define PLATFORM_HIGH_RAM 0x100000ull

struct platform_vcpu;

/* How a run ended. */
struct guest_end {
	struct platform_vcpu *vcpu; /* that ended it; NULL: it did not start */
	unsigned ending;            /* enum guest_ending */
	uint64_t code;              /* of GUEST_EXIT */
	char how[160];
};

/* In this order: above HALTED a CPU has it or may take it. */
enum platform_vcpu_state { PLATFORM_VCPU_OFF, PLATFORM_VCPU_HALTED, PLATFORM_VCPU_READY, PLATFORM_VCPU_RUNNING };

/* A vCPU and what belongs to it alone: only the CPU that runs it writes here. */
struct platform_vcpu {
	struct platform *platform;
	struct tl_vcpu *_Atomic vcpu; /* changes when it is reborn (guest/rebirth.h) */
	struct tl_vcpu *former;       /* then: who was it before, since somebody may still be about to kick that */
	unsigned index;
	struct tl_exit exit;
	_Atomic enum platform_vcpu_state state; /* who takes it from READY to RUNNING owns all that is here */
	_Atomic bool held;                      /* from outside: no CPU takes it */
	bool halted, yields;
	enum abi_yield yield;
	bool limited;            /* its time is */
	unsigned ran_on;         /* the number of a CPU */
	_Atomic unsigned leaves; /* the CPU that it must not run on until it yields again, and 1; 0: any */
	uint64_t left, slice;    /* ticks: of all its time, of its turn */
	struct rider *unsettled; /* a rider that a callback of it has moved, and where to */
	uint64_t unsettled_at, ride_status;
	struct controller controller;
	uint64_t steps_left, steps_at;               /* of HC_STEP; where the next one is written */
	char last_line[ABI_TEXT + 1];                /* of HC_PRINT */
	uint64_t accesses[ABI_NR_DEVICES + 1][2][9]; /* of each device: reads and writes, by size */
} __attribute__((aligned(64)));

/* One of the host's CPUs in a run of this guest. */
struct platform_cpu {
	struct platform *platform;
	unsigned number, turn;
};

struct platform {
	const struct guest_services *services;
	const char *name; /* the guest's */
	struct guest_view view;
	struct tl_vm *vm;
	unsigned nr_vcpus, nr_cpus; /* its own, and the host's that run them */
	bool shares;                /* its vCPUs take turns on CPUs */
	uint64_t slice;             /* ticks of a turn; 0: each vCPU has a CPU to itself */
	struct load_memory memory;
	uint8_t *ram; /* within the block that was allocated */
	void *block;
	size_t block_pages;
	unsigned nr_ranges; /* in the map, without the hole and riders */
	_Atomic uint64_t plan_countdown;
	struct scenario_edit plan;
	_Atomic uint64_t plan_status;
	atomic_flag faulted, end_claimed;
	char fault[PLATFORM_FAULT]; /* the first thing that a host-side check found wrong; "" if none */
	struct guest_end end;
	_Atomic bool ended;
	bool traces;               /* the guest turned a trace on */
	_Atomic unsigned nr_awake; /* vCPUs that were started and have not halted */
	_Atomic uint64_t idle;     /* a bit for each CPU that has found nothing to run, and is to be woken */
	struct platform_vcpu vcpu[ABI_VCPUS];
	struct platform_cpu cpu[TL_MAX_CPUS];
	struct rider rider[ABI_RIDERS];
	struct hand hand[ABI_HANDS];
	struct bench_memory bench_memory;
	struct device device[ABI_NR_DEVICES + 1];
};

/*
 * Builds the VM and its vCPUs. *platform is zeroed memory. False, with nothing left allocated and one sentence in
 * `why`, if it cannot be had. Context: host.
 */
bool platform_create(struct platform *platform, const struct guest_services *services,
		     const struct guest_options *options, char *why, size_t size);

/* Frees everything but *platform itself, and checks that every device was released. Context: host. */
void platform_destroy(struct platform *platform);

/* One for `vcpu`, with the time that it has left; not put into it. NULL or an error in *status. Context: host. */
struct tl_vcpu *platform_new_vcpu(struct platform_vcpu *vcpu, enum tl_status *status);

/* The accesses that the devices counted. */
uint64_t platform_accesses(const struct platform *platform);

/* The host's TSC. */
static inline uint64_t platform_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Notes what a host-side check found wrong; the guest fails. The first one is kept. Context: host or callback. */
#define platform_fault(platform, ...)                                                \
	do {                                                                         \
		if (!atomic_flag_test_and_set(&(platform)->faulted))                 \
			text_format((platform)->fault, PLATFORM_FAULT, __VA_ARGS__); \
	} while (0)

#endif
