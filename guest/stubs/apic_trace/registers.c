/* SPDX-License-Identifier: MIT */
/* The local APIC's registers by either way, and what is noted of them. */
#include "guest/stubs/apic_trace/apic_trace.h"

uint64_t apic_at = LOCAL_APIC, sum, taken;
unsigned depth, again;
bool x2apic;

void out8(uint16_t port, uint8_t byte)
{
	__asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

void say(const char *text)
{
	while (*text)
		out8(SERIAL_PORT, (uint8_t)*text++);
}

void say_number(uint64_t number, unsigned base)
{
	char digits[21], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	say(at);
}

/* FNV-1a, by words. */
void note(uint64_t seen)
{
	sum = (sum ^ seen) * 0x100000001b3;
}

uint64_t read_cr8(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	return value;
}

void write_cr8(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

uint32_t get(unsigned offset)
{
	return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + offset / 16) : *(volatile uint32_t *)(apic_at + offset);
}

void put(unsigned offset, uint32_t value)
{
	if (x2apic)
		wrmsr(MSR_X2APIC + offset / 16, value);
	else
		*(volatile uint32_t *)(apic_at + offset) = value;
}

void interrupts_on(void)
{
	__asm__ volatile("sti\n\tnop" : : : "memory");
}

void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

void note_state(void)
{
	note(get(TPR) | (uint64_t)get(PPR) << 8 | read_cr8() << 16);
	for (unsigned i = 0; i < 8; i++)
		note(get(ISR + 16 * i) | (uint64_t)get(IRR + 16 * i) << 32);
	for (unsigned i = 0; i < 8; i++)
		note(get(TMR + 16 * i));
}

void note_registers(void)
{
	note(get(ID) | (uint64_t)get(VERSION) << 32);
	note(get(LDR) | (uint64_t)(x2apic ? 0 : get(DFR)) << 32);
	note(get(SVR) | (uint64_t)get(DIVIDE) << 32);
	note(x2apic ? rdmsr(MSR_X2APIC + ICR / 16) : get(ICR) | (uint64_t)get(ICR_HIGH) << 32);
	for (unsigned i = 0; i < 6; i++)
		note(get(TIMER + 16 * i));
	note(get(COUNT));
}
