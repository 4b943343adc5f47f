/* SPDX-License-Identifier: MIT */
/* The guest under KVM: takes an order, executes and times what Trapline's guest does (guest/stubs/bench/), says so. */
#include "guest/stubs/ticks.h"
#include "tools/kvm_bench/order.h"

_Noreturn void guest_start(void) __attribute__((section(".text.start")));

#define SAMPLE(sample)                            \
	for (uint32_t n = 0; n < count; n++) {    \
		uint64_t at = n & 1 ? odd : even; \
                                                  \
		samples[n] = (sample);            \
	}

/* `i` is volatile so that no compiler unrolls the loop: each copy of the instruction would be a cold one. */
#define TRACE(instructions)                                                       \
	for (volatile unsigned i = 0; i < TRACED; i++)                            \
	__asm__ volatile("xchg %%bx, %%bx\n\t" instructions "\n\txchg %%bx, %%bx" \
			 :                                                        \
			 : "S"(even)                                              \
			 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "memory", "cc")

static uint32_t cold_ticks(uint32_t n, uint64_t at)
{
	return ticks_at((const uint8_t *)(uint64_t)SITES_AT + n * SITE_SIZE, at);
}

/* Other ones than before: the copies lie one after the other, and each is used once. */
static void make_sites(uint32_t count)
{
	uint8_t *to = (uint8_t *)(uint64_t)SITES_AT;

	for (uint32_t n = 0; n < count; n++)
		for (uint32_t i = 0; i < SITE_SIZE; i++)
			to[n * SITE_SIZE + i] = read_site + i < read_site_end ? read_site[i] : 0xcc;
}

static void touch(uint64_t at, uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		*(volatile uint32_t *)(at + ((uint64_t)n << 12)) = n;
}

static void obey(uint32_t kind, uint32_t count, uint64_t even, uint64_t odd)
{
	volatile uint32_t *samples = (volatile uint32_t *)(uint64_t)SAMPLES_AT;

	switch ((enum order_kind)kind) {
	case ORDER_EMPTY:
		SAMPLE(TICKS(EMPTY, at));
		break;
	case ORDER_ZERO:
		SAMPLE(TICKS(ZERO, at));
		break;
	case ORDER_VMCALL:
		SAMPLE(TICKS(VMCALL, at));
		break;
	case ORDER_CPUID:
		SAMPLE(TICKS(CPUID, at));
		break;
	case ORDER_READ:
		SAMPLE(TICKS(READ, at));
		break;
	case ORDER_WRITE:
		SAMPLE(TICKS(WRITE, at));
		break;
	case ORDER_COLD_READ:
		make_sites(count);
		SAMPLE(cold_ticks(n, at));
		break;
	case ORDER_TOUCH:
		touch(even, count);
		break;
	case ORDER_TRACE_VMCALL:
		TRACE(VMCALL);
		break;
	case ORDER_TRACE_CPUID:
		TRACE(CPUID);
		break;
	case ORDER_TRACE_READ:
		TRACE(READ);
		break;
	case ORDER_TRACE_WRITE:
		TRACE(WRITE);
		break;
	}
}

_Noreturn void guest_start(void)
{
	const volatile struct order *order = (const volatile struct order *)(uint64_t)ORDER_AT;

	for (;;) {
		obey(order->kind, order->count, order->at, order->other);
		__asm__ volatile("outb %%al, %0" : : "N"(DONE_PORT), "a"(0) : "memory");
	}
}
