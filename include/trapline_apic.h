/* SPDX-License-Identifier: MIT */
/*
 * A local APIC of the embedder's, of which the CPU does by itself what it can (SDM vol. 3, chapter 30). Part of
 * trapline.h. An embedder that does not use this serves its APIC by callbacks alone, and its guests see the same.
 */
#ifndef TRAPLINE_APIC_H
#define TRAPLINE_APIC_H

#include <stdbool.h>
#include <stdint.h>

struct tl_vcpu;

/* What the CPUs do, of what has not been turned off. All but the first come only with the first. */
enum tl_apic_feature {
	TL_APIC_TPR = 1 << 0,        /* MOV CR8 */
	TL_APIC_ACCESSES = 1 << 1,   /* the TPR, and what the two last ones bring, in a range of kind TL_RANGE_APIC */
	TL_APIC_MSRS = 1 << 2,       /* the same as MSRs of x2APIC */
	TL_APIC_INTERRUPTS = 1 << 3, /* taking an interrupt, its EOI, interrupts that a guest sends itself */
	TL_APIC_REGISTERS = 1 << 4,  /* reads of nearly all registers */
	TL_APIC_POSTED = 1 << 5, /* interrupts that other CPUs send, while the guest runs; with TL_APIC_INTERRUPTS */
};

/*
 * A mask of them. The first call probes the CPU, by a guest of a few instructions and a kick of the calling CPU, and
 * by a notification.
 * Precondition: the CPU is up. Context: host, interrupts off.
 */
uint32_t tl_apic_features(void);

/*
 * What has been posted, in a posted-interrupt descriptor (SDM vol. 3, 30.6). It is the library's and the CPU's: the
 * embedder has it 0 at first, and reads and changes it by the functions below alone.
 */
struct tl_posted {
	uint64_t requests[4]; /* PIR, a bit for each vector */
	uint64_t control;     /* bit 0: ON. The others, which are IOMMUs', stay 0 */
	uint64_t reserved[3];
} __attribute__((aligned(64)));

/*
 * The registers stand in `registers` as in the APIC's page: 32 bits each, 16 bytes apart. Who owns which:
 *
 * - The TPR (080h) is there and nowhere else. The guest changes it while it runs; whoever is in an exit of the vCPU may
 *   as well, and calls tl_vcpu_interrupt() when he has lowered it. Other CPUs may read it, and see a value of before or
 *   after.
 * - With TL_APIC_INTERRUPTS, ISR (100h), IRR (200h) and the PPR (0A0h) are likewise there alone: collect() puts
 *   requests into IRR, the CPU moves them to ISR. ISR's changes are the embedder's only for an EOI that came by a
 *   callback, whereupon he calls tl_vcpu_interrupt(). TMR (180h), which collect() writes, says which vectors ended()
 *   is called for. ICR (300h, and 310h but for x2APIC) holds what was written last, with an exit or without.
 * - With TL_APIC_REGISTERS the others are what the guest reads, and the embedder's to keep up to date; but for those
 *   that written() tells of, which hold what the guest has written, to be replaced by what it is to read.
 *
 * While the vCPU runs no other CPU writes here: a request waits elsewhere, in memory of the embedder's, and is stored
 * there with release (or an atomic operation) before tl_vcpu_interrupt(). Both pages are in the window of
 * tl_hooks.direct_offset, 4 KiB and aligned so, and stay until the vCPU has no APIC any more. A copy of `registers`,
 * of the requests and of what the embedder keeps is the APIC's whole state, whenever the vCPU does not run; so is what
 * it puts there: nothing of it is remembered from one tl_vcpu_run() to the next.
 *
 * With TL_APIC_POSTED a request may wait in `posted` as well: tl_vcpu_post().
 *
 * The callbacks come as those of struct tl_processor do; the first three may not change the map.
 */
struct tl_apic {
	void *registers;   /* the virtual-APIC page */
	void *access_page; /* what TL_RANGE_APIC shows; the same for all of a VM, and never read. NULL: no such range */
	/* The vector that waits for the guest to lower its TPR, and for nothing else; -1: none. */
	int (*held_back)(struct tl_vcpu *vcpu);
	/*
	 * With TL_APIC_INTERRUPTS, as long as the mode is not TL_APIC_OFF: requests to IRR, the posted ones as well
	 * (tl_posted_collect()), and TMR. What is pending then is delivered by the CPU; external() says whether there
	 * is one by another way (ExtINT), and acknowledge() gives only such. pending() is asked whether a HLT ends, and
	 * counts both.
	 */
	void (*collect)(struct tl_vcpu *vcpu);
	bool (*external)(struct tl_vcpu *vcpu);
	/* The guest has written the register at `offset`, which holds that. */
	void (*written)(struct tl_vcpu *vcpu, unsigned offset);
	/* It has ended the interrupt of a vector whose TMR bit is set; ISR's bit is clear. */
	void (*ended)(struct tl_vcpu *vcpu, uint8_t vector);
	/* With TL_APIC_POSTED; in the same window, and for as long. NULL: nothing is posted. */
	struct tl_posted *posted;
};

enum tl_apic_mode { TL_APIC_OFF, TL_APIC_XAPIC, TL_APIC_X2APIC };

/*
 * `apic` stays where it is as long as the vCPU uses it; NULL: none, as at first. Its mode is TL_APIC_OFF.
 * TL_UNSUPPORTED: tl_apic_features() is 0. Precondition: the vCPU's processor has both interrupt callbacks. Context:
 * host, not running. Errors: those of tl_vcpu_get().
 */
enum tl_status tl_vcpu_set_apic(struct tl_vcpu *vcpu, const struct tl_apic *apic);

/*
 * IA32_APIC_BASE has changed, or been set up: `at` is where the registers are in xAPIC mode. A TL_RANGE_APIC may be
 * there only while that is so for every vCPU of the VM that may run; for the others it would be memory. So an embedder
 * puts a plain range in its place in the callback of the WRMSR that moves one of them away: it is there before that
 * vCPU goes on. Context: host, not running, or a callback of this vCPU. Errors: those of tl_vcpu_get().
 */
enum tl_status tl_vcpu_set_apic_mode(struct tl_vcpu *vcpu, enum tl_apic_mode mode, uint64_t at);

/*
 * Requests an interrupt of a vCPU whose APIC has a descriptor, in the place of a request that waits elsewhere and
 * tl_vcpu_interrupt(): a guest that runs on another CPU takes it without an exit, at the cost of one interrupt between
 * the CPUs, or of none where one is on its way. For edge-triggered ones whose TMR bit is 0 alone: what changes TMR is
 * told of by an exit. What the handler is to find must have been stored before; who has halted is not woken, whether or
 * not others have posted before (docs/rules.md, rule 17). Context: any but NMI handlers.
 */
void tl_vcpu_post(struct tl_vcpu *vcpu, uint8_t vector);

/*
 * Moves what was posted to IRR: for collect(), and before the embedder moves a request of his own to ISR. Context: a
 * callback of the vCPU, or it is not running.
 */
void tl_posted_collect(struct tl_posted *posted, void *registers);

/* What is posted and not collected, of the vectors from 32 * `part` on. Context: any. */
uint32_t tl_posted_requests(const struct tl_posted *posted, unsigned part);

#endif
