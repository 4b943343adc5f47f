/* SPDX-License-Identifier: MIT */
/* What is done against leaks by speculation (docs/hardware.md says what each costs). Included by trapline.h. */
#ifndef TRAPLINE_MITIGATION_H
#define TRAPLINE_MITIGATION_H

#include <stdint.h>

enum tl_status;

enum tl_mitigation {
	TL_MITIGATION_L1D_FLUSH, /* L1TF: the L1 data cache is emptied at each VM entry */
	TL_MITIGATION_VERW,      /* MDS, TAA, MMIO stale data, RFDS: so are the CPU's buffers */
	TL_MITIGATION_RSB,       /* the return stack buffer is filled after each VM exit */
	TL_MITIGATION_SPEC_CTRL, /* IBRS for the host; guests have an IA32_SPEC_CTRL and an IBPB of their own */
	TL_MITIGATION_BHI,       /* the guest's branch history does not choose among the host's branch targets */
	TL_NR_MITIGATIONS
};

/*
 * Has Trapline do exactly these, a mask of 1 << enum tl_mitigation, instead of what the CPU says that it needs. One for
 * which the CPU lacks the means makes tl_cpu_up() fail with TL_UNSUPPORTED, and the log names it. TL_INVALID_ARGUMENT:
 * no such mitigation, or a CPU has been up before. Context: host, after tl_init(), one CPU.
 */
enum tl_status tl_mitigations(uint32_t mitigations);

#endif
