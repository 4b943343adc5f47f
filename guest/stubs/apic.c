/* SPDX-License-Identifier: MIT */
/*
 * A PC's interrupts, from a guest of its own (the word pc): the local APIC by its page, by MSRs, elsewhere and over
 * memory, its timer in three modes, the PIT through the I/O APIC, HLT, a PIT that is asked for a million interrupts in
 * a second; and what an end of interrupt and a read of the I/O APIC take. It prints on port E9h and ends by port F4h or
 * S5.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/idt.h"
#include "guest/stubs/lib.h"
#include "guest/stubs/ticks.h"

enum { VECTOR = 0x40, SPURIOUS = 0xff, VECTORS = 256 };
enum { DEBUG_PORT = 0xE9, EXIT_PORT = 0xF4, POWER_PORT = 0x604, POWER_OFF = 5 << 10 | 1 << 13 };
enum { PIT_COUNTER = 0x40, PIT_CONTROL = 0x43, MSR_APIC_BASE = 0x1B, MSR_DEADLINE = 0x6E0, MSR_SELF_IPI = 0x83F };
enum {
	APIC_EOI = 0xB0,
	APIC_SVR = 0xF0,
	APIC_COMMAND = 0x300,
	APIC_TIMER = 0x320,
	APIC_COUNT = 0x380,
	APIC_DIVIDE = 0x3E0
};
enum { SELF_IPI = 1 << 18 | VECTOR, PERIODIC = 1 << 17, DEADLINE = 1 << 18, MASKED = 1 << 16 };

#define LOCAL_APIC 0xfee00000ull
#define ELSEWHERE  0xd0000000ull
#define IO_APIC    0xfec00000ull

enum { MEMORY_WORDS = 512, NR_MEMORY_PAGES = 3 };
/* Memory of the guest's own. */
static volatile uint64_t memory[NR_MEMORY_PAGES][MEMORY_WORDS] __attribute__((aligned(4096)));

struct frame {
	uint64_t rip, cs, rflags, rsp, ss;
};

static struct gate idt[VECTORS];
static volatile uint64_t taken;
static volatile uint64_t apic_at = LOCAL_APIC;
static uint32_t samples[SAMPLES], nr_samples;
static bool x2apic;

static void out8(uint16_t port, uint8_t byte)
{
	__asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

static void out16(uint16_t port, uint16_t word)
{
	__asm__ volatile("outw %0, %1" : : "a"(word), "Nd"(port));
}

static void say(const char *text)
{
	while (*text)
		out8(DEBUG_PORT, (uint8_t)*text++);
}

static void say_number(uint64_t number)
{
	char digits[21], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	say(at);
}

/* A failure is told and ends the guest: its hypercalls are nobody's here. */
static void require(bool holds, const char *what)
{
	if (holds)
		return;
	say("apic: failed: ");
	say(what);
	say("\n");
	for (;;)
		out8(EXIT_PORT, 1);
}

static void apic_write(unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(apic_at + offset) = value;
}

__attribute__((interrupt)) static void handler(struct frame *frame)
{
	uint32_t ticks;

	(void)frame;
	taken++;
	if (x2apic) {
		wrmsr(0x800 + APIC_EOI / 16, 0);
		return;
	}
	/* WRITE is to 10h behind the address. */
	ticks = TICKS(WRITE, apic_at + APIC_EOI - 0x10);
	if (nr_samples < SAMPLES)
		samples[nr_samples++] = ticks;
}

__attribute__((interrupt)) static void spurious(struct frame *frame)
{
	(void)frame;
}

static void load_idt(void)
{
	idt[VECTOR] = gate_to((uint64_t)handler);
	idt[SPURIOUS] = gate_to((uint64_t)spurious);
	load_gates(idt, VECTORS);
}

static void interrupts_on(void)
{
	__asm__ volatile("sti\n\tnop" : : : "memory");
}

static void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Halts until so many more have been taken. */
static void halt_for(uint64_t more)
{
	uint64_t until = taken + more;

	while (taken < until)
		__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

/* ---- What is measured ---------------------------------------------------------------------------------------------
 */

static uint32_t median(uint32_t *values, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = i; j && values[j - 1] > values[j]; j--) {
			uint32_t swap = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swap;
		}
	return values[count / 2];
}

static uint32_t empty_ticks(void)
{
	uint32_t values[65];

	for (unsigned i = 0; i < 65; i++)
		values[i] = TICKS(EMPTY, 0);
	return median(values, 65);
}

static void measure(void)
{
	uint32_t reads[65], empty = empty_ticks(), eoi, read;

	interrupts_on();
	for (unsigned i = 0; i < 200; i++)
		apic_write(APIC_COMMAND, SELF_IPI);
	interrupts_off();
	require(taken == 200, "each interrupt that it sends itself is taken once");
	eoi = median(samples, nr_samples) - empty;
	for (unsigned i = 0; i < 65; i++)
		reads[i] = TICKS(READ, IO_APIC);
	read = median(reads, 65) - empty;
	say("apic: an end of interrupt takes ");
	say_number(eoi);
	say(" ticks, a read of the I/O APIC ");
	say_number(read);
	say("\n");
}

/* ---- Timers -------------------------------------------------------------------------------------------------------
 */

static void local_timer(void)
{
	uint64_t before = taken, at;

	apic_write(APIC_DIVIDE, 0xb);
	apic_write(APIC_TIMER, VECTOR);
	apic_write(APIC_COUNT, 100000);
	halt_for(1);
	apic_write(APIC_TIMER, PERIODIC | VECTOR);
	apic_write(APIC_COUNT, 100000);
	halt_for(5);
	apic_write(APIC_COUNT, 0);
	require(taken == before + 6, "the local APIC's timer interrupts as often as it was told");
	apic_write(APIC_TIMER, DEADLINE | VECTOR);
	at = rdtsc() + 200000;
	wrmsr(MSR_DEADLINE, at);
	halt_for(1);
	require(rdtsc() >= at, "a deadline does not come before its time");
	require(rdmsr(MSR_DEADLINE) == 0, "a deadline that has come is none any more");
	apic_write(APIC_TIMER, MASKED);
}

static void program_pit(uint16_t count)
{
	out8(PIT_CONTROL, 0x34);
	out8(PIT_COUNTER, (uint8_t)count);
	out8(PIT_COUNTER, (uint8_t)(count >> 8));
}

static void route(unsigned pin, uint32_t low)
{
	volatile uint32_t *io_apic = (volatile uint32_t *)IO_APIC;

	io_apic[0] = 0x10 + 2 * pin;
	io_apic[4] = low;
}

/* Of a period of one tick the host makes one that leaves it, and the guest, alive. */
static void pit(void)
{
	volatile uint64_t work = 0;
	uint64_t before;

	route(2, VECTOR);
	program_pit(1193);
	halt_for(5);
	program_pit(1);
	before = taken;
	interrupts_on();
	while (work < 200000)
		work++;
	interrupts_off();
	require(taken > before, "a PIT of one tick interrupts");
	out8(PIT_CONTROL, 0x30);
	route(2, MASKED);
	/* What was on its way. */
	interrupts_on();
	interrupts_off();
}

/* ---- Elsewhere, and by MSRs ---------------------------------------------------------------------------------------
 */

static void send_to_self(const char *what)
{
	uint64_t before = taken;

	interrupts_on();
	if (x2apic)
		wrmsr(MSR_SELF_IPI, VECTOR);
	else
		apic_write(APIC_COMMAND, SELF_IPI);
	for (uint64_t began = rdtsc(); taken == before && rdtsc() - began < 10000000;)
		;
	interrupts_off();
	require(taken == before + 1, what);
}

static void move(uint64_t to)
{
	wrmsr(MSR_APIC_BASE, (rdmsr(MSR_APIC_BASE) & 0xfff) | to);
	apic_at = to;
}

/*
 * What the delivery of an interrupt reads is there again before one comes: Bochs 2.7 does not say which virtual
 * interrupt an EPT violation has interrupted.
 */
static void touch_tables(void)
{
	(void)*(volatile uint16_t *)&idt[VECTOR].selector;
	__asm__ volatile("mov %0, %%ds" : : "r"(0x10) : "memory");
}

/* The registers are what is seen there, the memory around them is what it was, and that below comes back. */
static void over_memory(void)
{
	for (unsigned i = 0; i < NR_MEMORY_PAGES * MEMORY_WORDS; i++)
		memory[i / MEMORY_WORDS][i % MEMORY_WORDS] = i;
	move((uint64_t)memory[1]);
	touch_tables();
	send_to_self("an APIC over memory sends and ends interrupts");
	require(*(volatile uint32_t *)(apic_at + APIC_SVR) == (0x100 | SPURIOUS), "its registers are there");
	require(memory[0][MEMORY_WORDS - 1] == MEMORY_WORDS - 1, "the memory before them is seen");
	require(memory[2][0] == 2 * MEMORY_WORDS, "the memory behind them is seen");
	move((uint64_t)memory[2]);
	require(memory[1][1] == MEMORY_WORDS + 1, "memory comes back when an APIC goes from it to the next page");
	move(LOCAL_APIC);
	for (unsigned i = 0; i < NR_MEMORY_PAGES * MEMORY_WORDS; i++)
		require(memory[i / MEMORY_WORDS][i % MEMORY_WORDS] == i, "memory comes back as it was");
}

static void modes(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	move(ELSEWHERE);
	send_to_self("an APIC that moved sends and ends interrupts where it is");
	move(LOCAL_APIC);
	send_to_self("and back");
	over_memory();
	wrmsr(MSR_APIC_BASE, base | 1 << 10);
	x2apic = true;
	send_to_self("x2APIC sends and ends interrupts");
	/* From there a way leads back through disabled alone; it has forgotten everything then. */
	wrmsr(MSR_APIC_BASE, base & ~(uint64_t)(1 << 11));
	wrmsr(MSR_APIC_BASE, base);
	x2apic = false;
	apic_write(APIC_SVR, 0x100 | SPURIOUS);
	send_to_self("an APIC that was off is on again");
}

int main(const struct mb1_info *info)
{
	(void)info;
	interrupts_off();
	load_idt();
	apic_write(APIC_SVR, 0x100 | SPURIOUS);
	measure();
	local_timer();
	pit();
	modes();
	say("apic: passed\n");
	for (;;)
		out16(POWER_PORT, POWER_OFF);
}
