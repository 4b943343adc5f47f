/* SPDX-License-Identifier: MIT */
/* What completing an instruction in software changes in the guest's state besides RIP. Pure, so that it is tested. */
#ifndef VMX_SKIP_H
#define VMX_SKIP_H

#include "mmu/types.h"

#define RFLAGS_TF BIT(8)
#define RFLAGS_IF BIT(9)
#define RFLAGS_RF BIT(16)
#define RFLAGS_VM BIT(17)
#define RFLAGS_AC BIT(18)

#define INTERRUPTIBILITY_STI    BIT(0)
#define INTERRUPTIBILITY_MOV_SS BIT(1)
#define INTERRUPTIBILITY_NMI    BIT(3)
#define INTERRUPTIBILITY_SHADOW (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)

/* Of DR6, of a #DB's exit qualification, and of the pending debug exceptions (SDM vol. 3, 18.2.3, tables 28-1, 25-4).
 */
#define DEBUG_B0_TO_B3    BITS(3, 0)
#define DEBUG_ENABLED     BIT(12) /* pending: one of B0 to B3 is of a breakpoint that is enabled */
#define DEBUG_BD          BIT(13)
#define PENDING_DEBUG_BS  BIT(14)
#define PENDING_DEBUG_RTM BIT(16)
#define DEBUGCTL_BTF      BIT(1)
#define DR7_ENABLES       BITS(7, 0) /* two for each breakpoint */
#define DR7_GD            BIT(13)

/* The fields that a skip reads and writes. */
struct skip {
	uint64_t rip, rflags, interruptibility, pending_debug;
};

/*
 * Whether RIP alone changes. `rflags_slow`: what of RFLAGS makes it more: TF, and RF too while a breakpoint is armed.
 * RF is saved as 1 on an EPT misconfiguration (SDM vol. 3, 28.3.3) and does nothing without breakpoints. A carry into
 * the upper half of RIP, `length` before it `next`, is for skip_slow(), where the mode is known.
 */
ALWAYS_INLINE bool skip_is_simple(uint64_t next, uint64_t length, uint64_t rflags_slow, uint64_t interruptibility)
{
	return likely((uint32_t)next >= (uint32_t)length) && likely(!rflags_slow) &&
	       likely(!(interruptibility & INTERRUPTIBILITY_SHADOW));
}

/* The general case. Outside 64-bit mode RIP is 32 bits wide; it does not wrap at 64 KiB. */
static inline void skip_slow(struct skip *s, uint64_t length, bool code_64, uint64_t debugctl)
{
	s->rip += length;
	if (!code_64)
		s->rip = (uint32_t)s->rip;
	s->interruptibility &= ~INTERRUPTIBILITY_SHADOW;
	s->rflags &= ~RFLAGS_RF;
	/* The trap after a single-stepped instruction; with BTF only branches trap. */
	if ((s->rflags & RFLAGS_TF) && !(debugctl & DEBUGCTL_BTF))
		s->pending_debug |= PENDING_DEBUG_BS;
}

#endif
