/* SPDX-License-Identifier: MIT */
/* Stands in the place of boot/cpu.h: a CPU that is a few variables, for the hosted tests of boot/paging.c. */
#ifndef BOOT_CPU_H
#define BOOT_CPU_H

#include <stdint.h>

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

struct paging_cpu {
	uint32_t features;      /* leaf 0x80000001, EDX */
	uint32_t address_sizes; /* leaf 0x80000008, EAX */
	uint64_t efer, pat, cr3;
	unsigned cr3_writes;
};

extern struct paging_cpu paging_cpu;

struct cpuid cpu_id(uint32_t leaf);
uint64_t msr_read(uint32_t msr);
void msr_write(uint32_t msr, uint64_t value);
uint64_t cr3_read(void);
void cr3_write(uint64_t value);

#endif
