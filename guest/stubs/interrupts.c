/* SPDX-License-Identifier: MIT */
/*
 * Interrupts from a controller of the embedder's, and its timer: each is taken once, at the first instruction that can
 * be interrupted, the highest first, also where a page of the stack is missing; HLT waits for them; from another vCPU
 * none is lost, whether it comes while the vCPU runs, halts or enters.
 */
#include "guest/stubs/cpu.h"
#include "guest/stubs/idt.h"
#include "guest/stubs/libsmp.h"

#define FRESH_STACK 0x600000ull

enum { DEFAULT_ROUNDS = 300 };
/* By its number a vector counts below. */
enum { LOW, HIGH, ALARM, RING, NR_RINGS = 4, NR_NUMBERS = RING + NR_RINGS, VECTORS_AT = 0x40 };

/* Written by the handlers below: how often, in which order among all, and where each returned to last. */
volatile uint64_t interrupt_counts[NR_NUMBERS], interrupt_order[NR_NUMBERS], interrupt_returns[NR_NUMBERS];
volatile uint64_t interrupt_sequence;

#define HANDLER(number)                                           \
	"pushq %rax\n\t"                                          \
	"movl $1, %eax\n\t"                                       \
	"lock xaddq %rax, interrupt_sequence(%rip)\n\t"           \
	"movq %rax, interrupt_order + 8 * " number "(%rip)\n\t"   \
	"movq 8(%rsp), %rax\n\t"                                  \
	"movq %rax, interrupt_returns + 8 * " number "(%rip)\n\t" \
	"lock incq interrupt_counts + 8 * " number "(%rip)\n\t"   \
	"popq %rax\n\t"                                           \
	"iretq\n\t"                                               \
	".balign 64\n"

void interrupt_handlers(void);

__asm__(".text\n"
	".balign 64\n"
	"interrupt_handlers:\n" HANDLER("0") HANDLER("1") HANDLER("2") HANDLER("3") HANDLER("4") HANDLER("5")
		HANDLER("6"));
_Static_assert(NR_NUMBERS == 7, "there is a handler for each");

enum { HANDLER_SIZE = 64 };

static struct gate idt[VECTORS_AT + NR_NUMBERS];
static uint64_t rounds;

static void load_idt(void)
{
	for (unsigned i = 0; i < NR_NUMBERS; i++)
		idt[VECTORS_AT + i] = gate_to((uint64_t)interrupt_handlers + (uint64_t)i * HANDLER_SIZE);
	load_gates(idt, VECTORS_AT + NR_NUMBERS);
}

static void request(unsigned index, unsigned number)
{
	CHECK_EQUAL(vmcall(HC_INTERRUPT, index, VECTORS_AT + number, 0, 0), 0);
}

static void set_alarm(uint64_t ticks)
{
	CHECK_EQUAL(vmcall(HC_ALARM, ticks, VECTORS_AT + ALARM, 0, 0), 0);
}

/* Has interrupts on for `instructions` of one byte behind the STI; returns where the second one stands. */
#define OPEN_FOR(instructions)                                                   \
	({                                                                       \
		uint64_t second_;                                                \
                                                                                 \
		__asm__ volatile("sti\n\tnop\n1:\n\t" instructions "\n\tcli\n\t" \
				 "lea 1b(%%rip), %0"                             \
				 : "=r"(second_)                                 \
				 :                                               \
				 : "memory");                                    \
		second_;                                                         \
	})

static void check_order(void)
{
	uint64_t second;

	request(0, LOW);
	request(0, HIGH);
	request(0, LOW);
	CHECK_EQUAL(interrupt_counts[LOW] + interrupt_counts[HIGH], 0);
	second = OPEN_FOR("nop; nop");
	CHECK_EQUAL(interrupt_counts[LOW], 1);
	CHECK_EQUAL(interrupt_counts[HIGH], 1);
	CHECK(interrupt_order[HIGH] < interrupt_order[LOW]);
	/* The shadow of STI is one instruction, and the second interrupt comes when the first is done. */
	CHECK_EQUAL(interrupt_returns[HIGH], second);
	CHECK_EQUAL(interrupt_returns[LOW], second);
}

/* Unmasked, it comes right behind the instruction that requests it. */
static void check_at_once(void)
{
	uint64_t behind, call = HC_INTERRUPT;

	__asm__ volatile("sti\n\tnop\n\tvmcall\n1:\n\tcli\n\tlea 1b(%%rip), %[behind]"
			 : "+a"(call), [behind] "=&r"(behind)
			 : "b"(0), "c"(VECTORS_AT + LOW)
			 : "memory");
	CHECK_EQUAL(call, 0);
	CHECK_EQUAL(interrupt_counts[LOW], 2);
	CHECK_EQUAL(interrupt_returns[LOW], behind);
}

/* The frame goes to a page that the host has not given yet: the exit that this makes is in the midst of the delivery.
 */
static void check_fresh_stack(void)
{
	request(0, HIGH);
	__asm__ volatile("mov %%rsp, %%r12\n\t"
			 "mov %[stack], %%rsp\n\t"
			 "sti\n\tnop\n\tnop\n\tcli\n\t"
			 "mov %%r12, %%rsp"
			 :
			 : [stack] "r"(FRESH_STACK)
			 : "r12", "memory");
	CHECK_EQUAL(interrupt_counts[HIGH], 2);
}

static void check_halt(void)
{
	request(0, LOW);
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
	CHECK_EQUAL(interrupt_counts[LOW], 3);
}

enum wait { WAIT_HALTED, WAIT_RUNNING, WAIT_ACCESSING, NR_WAITS };

static void wait_for(unsigned number, uint64_t count, enum wait how, uint64_t device)
{
	while (interrupt_counts[number] < count) {
		switch (how) {
		case WAIT_HALTED:
			__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
			break;
		case WAIT_RUNNING:
			OPEN_FOR("nop; nop");
			break;
		default:
			OPEN_FOR("nop");
			(void)read32(device);
		}
	}
}

/* It never comes early, and it comes whatever the guest does meanwhile. */
static void check_alarm(void)
{
	uint64_t device = lib_device(DEVICE_BANK0).address;

	for (unsigned i = 0; i < 2 * NR_WAITS; i++) {
		uint64_t ticks = i & 1 ? 200000 : 3000, before = rdtsc();

		/* The later one takes the place of this. */
		set_alarm(ticks / 2);
		set_alarm(ticks);
		wait_for(ALARM, i + 1, (enum wait)(i / 2), device);
		CHECK(rdtsc() - before >= ticks);
		CHECK_EQUAL(interrupt_counts[ALARM], i + 1);
	}
}

/* An interrupt goes round: who gets it gives it to the next. */
static void ring(unsigned index)
{
	unsigned vcpus = smp_vcpus() < NR_RINGS ? smp_vcpus() : NR_RINGS;
	bool shares = smp_vcpus() > smp_cpus();

	CHECK_EQUAL(vmcall(HC_CONTROLLER, 0, 0, 0, 0), 0);
	smp_barrier();
	if (index >= vcpus)
		return;
	for (uint64_t i = 1; i <= rounds; i++) {
		if (index == 0)
			request(1 % vcpus, RING + 1 % vcpus);
		while (shares && interrupt_counts[RING + index] < i) {
			OPEN_FOR("nop; nop");
			smp_pause();
		}
		wait_for(RING + index, i, i & 1 ? WAIT_HALTED : WAIT_RUNNING, 0);
		CHECK_EQUAL(interrupt_counts[RING + index], i);
		if (index != 0)
			request((index + 1) % vcpus, RING + (index + 1) % vcpus);
	}
}

int main(const struct mb1_info *info)
{
	rounds = lib_number(info, "rounds=", DEFAULT_ROUNDS);
	load_idt();
	CHECK_EQUAL(vmcall(HC_CONTROLLER, 0, 0, 0, 0), 0);
	check_order();
	check_at_once();
	check_fresh_stack();
	check_halt();
	check_alarm();
	if (smp_vcpus() > 1)
		smp_run(ring);
	return 0;
}
