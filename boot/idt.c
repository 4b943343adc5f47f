/* SPDX-License-Identifier: MIT */
#include "boot/idt.h"

#include "boot/cpu.h"
#include "boot/gdt.h"
#include "boot/stack.h"

enum { VECTORS = 256, EXCEPTIONS = 32, VECTOR_NMI = 2, VECTOR_DOUBLE_FAULT = 8, VECTOR_MACHINE_CHECK = 18 };
enum { GATE_INTERRUPT = 0x8E /* present, DPL 0, 64-bit interrupt gate */ };
enum { CR4_MCE = 1 << 6 };
enum { PIC1 = 0x20, PIC2 = 0xA0, PIC_DATA = 1 };

/* SDM vol. 3, figure 6-8. */
struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
};

_Static_assert(sizeof(struct gate) == 16, "a 64-bit gate has 16 bytes");

struct table_register {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const uint64_t idt_exceptions[EXCEPTIONS];
void idt_nmi(void);
void idt_interrupt(void);
void idt_kick(void);
void idt_machine_check(void);

uint64_t idt_nmis, idt_interrupts;

static struct gate idt[VECTORS] __attribute__((aligned(16)));

static void idt_set(unsigned vector, uint64_t entry, enum host_stack_name stack)
{
	idt[vector] = (struct gate){
		.offset_low = (uint16_t)entry,
		.selector = GDT_CODE,
		.ist = (uint8_t)stack, /* HOST_STACK_BOOT: 0, the stack in use */
		.type = GATE_INTERRUPT,
		.offset_middle = (uint16_t)(entry >> 16),
		.offset_high = (uint32_t)(entry >> 32),
	};
}

/* Away from the exceptions' vectors, where the BIOS has them, and all lines masked. */
static void pic_silence(void)
{
	static const uint8_t words[][2] = {{0x11, 0x11}, {0x20, 0x28}, {0x04, 0x02}, {0x01, 0x01}, {0xFF, 0xFF}};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		io_write8(i ? PIC1 + PIC_DATA : PIC1, words[i][0]);
		io_write8(i ? PIC2 + PIC_DATA : PIC2, words[i][1]);
	}
}

void idt_init(void)
{
	for (unsigned vector = 0; vector < VECTORS; vector++)
		idt_set(vector, vector < EXCEPTIONS ? idt_exceptions[vector] : (uintptr_t)idt_interrupt,
			HOST_STACK_BOOT);
	/* Those that may come while the stack in use is not to be trusted. */
	idt_set(VECTOR_NMI, (uintptr_t)idt_nmi, HOST_STACK_NMI);
	idt_set(VECTOR_DOUBLE_FAULT, idt_exceptions[VECTOR_DOUBLE_FAULT], HOST_STACK_DOUBLE_FAULT);
	idt_set(VECTOR_MACHINE_CHECK, (uintptr_t)idt_machine_check, HOST_STACK_MACHINE_CHECK);
	idt_set(IDT_VECTOR_KICK, (uintptr_t)idt_kick, HOST_STACK_BOOT);
	/* Outside a guest that takes it, it has done all that it had to do by coming (docs/rules.md, rule 16). */
	idt_set(IDT_VECTOR_NOTIFICATION, (uintptr_t)idt_kick, HOST_STACK_BOOT);
	pic_silence();
	idt_load();
}

void idt_load(void)
{
	struct table_register idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
	/* Without it a machine check resets the machine instead of being reported. Every 64-bit CPU has it. */
	cr4_write(cr4_read() | CR4_MCE);
}
