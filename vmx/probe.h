/* SPDX-License-Identifier: MIT */
/* What only a guest shows of a CPU. */
#ifndef VMX_PROBE_H
#define VMX_PROBE_H

#include "mmu/types.h"
#include <trapline.h>

/*
 * Whether the VM-exit instruction length is right on EPT misconfigurations. The SDM leaves it undefined there (vol. 3,
 * 28.2.5), and some hypervisors that nest us leave garbage in it. False until probe_instruction_length() is done.
 */
extern bool probe_length_is_right;

/*
 * Runs a guest of a few instructions of several lengths, each on a misconfigured page and after one of another length,
 * and compares. Precondition: the calling CPU is up. Errors: TL_NO_MEMORY; and those of an embedder's memory.
 */
enum tl_status probe_instruction_length(void);

/* The CPU offers the monitor trap flag, and does not exit by it: steps are made by TF then. False until probed. */
extern bool probe_trap_flag_fails;

/* Runs a guest of two instructions with the flag, where the CPU has it. As probe_instruction_length(). */
enum tl_status probe_trap_flag(void);

enum probe_delivery { PROBE_DELIVERY_UNKNOWN, PROBE_DELIVERY_BEGUN, PROBE_DELIVERY_RIGHT, PROBE_DELIVERY_WRONG };

/*
 * Before the first use of virtual-interrupt delivery: runs a guest that has interrupts off and one pending, while the
 * CPU is kicked. Where it is delivered, vmx_controls says from then on that there is no such thing. What is known
 * already is not probed again. Context: host, interrupts off.
 */
COLD void probe_virtual_interrupts(void);

/* In the place of a probe: what it would have found. */
void probe_set_delivery(enum probe_delivery result);

/*
 * Its second part, where virtual interrupts are right and posted ones are there: whether the CPU processes them. The
 * guest is that of the first part, and spoilt with this; `page` is its virtual-APIC page, `posted` a descriptor that is
 * all 0.
 */
struct selftest_guest;
COLD bool probe_posted_interrupts(const struct selftest_guest *guest, uint32_t *page, struct tl_posted *posted);

/*
 * Has XSAVEC write a compacted area, and does without it and XSAVES where that is not as the SDM has it. Context:
 * before a guest runs, the vector registers nobody's. TL_NO_MEMORY.
 */
COLD enum tl_status probe_compaction(void);

/* What [RDI] and the absolute addresses of the probe's instructions are. */
enum { PROBE_OPERAND = 0x100000, PROBE_INSNS_MOST = 16 };

/*
 * Writes those instructions, one behind the other, and a HLT: 128 bytes at most. Returns their number, and how long
 * each is.
 */
unsigned probe_write_insns(uint8_t *code, uint8_t length[PROBE_INSNS_MOST]);

/* 64-bit code with paging, which every CPU with VMX runs, at CPL 0. The operand is in RDI. */
enum tl_status probe_set_state(struct tl_vcpu *vcpu, uint64_t rip, uint64_t cr3);

#endif
