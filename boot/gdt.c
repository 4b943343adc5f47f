/* SPDX-License-Identifier: MIT */
#include "boot/gdt.h"

#include <stddef.h>
#include <stdint.h>

#include "boot/stack.h"

/* SDM vol. 3, 8.7, figure 8-11. */
struct tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

_Static_assert(sizeof(struct tss) == 104 && offsetof(struct tss, ist) == 36, "the TSS as SDM figure 8-11 has it");

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct tss tss;
static uint64_t gdt[5] __attribute__((aligned(16))) = {
	[GDT_CODE / 8] = 0x00AF9B000000FFFF, /* 64-bit, execute and read, accessed */
	[GDT_DATA / 8] = 0x00CF93000000FFFF, /* read and write, accessed */
};

static void gdt_set_tss(void)
{
	uint64_t base = (uintptr_t)&tss;
	uint64_t limit = sizeof(tss) - 1;

	/* Present, type 9: an available 64-bit TSS. SDM vol. 3, figure 8-4. */
	gdt[GDT_TSS / 8] = limit | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | (base >> 24 & 0xFF) << 56;
	gdt[GDT_TSS / 8 + 1] = base >> 32;
}

void gdt_init(void)
{
	struct table_register gdtr = {sizeof(gdt) - 1, (uintptr_t)gdt};

	for (unsigned i = HOST_STACK_DOUBLE_FAULT; i < HOST_STACKS; i++)
		tss.ist[i - HOST_STACK_DOUBLE_FAULT] = (uintptr_t)host_stacks[i].end;
	tss.io_map_base = sizeof(tss);
	gdt_set_tss();
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
}
