/* SPDX-License-Identifier: MIT */
/* A guest's interrupt descriptor table, in 64-bit mode. SDM vol. 3, 6.14.1. */
#ifndef GUEST_STUBS_IDT_H
#define GUEST_STUBS_IDT_H

#include <stdint.h>

enum { CODE_SELECTOR = 0x08 /* of start.asm */ };

struct gate {
	uint16_t offset_low, selector, type, offset_middle;
	uint32_t offset_high, reserved;
};

/* An interrupt gate at CPL 0: the handler begins with interrupts off. */
static inline struct gate gate_to(uint64_t handler)
{
	return (struct gate){.offset_low = (uint16_t)handler,
			     .selector = CODE_SELECTOR,
			     .type = 0x8e00,
			     .offset_middle = (uint16_t)(handler >> 16),
			     .offset_high = (uint32_t)(handler >> 32)};
}

static inline void load_gates(const struct gate *idt, unsigned count)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = {(uint16_t)(count * sizeof(*idt) - 1), (uint64_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr) : "memory");
}

#endif
