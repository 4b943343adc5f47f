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
	MEMORY_SIZE = 0x1000000,
	DONE_PORT = 0xf1,
};

enum order_kind {
	ORDER_EMPTY, /* two readings of the counter and nothing between them */
	ORDER_ZERO,
	ORDER_VMCALL,
	ORDER_CPUID,
	ORDER_READ,
	ORDER_WRITE,
	ORDER_COLD_READ, /* each by another instruction */
	ORDER_TOUCH,     /* one write to each page from `at` on; takes no time */
	ORDER_TRACE_VMCALL,
	ORDER_TRACE_CPUID,
	ORDER_TRACE_READ, /* between magic breakpoints */
	ORDER_TRACE_WRITE,
};

/* `count` accesses, 0x10 bytes behind `at` and `other` by turns; a sample is left of each. */
struct order {
	uint32_t kind, count;
	uint64_t at, other;
};

#endif
