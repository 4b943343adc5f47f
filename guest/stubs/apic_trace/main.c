/* SPDX-License-Identifier: MIT */
/*
 * A PC's local APIC, exercised at random (the words pc and testdev): priorities, the TPR by three ways, interrupts that
 * it sends itself by four, nested handlers, level-triggered ones that come again, errors, registers, timers; by its
 * page, by MSRs, elsewhere in memory, over memory, off and on again. All that it sees goes into a sum for each part,
 * printed on the serial line: the sums are the same whatever the CPU does of it by itself.
 */
#include "guest/stubs/apic_trace/apic_trace.h"

static void out16(uint16_t port, uint16_t word)
{
	__asm__ volatile("outw %0, %1" : : "a"(word), "Nd"(port));
}

static uint32_t some_vector(void)
{
	return FIRST + lib_random_below(LAST - FIRST + 1);
}

static void send(uint32_t high, uint32_t low)
{
	if (x2apic) {
		wrmsr(MSR_X2APIC + ICR / 16, (uint64_t)high << 32 | low);
		return;
	}
	put(ICR_HIGH, high << 24);
	put(ICR, low);
}

/* By shorthand, by its number, by its logical one, by the register for it. */
static void send_self(uint32_t vector)
{
	switch (lib_random_below(4)) {
	case 0:
		put(ICR, TO_SELF | vector);
		break;
	case 1:
		send(x2apic ? get(ID) : get(ID) >> 24, vector);
		break;
	case 2:
		send(x2apic ? get(LDR) : get(LDR) >> 24, LOGICAL | vector);
		break;
	default:
		if (x2apic)
			put(SELF, vector);
		else
			put(ICR, TO_ALL | vector);
	}
}

static void route(uint32_t low)
{
	volatile uint32_t *io_apic = (volatile uint32_t *)IO_APIC;

	io_apic[0] = 0x10 + 2 * PIN;
	io_apic[4] = low;
}

static void raise_level(void)
{
	route(LEVEL_ENTRY | (LEVEL_FIRST + lib_random_below(LEVEL_VECTORS)));
	again = lib_random_below(3);
	out8(LINE_PORTS + PIN, 1);
}

/* Vectors below 16 are errors; the ESR has them once it is written. */
static void make_error(void)
{
	send_self(lib_random_below(16));
	put(ESR, 0);
	note(get(ESR));
	put(ESR, 0);
	note(get(ESR));
}

static void turn_off_and_on(void)
{
	uint32_t spurious = get(SVR);

	put(SVR, spurious & ~(uint32_t)SVR_ON);
	send_self(some_vector());
	note_registers();
	put(SVR, spurious);
	put(LINT0, 7 << 8 | (lib_random_below(2) ? MASKED : 0));
	note_registers();
}

static void write_registers(void)
{
	put(TIMER, MASKED | (lib_random_below(2) ? PERIODIC : 0) | some_vector());
	put(DIVIDE, lib_random_below(16) & 0xb);
	if (!x2apic) {
		put(ID, 0x5a000000);
		put(DFR, UINT32_MAX);
		put(LDR, 1u << (24 + lib_random_below(8)));
	}
	note_registers();
}

static void step(void)
{
	switch (lib_random_below(12)) {
	case 0:
	case 1:
	case 2:
		send_self(some_vector());
		break;
	case 3:
		put(TPR, lib_random_below(256));
		break;
	case 4:
		write_cr8(lib_random_below(16));
		break;
	case 5:
		interrupts_on();
		break;
	case 6:
		interrupts_off();
		break;
	case 7:
		note_state();
		break;
	case 8:
		raise_level();
		break;
	case 9:
		make_error();
		break;
	case 10:
		write_registers();
		break;
	default:
		if (lib_random_below(8) == 0)
			turn_off_and_on();
		else if (depth == 0)
			put(EOI, 0);
	}
}

/* What is left is taken before the next part. */
static void finish(const char *part)
{
	interrupts_off();
	put(TPR, 0);
	interrupts_on();
	out8(LINE_PORTS + PIN, 0);
	route(MASKED);
	interrupts_off();
	note_state();
	say("apic-trace: ");
	say(part);
	say(" ");
	say_number(taken, 10);
	say(" taken, sum ");
	say_number(sum, 16);
	say("\n");
	sum = 0xcbf29ce484222325;
	taken = 0;
}

static void hammer(const char *part)
{
	put(SVR, SVR_ON | SPURIOUS);
	for (unsigned i = 0; i < STEPS; i++)
		step();
	finish(part);
}

/* ---- Timers, and a CPU that halts -------------------------------------------------------------------------------- */

static void halt_for(uint64_t more)
{
	uint64_t until = taken + more;

	while (taken < until)
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static void timers(const char *part)
{
	put(DIVIDE, 0xb);
	put(TIMER, 0x91);
	put(COUNT, 50000);
	halt_for(1);
	put(TIMER, PERIODIC | 0x92);
	put(COUNT, 50000);
	halt_for(4);
	put(COUNT, 0);
	put(TIMER, DEADLINE | 0x93);
	wrmsr(MSR_DEADLINE, rdtsc() + 100000);
	halt_for(1);
	note(rdmsr(MSR_DEADLINE));
	put(TIMER, MASKED);
	/* One that the TPR holds back does not end a HLT; the one that does is above it. */
	put(TPR, 0x80);
	put(ICR, TO_SELF | 0x45);
	put(ICR, TO_SELF | 0xa5);
	halt_for(1);
	note_state();
	finish(part);
}

/* ---- Where it is ------------------------------------------------------------------------------------------------- */

static void set_base(uint64_t base)
{
	wrmsr(MSR_APIC_BASE, base);
	note(rdmsr(MSR_APIC_BASE));
}

/* Over memory its registers are what is there; the memory is as it was when they have gone. */
static void go_over_memory(uint64_t base)
{
	volatile uint32_t *memory = (volatile uint32_t *)OVER_RAM;

	memory[TPR / 4] = 0x12345678;
	put(TPR, 0x30);
	set_base((base & 0xfff) | OVER_RAM);
	note(memory[TPR / 4]);
	memory[TPR / 4] = 0x40;
	note(read_cr8());
	write_cr8(5);
	set_base(base);
	note(get(TPR));
	note(memory[TPR / 4]);
	finish("over-memory");
}

static void go_off(uint64_t base)
{
	set_base(base & ~(uint64_t)APIC_ON);
	x2apic = false;
	note(*(volatile uint32_t *)(LOCAL_APIC + VERSION));
	write_cr8(9);
	note(read_cr8());
	set_base(base);
	apic_at = LOCAL_APIC;
	note_registers();
}

int main(const struct mb1_info *info)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	(void)info;
	interrupts_off();
	load_idt();
	sum = 0xcbf29ce484222325;
	hammer("xapic");
	timers("xapic-timers");
	set_base((base & 0xfff) | ELSEWHERE);
	apic_at = ELSEWHERE;
	hammer("moved");
	set_base(base);
	apic_at = LOCAL_APIC;
	go_over_memory(base);
	set_base(base | X2APIC_ON);
	x2apic = true;
	hammer("x2apic");
	timers("x2apic-timers");
	go_off(base);
	hammer("xapic-again");
	say("apic-trace: passed\n");
	for (;;)
		out16(POWER_PORT, POWER_OFF);
}
