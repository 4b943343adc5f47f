/* SPDX-License-Identifier: MIT */
/*
 * What an embedder makes of its vCPUs' processor: interrupts from a controller of its own, MSRs, CPUID, CR8, and time.
 * Part of trapline.h.
 */
#ifndef TRAPLINE_PROCESSOR_H
#define TRAPLINE_PROCESSOR_H

#include <stdbool.h>
#include <stdint.h>

struct tl_vcpu;

struct tl_cpuid {
	uint32_t eax, ebx, ecx, edx;
};

/*
 * All may be NULL. Each is called on the vCPU's CPU, in an exit, as a tl_mmio_fn is: interrupts off, no lock of the
 * library's held. Those of MSRs, CPUID and CR8 may change the map; the first two may not.
 */
struct tl_processor {
	/*
	 * The vector of the interrupt that the guest is to take now, which is acknowledged with that: it is requested
	 * no more, and in service. -1: there is none. Asked only when the guest can take it.
	 */
	int (*acknowledge)(struct tl_vcpu *vcpu);
	/* Whether there is one; it is not acknowledged. Asked before an entry, and by a guest that halts. */
	bool (*pending)(struct tl_vcpu *vcpu);
	/* The MSRs that the library leaves to the embedder (docs/msrs.md). False: the guest gets #GP(0). */
	bool (*read_msr)(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value);
	bool (*write_msr)(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value);
	/*
	 * May change what CPUID answers: *out is the library's answer. It hides what the embedder has to provide: APIC,
	 * x2APIC and TSC deadline in leaf 1 are 0 and may be set. What the library hides because it cannot do it must
	 * stay hidden.
	 */
	void (*cpuid)(struct tl_vcpu *vcpu, uint32_t leaf, uint32_t subleaf, struct tl_cpuid *out);
	/* Bits 3:0 of CR8: bits 7:4 of the task-priority register. Without them CR8 is a register of its own. */
	uint8_t (*read_cr8)(struct tl_vcpu *vcpu);
	void (*write_cr8)(struct tl_vcpu *vcpu, uint8_t value);
};

/*
 * `processor` stays where it is as long as the vCPU uses it; NULL: none, as at first. Both interrupt callbacks or none.
 * Context: host, not running.
 */
void tl_vcpu_set_processor(struct tl_vcpu *vcpu, const struct tl_processor *processor);

/*
 * Says that pending() may have begun to be true: the vCPU asks before it goes on in its guest, and is kicked out of it
 * if it runs on another CPU. tl_vcpu_run() does not return for that. What makes pending() true must have been stored
 * before, by an atomic operation or with release; who has halted is not woken: that is the embedder's to do. A vCPU's
 * own callback says it for its own vCPU as well, where a write made an interrupt deliverable. Context: any but NMI
 * handlers.
 */
void tl_vcpu_interrupt(struct tl_vcpu *vcpu);

/*
 * The vCPU after INIT and a SIPI with `vector`: in real mode, at page `vector`, with nothing under way, no event queued
 * and no NMI blocked. What INIT leaves alone stays: MSRs, the FPU and vector registers, the TSC, the caches' bits of
 * CR0 (SDM vol. 3, 10.1.1, table 10-1). Between the two it does not run. Preconditions and errors: as of tl_vcpu_set().
 * Context: host.
 */
enum tl_status tl_vcpu_start_up(struct tl_vcpu *vcpu, uint8_t vector);

/*
 * What the guest's TSC is ahead of the TSC of the host, modulo 2^64: tl_vm_config.tsc_offset, and what this guest has
 * written to it. Context: host, not running, or a callback of this vCPU.
 */
uint64_t tl_vcpu_tsc_offset(const struct tl_vcpu *vcpu);

/*
 * tl_vcpu_run() returns TL_EXIT_DEADLINE once the TSC of the host has reached `tsc`, however much of that time the
 * guest ran; at once if it has already. What was to be completed stays so then: leave *exit as it was. It is over with
 * that; a later call takes the place of an earlier one. UINT64_MAX: none. TL_UNSUPPORTED without the embedder's timer.
 * Context: host, not running, or a callback of this vCPU.
 */
enum tl_status tl_vcpu_set_deadline(struct tl_vcpu *vcpu, uint64_t tsc);

#endif
