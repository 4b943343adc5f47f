/* SPDX-License-Identifier: MIT */
/* What the parts of the guest have among themselves: the local APIC's registers, and the sum of what was seen. */
#ifndef GUEST_STUBS_APIC_TRACE_H
#define GUEST_STUBS_APIC_TRACE_H

#include "guest/stubs/cpu.h"
#include "guest/stubs/lib.h"

enum { STEPS = 4000, SPURIOUS = 0xff };
enum { SERIAL_PORT = 0x3F8, POWER_PORT = 0x604, POWER_OFF = 5 << 10 | 1 << 13, LINE_PORTS = 0x2000 };
enum { MSR_APIC_BASE = 0x1B, MSR_DEADLINE = 0x6E0, MSR_X2APIC = 0x800, X2APIC_ON = 1 << 10, APIC_ON = 1 << 11 };
enum {
	ID = 0x20,
	VERSION = 0x30,
	TPR = 0x80,
	PPR = 0xA0,
	EOI = 0xB0,
	LDR = 0xD0,
	DFR = 0xE0,
	SVR = 0xF0,
	ISR = 0x100,
	TMR = 0x180,
	IRR = 0x200,
	ESR = 0x280,
	ICR = 0x300,
	ICR_HIGH = 0x310,
	TIMER = 0x320,
	LINT0 = 0x350,
	COUNT = 0x380,
	DIVIDE = 0x3E0,
	SELF = 0x3F0,
};
enum { SVR_ON = 1 << 8, MASKED = 1 << 16, PERIODIC = 1 << 17, DEADLINE = 1 << 18, LOGICAL = 1 << 11 };
enum { TO_SELF = 1 << 18, TO_ALL = 2 << 18, LEVEL_ENTRY = 1 << 15, PIN = 20, DEEPEST = 6 };
/* Level-triggered interrupts have vectors of their own. */
enum { FIRST = 0x40, LAST = 0xEF, LEVEL_FIRST = 0xF0, LEVEL_VECTORS = 15 };

#define LOCAL_APIC 0xfee00000ull
#define ELSEWHERE  0xd0000000ull
#define OVER_RAM   0x1000000ull
#define IO_APIC    0xfec00000ull

/* Where the APIC is: a page, or MSRs. */
extern uint64_t apic_at;
extern bool x2apic;

/* Of the part that runs: what was seen, how many interrupts were taken. */
extern uint64_t sum, taken;
/* How many handlers are under way; how often a level-triggered line stays up. */
extern unsigned depth, again;

void out8(uint16_t port, uint8_t byte);
void say(const char *text);
void say_number(uint64_t number, unsigned base);
void note(uint64_t seen);
/* The priorities and the sets; all other registers. */
void note_state(void);
void note_registers(void);

uint64_t read_cr8(void);
void write_cr8(uint64_t value);
uint32_t get(unsigned offset);
void put(unsigned offset, uint32_t value);
void interrupts_on(void);
void interrupts_off(void);

/* Each vector has its own gate. */
void load_idt(void);

#endif
