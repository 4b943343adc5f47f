/* SPDX-License-Identifier: MIT */
/* Between the VMCS and struct mmio_cpu. */
#ifndef VMX_CPU_STATE_H
#define VMX_CPU_STATE_H

#include "mmio/cpu.h"
#include "vmx/vcpu.h"

/* The guest's CPU at the instruction at `rip`, with the parts (enum mmio_cpu_part) that are asked for. */
void cpu_state_load(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cs_access, unsigned parts, struct mmio_cpu *cpu);

/*
 * Puts back what an instruction has changed, but for RIP and the interruptibility, which are exit_engine.c's. False: a
 * value that a register cannot have, #GP(0); then nothing was put back.
 */
bool cpu_state_store(struct tl_vcpu *vcpu, const struct mmio_cpu *cpu);

#endif
