/* SPDX-License-Identifier: MIT */
/* Memory slots: what their changes cost, and what accesses cost after them. */
#include <stddef.h>

#include "tools/kvm_bench/measure.h"

enum {
	SLOT = 5,
	SLOT_AT = 0x20000000,
	OTHER_SLOT_AT = 0x20100000,
	SLOT_SIZE = 8192,
	FULL_POOL = 50000,
	FULL_SAMPLES = 3,
	LARGE_POOL = 1000000,
	LOG_SIZE = 2 << 20,
	WRITTEN_PAGES = 64,
};

/* KVM_MEM_LOG_DIRTY_PAGES as the flags of a slot have it. */
static const uint32_t LOG_DIRTY_PAGES = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

static uint32_t others[SAMPLES + WARM_UP];

static uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint32_t time_slot_at(uint64_t at, uint64_t size, uint32_t flags)
{
	uint64_t before = counter();

	vm_slot(&vm, SLOT, at, size, flags);
	return (uint32_t)(counter() - before);
}

static uint32_t time_slot(uint64_t size, uint32_t flags)
{
	return time_slot_at(SLOT_AT, size, flags);
}

static uint32_t time_log(const void *host, uint32_t flags)
{
	uint64_t before = counter();

	vm_slot_of(&vm, SLOT, SLOT_AT, LOG_SIZE, flags, host);
	return (uint32_t)(counter() - before);
}

static uint32_t time_fetch(uint64_t *bitmap)
{
	uint64_t before = counter();

	vm_fetch_log(&vm, SLOT, bitmap);
	return (uint32_t)(counter() - before);
}

static uint32_t one_read(uint64_t at)
{
	return *vm_order(&vm, ORDER_READ, at, at, 1);
}

/* A change of a slot's flags moves the generation on, which makes every MMIO entry stale. */
void measure_invalidation(void)
{
	static const struct {
		const char *name;
		uint32_t live;
	} runs[] = {
		{"kvm_invalidate_all_ticks_1", 1},
		{"kvm_invalidate_all_ticks_1000", 1000},
		{"kvm_invalidate_all_ticks_50000", FULL_POOL},
	};

	time_slot(SLOT_SIZE, 0);
	for (uint32_t run = 0; run < sizeof(runs) / sizeof(runs[0]); run++) {
		vm_order(&vm, ORDER_TOUCH, POOL_AT, 0, runs[run].live);
		for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++)
			collected[n] = time_slot(SLOT_SIZE, n & 1 ? 0 : LOG_DIRTY_PAGES);
		report(runs[run].name, collected + WARM_UP, SAMPLES, 0);
	}
	for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++) {
		one_read(LAPIC_AT);
		time_slot(SLOT_SIZE, n & 1 ? 0 : LOG_DIRTY_PAGES);
		collected[n] = one_read(LAPIC_AT);
	}
	report("kvm_stale_total_ticks", collected + WARM_UP, SAMPLES, empty_ticks);
}

/* A slot's deletion zaps everything: whatever the guest does, it does after it has found its own memory again. */
void measure_slots(void)
{
	static uint32_t reads[SAMPLES + WARM_UP], faults[SAMPLES + WARM_UP], moves[SAMPLES + WARM_UP];

	for (uint32_t n = 0; n < FULL_SAMPLES; n++) {
		vm_order(&vm, ORDER_TOUCH, POOL_AT, 0, FULL_POOL);
		others[n] = time_slot(0, 0);
		time_slot(SLOT_SIZE, 0);
	}
	report("kvm_commit_remove_ram_ticks_50000", others, FULL_SAMPLES, 0);
	time_slot(0, 0);
	for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++) {
		collected[n] = time_slot(SLOT_SIZE, 0);
		one_read(LAPIC_AT);
		/* The tables are there by the first page's fault; the second page's is measured. */
		one_read(SLOT_AT);
		faults[n] = one_read(SLOT_AT + 4096);
		moves[n] = time_slot_at(OTHER_SLOT_AT, SLOT_SIZE, 0);
		one_read(LAPIC_AT);
		others[n] = time_slot(0, 0);
		vm_order(&vm, ORDER_EMPTY, 0, 0, 2);
		reads[n] = one_read(LAPIC_AT);
	}
	report("kvm_commit_add_ticks", collected + WARM_UP, SAMPLES, 0);
	report("kvm_ram_fault_ticks", faults + WARM_UP, SAMPLES, empty_ticks);
	report("kvm_commit_move_ticks", moves + WARM_UP, SAMPLES, 0);
	report("kvm_commit_remove_mmio_ticks", others + WARM_UP, SAMPLES, 0);
	report("kvm_zapped_total_ticks", reads + WARM_UP, SAMPLES, empty_ticks);
}

/* A log of 2 MiB, which were written before: as the guest bench has it (guest/stubs/bench/size.c). */
void measure_logs(void)
{
	static uint32_t starts[SAMPLES + WARM_UP], writes[SAMPLES + WARM_UP], stops[SAMPLES + WARM_UP];
	static uint64_t bitmap[LOG_SIZE / 4096 / 64];
	const void *host = vm_large_pages(LOG_SIZE);

	vm_slot_of(&vm, SLOT, SLOT_AT, LOG_SIZE, 0, host);
	for (uint32_t n = 0; n < SAMPLES + WARM_UP; n++) {
		uint32_t set = 0;

		vm_order(&vm, ORDER_TOUCH, SLOT_AT, 0, 1);
		starts[n] = time_log(host, LOG_DIRTY_PAGES);
		writes[n] = *vm_order(&vm, ORDER_WRITE, SLOT_AT, SLOT_AT, 1);
		vm_order(&vm, ORDER_TOUCH, SLOT_AT, 0, WRITTEN_PAGES);
		collected[n] = time_fetch(bitmap);
		for (uint32_t i = 0; i < LOG_SIZE / 4096; i++)
			set += bitmap[i / 64] >> i % 64 & 1;
		check(set == WRITTEN_PAGES, "the log has other pages than those that were written");
		stops[n] = time_log(host, 0);
	}
	vm_slot_of(&vm, SLOT, SLOT_AT, 0, 0, host);
	report("kvm_dirty_enable_2mib_ticks", starts + WARM_UP, SAMPLES, 0);
	report("kvm_dirty_first_write_2mib_ticks", writes + WARM_UP, SAMPLES, empty_ticks);
	report("kvm_dirty_fetch_2mib_ticks", collected + WARM_UP, SAMPLES, 0);
	report("kvm_dirty_disable_2mib_ticks", stops + WARM_UP, SAMPLES, 0);
}

/* How costs grow with the live MMIO entries. Each deletion takes them all, so they are made again for each. */
void measure_live_entries(void)
{
	static const struct {
		uint32_t live, count;
	} runs[] = {{0, FEW}, {1000, FEW}, {FULL_POOL, 2}, {LARGE_POOL, 1}};

	for (size_t run = 0; run < sizeof(runs) / sizeof(runs[0]); run++) {
		for (uint32_t n = 0; n < runs[run].count; n++) {
			time_slot(SLOT_SIZE, 0);
			if (runs[run].live)
				vm_order(&vm, ORDER_TOUCH, LARGE_POOL_AT, 0, runs[run].live);
			collected[n] = time_slot(0, 0);
		}
		report_curve("remove_ram_ticks_live", runs[run].live, runs[run].count, 0);
	}
}
