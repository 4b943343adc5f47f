/* SPDX-License-Identifier: MIT */
/* Samples and what is said of them; the two parts of what is measured have a file each. */
#ifndef KVM_BENCH_MEASURE_H
#define KVM_BENCH_MEASURE_H

#include <stdbool.h>

#include "guest/stubs/ticks.h"
#include "tools/kvm_bench/vm.h"

/* Coalesced: a page of it becomes an MMIO entry without a way to userspace. And in large, a million pages of 4 GiB. */
enum { POOL_AT = 0xc0000000, POOL_SIZE = 0x10000000, FEW = 20 };
#define LARGE_POOL_AT   0x100000000ull
#define LARGE_POOL_SIZE 0x80000000ull /* of each half: KVM has 32 bits for it */

/* Devices of a PC that KVM has in the kernel. READ adds 0x10: the APIC's ID register, the I/O APIC's data window. */
enum { LAPIC_AT = 0xfee00010, LAPIC_EOI_AT = 0xfee000a0, IOAPIC_AT = 0xfec00000 };

extern struct vm vm;
extern uint32_t collected[SAMPLES + WARM_UP];
extern uint32_t empty_ticks, zero_ticks;

/* Sorts and prints; returns the median, base and all. */
uint32_t report(const char *name, uint32_t *samples, uint32_t count, uint32_t base);

/* Of `collected`: a point of a curve. */
void report_curve(const char *what, uint32_t number, uint32_t count, uint32_t base);

/* An order's samples, as it gives them, or each as that of `number`, rounded up. The first are taken cold and are left
 * out. */
uint32_t measure(const char *name, enum order_kind kind, uint64_t at, uint64_t other, uint32_t base);
void measure_each(const char *name, enum order_kind kind, uint64_t at, uint32_t number);

/* Ends the program with the sentence unless the condition holds. */
void check(bool condition, const char *sentence);

/* memory.c: what changes the map, and what the guest meets after it. */
void measure_invalidation(void);
void measure_slots(void);
void measure_logs(void);
void measure_live_entries(void);

#endif
