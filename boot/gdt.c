/* SPDX-License-Identifier: MIT */
#include "boot/gdt.h"

#include "boot/cpu.h"

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

enum { MSR_GS_BASE = 0xC0000101 };

static void fill_tss(struct host_cpu *cpu)
{
	for (unsigned i = HOST_STACK_DOUBLE_FAULT; i < HOST_STACKS; i++)
		cpu->tss.ist[i - HOST_STACK_DOUBLE_FAULT] = (uintptr_t)cpu->stacks[i].end;
	cpu->tss.io_map_base = sizeof(cpu->tss);
}

static void fill_gdt(struct host_cpu *cpu)
{
	uint64_t base = (uintptr_t)&cpu->tss;
	uint64_t limit = sizeof(cpu->tss) - 1;

	cpu->gdt[GDT_CODE / 8] = 0x00AF9B000000FFFF; /* 64-bit, execute and read, accessed */
	cpu->gdt[GDT_DATA / 8] = 0x00CF93000000FFFF; /* read and write, accessed */
	/* Present, type 9: an available 64-bit TSS. SDM vol. 3, figure 8-4. */
	cpu->gdt[GDT_TSS / 8] = limit | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
	cpu->gdt[GDT_TSS / 8 + 1] = base >> 32;
}

void gdt_init(struct host_cpu *cpu)
{
	struct table_register gdtr = {sizeof(cpu->gdt) - 1, (uintptr_t)cpu->gdt};

	fill_tss(cpu);
	fill_gdt(cpu);
	__asm__ volatile("lgdt %0\n\t"
			 "pushq %q1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %w2, %%ds\n\t"
			 "mov %w2, %%es\n\t"
			 "mov %w2, %%ss\n\t"
			 "ltr %w3"
			 :
			 : "m"(gdtr), "r"((uint64_t)GDT_CODE), "r"(GDT_DATA), "r"(GDT_TSS)
			 : "rax", "memory");
	/* The selector is null and stays so: loading one would clear the base. */
	msr_write(MSR_GS_BASE, (uintptr_t)cpu);
}
