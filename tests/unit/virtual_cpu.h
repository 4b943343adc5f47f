/* SPDX-License-Identifier: MIT */
/*
 * What a CPU does of a guest's local APIC on its virtual-APIC page, as SDM vol. 3, chapter 30 has it: delivery, EOI,
 * interrupts that the guest sends itself, posted interrupts. What of it is in the VMCS is in the struct.
 */
#ifndef UNIT_VIRTUAL_CPU_H
#define UNIT_VIRTUAL_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <trapline.h>

enum { VIRTUAL_NO_VECTOR = -1, VIRTUAL_TPR = 0x80, VIRTUAL_ISR = 0x100, VIRTUAL_TMR = 0x180, VIRTUAL_IRR = 0x200 };

struct virtual_cpu {
	uint32_t *page;
	struct tl_posted *posted;
	uint8_t rvi, svi;
	uint32_t eoi_exits[8];
};

/* The word of a set of vectors that has this one, and the highest vector that is set; 0: none. */
uint32_t *virtual_cpu_word(const struct virtual_cpu *cpu, unsigned set, unsigned vector);
uint8_t virtual_cpu_highest(const struct virtual_cpu *cpu, unsigned set);

/* The one that is taken now, and in service with that (30.2.2); VIRTUAL_NO_VECTOR: none. */
int virtual_cpu_deliver(struct virtual_cpu *cpu);
/* Ends the one in service (30.1.4). Its vector if that exits, else VIRTUAL_NO_VECTOR. */
int virtual_cpu_end(struct virtual_cpu *cpu);
/* Self-IPI virtualization (30.1.5). */
void virtual_cpu_request(struct virtual_cpu *cpu, uint8_t vector);
/* An interrupt with the notification vector, in a guest that has posted interrupts (30.6, steps 3 to 6). */
void virtual_cpu_notified(struct virtual_cpu *cpu);

#endif
