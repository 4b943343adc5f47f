/* SPDX-License-Identifier: MIT */
/* What is due of a PC's timers, and when its CPUs have to be back for them. Context of all: the vCPU's CPU, host. */
#ifndef GUEST_PC_PC_TIMERS_H
#define GUEST_PC_PC_TIMERS_H

#include "guest/pc/pc.h"

enum { LOOKS_A_SECOND = 100 };

static inline bool pc_is_held(const struct pc_vcpu *vcpu)
{
	/* relaxed: a kick, or a wake-up, comes behind each change. */
	return atomic_load_explicit(&vcpu->held, memory_order_relaxed);
}

/* Has all expire that is due before the vCPU's turn, and does what a look is for. */
void pc_expire(struct pc_vcpu *vcpu);

/* The same within a turn, at `now`: the timers alone that its deadline is set for. */
void pc_expire_due(struct pc_vcpu *vcpu, uint64_t now);

/* When a CPU has to look after something else than timers, whatever its vCPUs do, in guest time. */
uint64_t pc_next_look(const struct pc *pc, unsigned cpu);

/* In the host's time, when a CPU that has nothing to run has something to do again. */
uint64_t pc_idle_until(const struct pc *pc, unsigned cpu);

#endif
