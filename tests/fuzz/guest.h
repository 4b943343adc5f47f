/* SPDX-License-Identifier: MIT */
/*
 * The guest of fuzz_engine.c: some pages of memory with page tables and a GDT in them, a range of every kind, and
 * devices that do what the input says: they fail, they change the guest's memory, they change the map.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "mmio/engine.h"
#include "tests/fuzz/fuzz.h"

/* Guest-physical pages. The first 64 linear pages are mapped to themselves, unless the input says otherwise. */
enum {
	PAGE_PML5,
	PAGE_PML4,
	PAGE_PDPT,
	PAGE_PD,
	PAGE_PT,
	PAGE_PD32,
	PAGE_PT32,
	PAGE_GDT, /* and the LDT, and where table registers point to */
	PAGE_CODE = 12,
	RAM_PAGES = 16,
	PAGE_ROM = 16,
	PAGE_ROM_DEVICE,
	PAGE_EXECUTE_ONLY,
	PAGE_DEVICE, /* a callback */
	PAGE_PARTS,  /* several ranges on one page */
	PAGE_SIZES,  /* takes 4 bytes, aligned */
	PAGE_EMBEDDER,
	PAGE_RING, /* with a callback */
	PAGE_EMBEDDER_RING,
	PAGE_BELL_COUNT,
	PAGE_BELL_CALL,
	PAGE_BELL_DECODED,
	PAGE_OTHER_RAM = 28, /* a page of memory that devices take away */
	PAGE_WANDERER,       /* where a device is that devices move, and PAGE_WANDERER + 1 */
	NR_MAPPED_PAGES = 64,
};

enum { GUEST_RAM_BYTES = RAM_PAGES * 4096, GUEST_MAX_STEPS = 16 };

/* What a device does when it is called for the n-th time. */
enum guest_step_kind {
	STEP_OK,
	STEP_ERROR,
	STEP_POKE,
	STEP_MOVE,
	STEP_REMOVE_RAM,
	STEP_INVALIDATE,
	STEP_ROUND,
	NR_STEPS
};

struct guest_step {
	uint8_t kind; /* modulo NR_STEPS */
	uint16_t word;
	uint64_t value;
};

struct guest {
	struct tl_vm *vm;
	struct grace_reader reader;
	struct vcpu_stats stats;
	struct guest_step step[GUEST_MAX_STEPS];
	unsigned nr_steps;
	/* Since guest_begin(). */
	unsigned long calls, writes, ring_calls;
	bool failed, committed;
};

extern struct guest guest;

/* Makes the VM, once; then puts back what the last input changed, and enters the reader. */
void guest_begin(void);
void guest_end(void);

/* As a vCPU does before it enters its guest: completes commits and takes the new round. */
void guest_attention(void);

const struct map *guest_map_now(void);

/* What a device or the embedder answers to a read. */
uint64_t guest_answer(const struct tl_mmio *access);

/* Fails unless the memory that nobody may write is as it was. */
void guest_check_read_only(void);

#endif
