/* SPDX-License-Identifier: MIT */
/* The local APIC that an embedder has offered the CPU: controls, what is pending, its exits. SDM vol. 3, chapter 30. */
#ifndef VMX_APIC_H
#define VMX_APIC_H

#include "vmx/exit.h"

/* Of the qualification of an APIC-access exit (SDM vol. 3, table 28-6). */
enum apic_access { APIC_ACCESS_READ, APIC_ACCESS_WRITE, APIC_ACCESS_FETCH, APIC_ACCESS_EVENT };

#define APIC_ACCESS_OFFSET  BITS(11, 0)
#define APIC_ACCESS_TYPE(q) ((q) >> 12 & 15)

/* Before each entry that follows on a question for interrupts. Precondition: the vCPU has an APIC. */
COLD void apic_settle(struct tl_vcpu *vcpu);

/* A load or store, as the exit says; VCPU_MMIO, or VCPU_FULL for what is neither. */
enum vcpu_action exit_apic_access(struct tl_vcpu *vcpu);
/* The other exits that an APIC makes: writes and EOIs that are over, and accesses that are neither load nor store. */
COLD enum vcpu_action exit_apic(struct tl_vcpu *vcpu, uint32_t reason);

#endif
