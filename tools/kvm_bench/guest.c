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

static void copy_site(uint8_t *to)
{
	for (uint32_t i = 0; i < SITE_SIZE; i++)
		to[i] = read_site + i < read_site_end ? read_site[i] : 0xcc;
}

static uint32_t cold_ticks(uint32_t n, uint64_t at)
{
	return ticks_at((const uint8_t *)(uint64_t)SITES_AT + n * SITE_SIZE, at);
}

/* Other ones than before: the copies lie one after the other, and each is used once. */
static void make_sites(uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		copy_site((uint8_t *)(uint64_t)SITES_AT + n * SITE_SIZE);
}

/* One whose access ends `beyond` bytes behind the end of a page. */
static const uint8_t *site_at_page_end(uint64_t beyond)
{
	uint8_t *site = (uint8_t *)(uint64_t)SITE_PAGE_AT + beyond - (read_site_access_end - read_site);

	copy_site(site);
	return site;
}

static void touch(uint64_t at, uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		*(volatile uint32_t *)(at + ((uint64_t)n << 12)) = n;
}

static void obey(uint32_t kind, uint32_t count, uint64_t even, uint64_t odd)
{
	volatile uint32_t *samples = (volatile uint32_t *)(uint64_t)SAMPLES_AT;
	const uint8_t *site;

	switch ((enum order_kind)kind) {
#define ORDER(name, instructions)                \
	case ORDER_##name:                       \
		SAMPLE(TICKS(instructions, at)); \
		break;                           \
	case ORDER_TRACE_##name:                 \
		TRACE(instructions);             \
		break;
		ORDERS(ORDER)
#undef ORDER
	case ORDER_COLD_READ:
		make_sites(count);
		SAMPLE(cold_ticks(n, at));
		break;
	case ORDER_SITE_READ:
		site = site_at_page_end(odd);
		odd = even;
		SAMPLE(ticks_at(site, at));
		break;
	case ORDER_TOUCH:
		touch(even, count);
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
