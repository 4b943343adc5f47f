/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's state, whole: to start it, to look at it, to take a snapshot, to move it to another machine. Part of
 * trapline.h.
 */
#ifndef TRAPLINE_STATE_H
#define TRAPLINE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tl_vcpu;

/* In the hardware's numbering. */
enum tl_gpr {
	TL_RAX,
	TL_RCX,
	TL_RDX,
	TL_RBX,
	TL_RSP,
	TL_RBP,
	TL_RSI,
	TL_RDI,
	TL_R8,
	TL_R9,
	TL_R10,
	TL_R11,
	TL_R12,
	TL_R13,
	TL_R14,
	TL_R15,
	TL_NR_GPRS
};

enum tl_segment_name { TL_ES, TL_CS, TL_SS, TL_DS, TL_FS, TL_GS, TL_LDTR, TL_TR, TL_NR_SEGMENTS };

struct tl_segment {
	uint16_t selector;
	uint32_t limit;
	uint32_t access; /* the VMCS' access-rights format. SDM vol. 3, 25.4.1 */
	uint64_t base;
};

struct tl_table {
	uint64_t base;
	uint16_t limit;
};

/* An event whose delivery an exit interrupted: it is delivered at the next entry. SDM vol. 3, 25.8.3. */
struct tl_delivery {
	uint32_t information; /* the format of the VM-entry interruption information; 0: none */
	uint32_t error_code;
	uint32_t instruction_length; /* of a software interrupt or exception */
};

/* All of it may be 0 that a guest which is started has no use for. */
struct tl_state {
	uint64_t gpr[TL_NR_GPRS];
	uint64_t rip, rflags;
	struct tl_segment segment[TL_NR_SEGMENTS];
	struct tl_table gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4, efer;
	uint64_t pdpte[4]; /* as the CPU holds them: it loads them with CR3 in PAE mode, and uses them only there */
	uint64_t dr[4], dr6, dr7;
	uint32_t interruptibility; /* blocking by STI, MOV SS, NMI: the VMCS' format. SDM vol. 3, table 25-3 */
	uint64_t pending_debug;    /* pending debug exceptions: likewise. SDM vol. 3, table 25-4 */
	struct tl_delivery delivery;
};

/*
 * Together with the MSRs of tl_msr_next() and the vector registers this is all that the guest can see of its processor;
 * CR8 and the local APIC are the embedder's. Preconditions: not running, interrupts off; at
 * an exit that the embedder completes (MMIO, I/O, VMCALL) the instruction has not been executed yet.
 * tl_vcpu_set() takes the state as it is: what VM entry refuses stops the guest with TL_STOP_ENTRY. What the embedder
 * was to complete is forgotten. Events queued by tl_vcpu_inject() stay. Context: host. Errors: TL_CPU_DOWN,
 * TL_CPU_SILENT.
 */
enum tl_status tl_vcpu_get(struct tl_vcpu *vcpu, struct tl_state *state);
enum tl_status tl_vcpu_set(struct tl_vcpu *vcpu, const struct tl_state *state);

/*
 * What RDMSR of the guest reads, and what its WRMSR does, the embedder's own MSRs by its callbacks included. Errors:
 * TL_INVALID_ARGUMENT where the guest would get #GP(0); those of tl_vcpu_get(). Preconditions and context: as there.
 */
enum tl_status tl_vcpu_get_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t *value);
enum tl_status tl_vcpu_set_msr(struct tl_vcpu *vcpu, uint32_t msr, uint64_t value);

/*
 * Steps *msr, at first 0, to the next of the MSRs that are state of every vCPU; false: there is none. They are set in
 * this order after tl_vcpu_set(); one that cannot be read (a CPU without the feature) is left out. IA32_TSC is not
 * among them, since time goes on: IA32_TSC_ADJUST is. Context: any.
 */
bool tl_msr_next(uint32_t *msr);

/* The bytes of the area of the two calls below: 512 to a few thousand, the same for all vCPUs. Context: host, after
 * tl_init(). */
size_t tl_xstate_size(void);

/*
 * x87, SSE and all else that XCR0 can enable, in the standard format of XSAVE (SDM vol. 1, 13.4), at any address; of a
 * CPU without XSAVE, where XCR0 counts for 1, in that of FXSAVE. Setting: TL_INVALID_ARGUMENT, and nothing has
 * happened, if XSETBV or XRSTOR would fault: an XCR0 that CPUID does not allow, a component beyond it, the compacted
 * format, a reserved bit of the header or of MXCSR. Errors else, preconditions and context: as of tl_vcpu_get().
 */
enum tl_status tl_vcpu_get_xstate(struct tl_vcpu *vcpu, uint64_t *xcr0, void *area);
enum tl_status tl_vcpu_set_xstate(struct tl_vcpu *vcpu, uint64_t xcr0, const void *area);

#endif
