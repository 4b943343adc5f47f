/* SPDX-License-Identifier: MIT */
/*
 * The guest's processor as an instruction on memory sees it: values that vmx/ takes from the VMCS, mmio_run() changes
 * when the instruction completes, and vmx/ puts back.
 */
#ifndef MMIO_CPU_H
#define MMIO_CPU_H

#include "mmio/insn.h"
#include "mmio/xstate.h"
#include "mmu/guest_walk.h"
#include <trapline.h>

/* Parts that cost much to read, and most instructions do not need. */
enum mmio_cpu_part {
	CPU_SEGMENTS = 1 << 0, /* all of .segment[]; without it CS, SS and those the operands are in */
	CPU_TABLES = 1 << 1,   /* .gdtr, .idtr, and LDTR and TR in .segment[] */
	CPU_XSTATE = 1 << 2,
};

struct mmio_cpu {
	uint64_t gpr[INSN_NR_GPRS]; /* the last is 0 */
	uint64_t rip, rflags;
	struct tl_segment segment[TL_NR_SEGMENTS]; /* in 64-bit code only FS and GS have a base, none a limit */
	struct tl_table gdtr, idtr;
	struct guest_paging paging; /* with CR0, CR4, EFER, CPL */
	struct xstate xstate;
	uint8_t code_bits; /* 16, 32 or 64 */
	bool shadow;       /* out: the instruction loaded SS, and events wait for the next one */
	unsigned changed;  /* out: the enum mmio_cpu_part that have changed, beyond registers, RIP and RFLAGS */
};

/* What of the CPU an instruction needs. */
unsigned mmio_cpu_parts(const struct insn *insn);

#endif
