/* SPDX-License-Identifier: MIT */
/* What the measuring program and its guest share: where things lie in the guest's memory, and the orders. */
#ifndef KVM_BENCH_ORDER_H
#define KVM_BENCH_ORDER_H

#include <stdint.h>

enum {
	TABLES_AT = 0x1000, /* a PML4, and a page-directory-pointer table after it */
	ORDER_AT = 0x10000,
	STACK_TOP = 0x100000,
	GUEST_AT = 0x200000, /* as the Makefile links it */
	SAMPLES_AT = 0x400000,
	SITES_AT = 0x600000,
	SITE_PAGE_AT = 0x700000,
	MEMORY_SIZE = 0x1000000,
	DONE_PORT = 0xf1,
};

/* What is timed, or traced between magic breakpoints: a name, and the instructions of ticks.h. */
#define ORDERS(X)                   \
	X(EMPTY, EMPTY)             \
	X(ZERO, ZERO)               \
	X(VMCALL, VMCALL)           \
	X(CPUID, CPUID)             \
	X(READ, READ)               \
	X(WRITE, WRITE)             \
	X(READ8, READ8)             \
	X(TEST, TEST)               \
	X(STORES, STORES)           \
	X(MADE_STORES, MADE_STORES) \
	X(READ_LOOP, READ_LOOP)     \
	X(POLL_LOOP, POLL_LOOP)     \
	X(POLL_MEMORY, POLL_MEMORY) \
	X(SEND_64, SEND(64))

enum order_kind {
#define ORDER(name, instructions) ORDER_##name, ORDER_TRACE_##name,
	ORDERS(ORDER)
#undef ORDER
		ORDER_COLD_READ, /* each by another instruction */
	ORDER_SITE_READ,         /* by one instruction, of which `other` bytes lie behind the end of a page */
	ORDER_TOUCH,             /* one write to each page from `at` on; takes no time */
};

/* `count` accesses, 0x10 bytes behind `at` and `other` by turns; a sample is left of each. */
struct order {
	uint32_t kind, count;
	uint64_t at, other;
};

#endif
