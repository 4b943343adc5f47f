/* SPDX-License-Identifier: MIT */
/*
 * Executes one instruction on memory, in the general way: any instruction the decoder knows, operands that straddle
 * pages and ranges, are MMIO here and RAM there, and of which the embedder completes a part.
 *
 * An instruction goes through four phases. PLAN: its unit lists what it accesses, as spans; each is checked (limit,
 * canonical form, alignment) and walked, so that every fault comes before anything is done. READ: the spans that are
 * read, in order. EXECUTE: its unit computes, from what was read and the CPU, what is written and the CPU after. WRITE:
 * the spans that are written. Then the CPU changes, all at once. When the embedder completes a part, the operation
 * waits in the vCPU as values; EXECUTE is then done again from the same values, so no result is kept.
 * A string instruction does this once for each element, and stops only between two of them.
 */
#ifndef MMIO_ENGINE_H
#define MMIO_ENGINE_H

#include "mmio/cpu.h"
#include "mmu/grace.h"
#include "mmu/map.h"

enum {
	MMIO_MAX_SPANS = 5,
	MMIO_MAX_TRANSFERS = 4, /* of the spans, those that are not only tried: the first ones */
	MMIO_SPAN_BYTES = 264,  /* ENTER at level 31 pushes 33 registers of 8 bytes */
};

/* Contiguous bytes that an instruction reads, writes, or reads and then writes. */
struct mmio_span {
	gva_t linear;
	gpa_t gpa[2];    /* of its first byte, and of the first byte on its second page */
	uint64_t mask;   /* of the first 64 bytes, those that are accessed; ~0: all */
	uint16_t size;   /* bytes; 0: an empty span */
	uint16_t first;  /* bytes on the first page */
	uint8_t element; /* one access is at most this long, 1 to 8, and begins at a multiple of it from the start */
	uint8_t access;  /* enum insn_access */
	uint8_t segment; /* enum tl_segment_name: #SS for TL_SS, else #GP */
	bool only_tried; /* it faults where an access would, and there is none */
};

/* What the guest gets instead of the instruction. */
struct mmio_fault {
	uint8_t vector;
	bool has_error_code;
	uint32_t error_code;
	gva_t linear; /* #PF: CR2 */
};

struct mmio_operation {
	struct insn insn;
	gpa_t exit_gpa; /* one of the spans must contain it; MMIO_ANY_GPA: not asked */
	uint32_t limit; /* iterations of a string instruction that may still be done in this run */
	uint8_t nr_spans;
	uint8_t phase;   /* the engine's own */
	uint8_t at_span; /* the span and the byte in it that come next */
	uint16_t at_byte;
	uint8_t pending; /* bytes from there that the embedder is completing */
	struct mmio_fault fault;
	gpa_t gpa; /* of MMIO_TABLE_NOT_RAM */
	struct mmio_span span[MMIO_MAX_SPANS];
	uint8_t read[MMIO_MAX_TRANSFERS][MMIO_SPAN_BYTES]; /* what was read */
};

#define MMIO_ANY_GPA (~0ull)

/* Whatever ends a string instruction, the iterations before count, and cpu has them. */
enum mmio_progress {
	MMIO_DONE,          /* completed; cpu is the state after it, its RIP behind the instruction */
	MMIO_AGAIN,         /* some iterations done: cpu is the state after them, its RIP on the instruction */
	MMIO_EMBEDDER,      /* *env->access is for the embedder: mmio_complete(), then run on */
	MMIO_PORT,          /* *env->port is for the embedder: mmio_complete(), then run on */
	MMIO_DRAIN,         /* *env->access names a range whose ring the embedder has to drain; nothing was done */
	MMIO_DEVICE_ERROR,  /* the callback for *env->access returned an error */
	MMIO_FAULT,         /* op->fault */
	MMIO_RACED,         /* another CPU changed the page tables meanwhile: let the guest try again */
	MMIO_TABLE_NOT_RAM, /* a page table, or a descriptor table, lies in MMIO or in the hole, at op->gpa */
	MMIO_ELSEWHERE,     /* no operand contains op->exit_gpa */
	MMIO_REFUSED,       /* not emulated in this state (a call gate, a task switch) */
};

struct mmio_environment {
	const struct map *map; /* the one snapshot of this instruction, or of this run of a string instruction */
	struct tl_vm *vm;
	struct tl_vcpu *vcpu;              /* for callbacks */
	const struct grace_reader *reader; /* to stop a string instruction when the vCPU wants attention */
	struct tl_mmio *access;
	struct tl_exit_io *port;
	struct vcpu_stats *stats; /* hole_reads, hole_writes, rom_writes, refused_sizes */
};

/* Prepares an operation. Nothing of the guest is looked at yet. */
void mmio_begin(struct mmio_operation *op, const struct insn *insn, gpa_t exit_gpa, uint32_t limit);

/*
 * Goes on with the operation as far as it goes. *cpu is the guest's CPU at the instruction, the same after
 * MMIO_EMBEDDER or MMIO_PORT as before. It changes only where that is said above.
 * Context: the vCPU's own CPU, no lock held: callbacks run here and may commit.
 */
enum mmio_progress mmio_run(struct mmio_operation *op, struct mmio_cpu *cpu, const struct mmio_environment *env);

/* Takes over what the embedder did; `data` counts for reads only. Does nothing unless it was asked to. */
void mmio_complete(struct mmio_operation *op, uint64_t data);

#endif
