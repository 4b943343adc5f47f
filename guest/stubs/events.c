/* SPDX-License-Identifier: MIT */
/*
 * Events whose delivery an exit interrupts. Each is raised with the stack in memory that was never used, so pushing the
 * frame leaves the guest for an EPT violation; the event must then be delivered once more, whole: the same return
 * address, the same error code, and once only.
 */
#include "guest/stubs/idt.h"
#include "guest/stubs/lib.h"

/* Far enough apart that no page of the EPT, however large, holds two of them. */
#define FRESH_STACKS 0x600000ull
#define FRESH_STEP   0x200000ull

enum { VECTOR_DB = 1, VECTOR_BP = 3, VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_SOFTWARE = 0x80, NR_VECTORS = 0x81 };
/* DR7: breakpoint 0, for writes of four bytes. */
#define DR7_WRITE_4 0xd0402ull
#define DR7_OFF     0x400ull
#define DR7_GD      0x2400ull
#define DR6_BD      0x2000ull

enum { NO_SELECTOR = 0x1230 };

/* Written by the handlers below. */
volatile uint64_t events_taken, events_return, events_error;

void events_trap(void);
void events_fault(void);
void events_fault_with_error(void);

/* A fault returns to its own instruction; those here are two bytes long and are stepped over. */
__asm__(".text\n"
	"events_fault_with_error:\n\t"
	"popq events_error(%rip)\n"
	"events_fault:\n\t"
	"addq $2, (%rsp)\n"
	"events_trap:\n\t"
	"pushq (%rsp)\n\t"
	"popq events_return(%rip)\n\t"
	"incq events_taken(%rip)\n\t"
	"iretq");

static struct gate idt[NR_VECTORS];
static uint32_t watched;

static void set_gate(unsigned vector, void (*handler)(void))
{
	idt[vector] = gate_to((uint64_t)handler);
}

/* Raises an event on the next fresh stack; it must return behind `instruction`. */
#define RAISE(instruction, value)                                           \
	do {                                                                \
		uint64_t behind_;                                           \
                                                                            \
		events_taken = events_return = events_error = 0;            \
		__asm__ volatile("mov %%rsp, %%r12\n\t"                     \
				 "mov %[stack], %%rsp\n\t" instruction "\n" \
				 "1:\n\t"                                   \
				 "mov %%r12, %%rsp\n\t"                     \
				 "lea 1b(%%rip), %[behind]"                 \
				 : [behind] "=&r"(behind_)                  \
				 : [stack] "r"(stack), "a"(value)           \
				 : "r12", "memory");                        \
		CHECK_EQUAL(events_taken, 1);                               \
		CHECK_EQUAL(events_return, behind_);                        \
		stack += FRESH_STEP;                                        \
	} while (0)

/*
 * General detect: MOV DR raises #DB instead of being done, and the handler's return does it after all, since the #DB
 * has turned the detection off. MOV DR exits before the CPU looks at DR7.GD, so that this is the host's to do.
 */
static void check_general_detect(void)
{
	uint64_t moved, dr6, at;

	events_taken = 0;
	__asm__ volatile("mov %[gd], %%db7\n"
			 "1:\n\t"
			 "mov %%db0, %[moved]\n\t"
			 "mov %%db6, %[dr6]\n\t"
			 "lea 1b(%%rip), %[at]"
			 : [moved] "=&r"(moved), [dr6] "=&r"(dr6), [at] "=&r"(at)
			 : [gd] "r"(DR7_GD)
			 : "memory");
	CHECK_EQUAL(events_taken, 1);
	CHECK_EQUAL(events_return, at);
	CHECK_EQUAL(moved, (uint64_t)&watched);
	CHECK(dr6 & DR6_BD);
}

int main(const struct mb1_info *info)
{
	uint64_t stack = FRESH_STACKS;

	(void)info;
	set_gate(VECTOR_DB, events_trap);
	set_gate(VECTOR_BP, events_trap);
	set_gate(VECTOR_SOFTWARE, events_trap);
	set_gate(VECTOR_UD, events_fault);
	set_gate(VECTOR_GP, events_fault_with_error);
	load_gates(idt, NR_VECTORS);
	RAISE("int3", 0);
	RAISE("int $0x80", 0);
	RAISE("ud2", 0);
	RAISE("mov %%eax, %%ds", NO_SELECTOR);
	CHECK_EQUAL(events_error, NO_SELECTOR);
	/* Unlike the others it is not raised again by running the instruction once more: dropped, it would be lost. */
	__asm__ volatile("mov %0, %%db0; mov %1, %%db7" : : "r"((uint64_t)&watched), "r"(DR7_WRITE_4));
	RAISE("movl $1, (%%rax)", (uint64_t)&watched);
	__asm__ volatile("mov %0, %%db7" : : "r"(DR7_OFF));
	CHECK_EQUAL(watched, 1);
	check_general_detect();
	/* The stacks were really used: each holds the frame's SS. */
	for (uint64_t at = FRESH_STACKS; at < stack; at += FRESH_STEP)
		CHECK_EQUAL(*(volatile uint64_t *)(at - 8), 0x10);
	return 0;
}
