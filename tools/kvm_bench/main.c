/* SPDX-License-Identifier: MIT */
/*
 * What exits and changes of the memory map cost under KVM: the counterpart of the guest `bench` (guest/stubs/bench/),
 * with the same instructions, the same number of samples, the same statistics and lines of the same form, for
 * tools/bench.
 *
 *     measure GUEST           prints `bench: NAME minimum median 99th-percentile`
 *     measure GUEST trace     lets the guest bracket exits with magic breakpoints, and sends the kernel's symbols to
 * port E9H
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#include "guest/stubs/ticks.h"
#include "tools/kvm_bench/vm.h"

/* Devices of a PC that KVM has in the kernel. READ adds 0x10: the APIC's ID register, the I/O APIC's data window. */
enum { LAPIC_AT = 0xfee00010, IOAPIC_AT = 0xfec00000 };

/* Each on a page of its own. A BELL is not decoded, a DECODED_BELL is; nobody claims USER. */
enum {
	BELL0_AT = 0xe0000000,
	BELL1_AT = 0xe0008000,
	DECODED_BELL_AT = 0xe0001000,
	USER_AT = 0xe0002000,
	COALESCED_AT = 0xe0003000,
	POOL_AT = 0xc0000000, /* coalesced as well: a page of it becomes an MMIO entry without a way to userspace */
	POOL_SIZE = 0x10000000,
	FILLERS_AT = 0xe1000000,
	SLOT_AT = 0x20000000,
};

/* The same in large: a million pages of 4 GiB. */
#define LARGE_POOL_AT   0x100000000ull
#define LARGE_POOL_SIZE 0x80000000ull /* of each half: KVM has 32 bits for it */

enum {
	OFFSET = 0x10, /* of the accesses, see READ */
	SLOT = 5,
	SLOT_SIZE = 4096,
	RING_ROUND = 80,
	FULL_POOL = 50000,
	FULL_SAMPLES = 3,
	LARGE_POOL = 1000000,
	FEW = 20,
	SOME_DEVICES = 16, /* no more than those that are there anyway */
	MORE_DEVICES = 100,
	BUS_DEVICES = 1000,
	SYMBOLS_PORT = 0xe9,
};

/* KVM_MEM_LOG_DIRTY_PAGES as the flags of a slot have it. */
static const uint32_t LOG_DIRTY_PAGES = (uint32_t)KVM_MEM_LOG_DIRTY_PAGES;

static struct vm vm;
static uint32_t collected[SAMPLES + WARM_UP], others[SAMPLES + WARM_UP];
static uint32_t empty_ticks, zero_ticks;
static int bell0, bell1, decoded_bell;

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t less(uint32_t ticks, uint32_t base)
{
	return ticks > base ? ticks - base : 0;
}

/* Sorts and prints; returns the median, base and all. */
static uint32_t report(const char *name, uint32_t *samples, uint32_t count, uint32_t base)
{
	qsort(samples, count, sizeof(samples[0]), compare);
	printf("bench: %s %u %u %u\n", name, less(samples[0], base), less(samples[count / 2], base),
	       less(samples[count * 99 / 100], base));
	fflush(stdout);
	return samples[count / 2];
}

/* The first samples are taken cold and are left out. */
static uint32_t measure(const char *name, enum order_kind kind, uint64_t at, uint64_t other, uint32_t base)
{
	uint32_t *samples = vm_order(&vm, kind, at, other, SAMPLES + WARM_UP);

	return report(name, samples + WARM_UP, SAMPLES, base);
}

static void check(bool condition, const char *sentence)
{
	if (condition)
		return;
	printf("kvm-bench: %s.\n", sentence);
	exit(1);
}

static void measure_exits(void)
{
	empty_ticks = measure("kvm_rdtsc_pair_ticks", ORDER_EMPTY, 0, 0, 0);
	zero_ticks = measure("kvm_rdtsc_pair_zero_ticks", ORDER_ZERO, 0, 0, 0);
	measure("kvm_vmcall_ticks", ORDER_VMCALL, 0, 0, zero_ticks);
	measure("kvm_cpuid_ticks", ORDER_CPUID, 0, 0, zero_ticks);
	check(vm.user_exits == 0, "an exit that KVM should serve came to userspace");
}

static void measure_devices(void)
{
	measure("kvm_mmio_read32_ticks", ORDER_READ, LAPIC_AT, LAPIC_AT, empty_ticks);
	measure("kvm_mmio_read32_ioapic_ticks", ORDER_READ, IOAPIC_AT, IOAPIC_AT, empty_ticks);
	measure("kvm_mmio_alternating_pages_ticks", ORDER_READ, LAPIC_AT, IOAPIC_AT, empty_ticks);
	measure("kvm_mmio_cold_rip_ticks", ORDER_COLD_READ, LAPIC_AT, LAPIC_AT, empty_ticks);
	check(vm.user_exits == 0, "a device that KVM should serve came to userspace");
	measure("kvm_embedder_read_ticks", ORDER_READ, USER_AT, USER_AT, empty_ticks);
	check(vm.user_exits == SAMPLES + WARM_UP, "not every access of userspace's came there");
	measure("kvm_embedder_write_ticks", ORDER_WRITE, USER_AT, USER_AT, empty_ticks);
}

static void measure_doorbells(void)
{
	measure("kvm_doorbell_ticks", ORDER_WRITE, BELL0_AT, BELL0_AT, empty_ticks);
	measure("kvm_doorbell_alternating_ticks", ORDER_WRITE, BELL0_AT, BELL1_AT, empty_ticks);
	measure("kvm_mmio_write32_ticks", ORDER_WRITE, DECODED_BELL_AT, DECODED_BELL_AT, empty_ticks);
	check(vm_rings(bell0) == 3 * (SAMPLES + WARM_UP) / 2, "the first doorbell was not rung as often as written to");
	check(vm_rings(bell1) == (SAMPLES + WARM_UP) / 2, "the second doorbell was not rung as often as written to");
	check(vm_rings(decoded_bell) == SAMPLES + WARM_UP, "the decoded doorbell was not rung as often as written to");
}

/* In rounds that the ring holds. Linux 6.1 miscounts and takes one of 170 places for full when 85 are. */
static void measure_coalesced(void)
{
	vm_order(&vm, ORDER_WRITE, COALESCED_AT, COALESCED_AT, RING_ROUND);
	for (uint32_t done = 0; done < SAMPLES; done += RING_ROUND) {
		memcpy(collected + done, vm_order(&vm, ORDER_WRITE, COALESCED_AT, COALESCED_AT, RING_ROUND),
		       RING_ROUND * sizeof(collected[0]));
		check(vm.coalesced == RING_ROUND && vm.user_exits == 0, "not every coalesced write went to the ring");
	}
	report("kvm_coalesced_write_ticks", collected, SAMPLES, empty_ticks);
}

static uint64_t counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint32_t time_slot(uint64_t size, uint32_t flags)
{
	uint64_t before = counter();

	vm_slot(&vm, SLOT, SLOT_AT, size, flags);
	return (uint32_t)(counter() - before);
}

static uint32_t one_read(uint64_t at)
{
	return *vm_order(&vm, ORDER_READ, at, at, 1);
}

/* A change of a slot's flags moves the generation on, which makes every MMIO entry stale. */
static void measure_invalidation(void)
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
static void measure_slots(void)
{
	static uint32_t reads[SAMPLES + WARM_UP];

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
		others[n] = time_slot(0, 0);
		vm_order(&vm, ORDER_EMPTY, 0, 0, 2);
		reads[n] = one_read(LAPIC_AT);
	}
	report("kvm_commit_add_ticks", collected + WARM_UP, SAMPLES, 0);
	report("kvm_commit_remove_mmio_ticks", others + WARM_UP, SAMPLES, 0);
	report("kvm_zapped_total_ticks", reads + WARM_UP, SAMPLES, empty_ticks);
}

static void report_curve(const char *what, uint32_t number, uint32_t count, uint32_t base)
{
	static char name[64];

	snprintf(name, sizeof(name), "kvm_curve_%s_%u", what, number);
	report(name, collected, count, base);
}

/* How costs grow with the live MMIO entries. Each deletion takes them all, so they are made again for each. */
static void measure_live_entries(void)
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

/* How an access does with the devices on the bus. KVM takes a thousand of them. */
static void measure_bus(uint32_t devices)
{
	memcpy(collected, vm_order(&vm, ORDER_READ, IOAPIC_AT, IOAPIC_AT, FEW), FEW * sizeof(collected[0]));
	report_curve("read32_ticks_ranges", devices, FEW, empty_ticks);
}

/* The APIC is found without KVM's bus of devices, the I/O APIC on it. */
static void measure_full_bus(void)
{
	measure_bus(SOME_DEVICES);
	vm_fill_bus(&vm, FILLERS_AT, MORE_DEVICES);
	measure_bus(MORE_DEVICES);
	vm_fill_bus(&vm, FILLERS_AT + MORE_DEVICES * 4096ull, BUS_DEVICES - MORE_DEVICES);
	measure_bus(BUS_DEVICES);
	measure("kvm_mmio_read32_1000_ranges_ticks", ORDER_READ, LAPIC_AT, LAPIC_AT, empty_ticks);
	measure("kvm_mmio_read32_1000_ranges_ioapic_ticks", ORDER_READ, IOAPIC_AT, IOAPIC_AT, empty_ticks);
}

static void trace(void)
{
	static const struct {
		const char *name;
		enum order_kind kind;
		uint64_t at;
	} traces[] = {
		{"kvm_vmcall", ORDER_TRACE_VMCALL, 0},
		{"kvm_cpuid", ORDER_TRACE_CPUID, 0},
		{"kvm_mmio_read32", ORDER_TRACE_READ, LAPIC_AT},
		{"kvm_mmio_read32_ioapic", ORDER_TRACE_READ, IOAPIC_AT},
		{"kvm_mmio_write32", ORDER_TRACE_WRITE, DECODED_BELL_AT},
		{"kvm_doorbell", ORDER_TRACE_WRITE, BELL0_AT},
		{"kvm_coalesced_write32", ORDER_TRACE_WRITE, COALESCED_AT},
		{"kvm_embedder_read32", ORDER_TRACE_READ, USER_AT},
	};

	for (size_t i = 0; i < sizeof(traces) / sizeof(traces[0]); i++) {
		printf("trace: %s\n", traces[i].name);
		fflush(stdout);
		vm_order(&vm, traces[i].kind, traces[i].at, 0, 0);
	}
}

/* What Bochs gets at this port it prints at once; the serial port would take minutes. */
static void send_symbols(void)
{
	static char line[4096];
	FILE *symbols = fopen("/proc/kallsyms", "r");

	if (!symbols || iopl(3) < 0)
		vm_fail("/proc/kallsyms");
	while (fgets(line, sizeof(line), symbols))
		outsb(SYMBOLS_PORT, line, strlen(line));
	fclose(symbols);
}

/* The same for both uses: the more there are, the longer KVM looks for one. */
static void create_devices(const char *guest_file)
{
	vm_create(&vm, guest_file);
	vm_coalesce(&vm, COALESCED_AT, 4096);
	vm_coalesce(&vm, POOL_AT, POOL_SIZE);
	vm_coalesce(&vm, LARGE_POOL_AT, LARGE_POOL_SIZE);
	vm_coalesce(&vm, LARGE_POOL_AT + LARGE_POOL_SIZE, LARGE_POOL_SIZE);
	bell0 = vm_doorbell(&vm, BELL0_AT + OFFSET, 0);
	bell1 = vm_doorbell(&vm, BELL1_AT + OFFSET, 0);
	decoded_bell = vm_doorbell(&vm, DECODED_BELL_AT + OFFSET, 4);
}

int main(int count, char **words)
{
	check(count > 1, "name the guest's file");
	create_devices(words[1]);
	if (count > 2 && strcmp(words[2], "trace") == 0) {
		trace();
		send_symbols();
		return 0;
	}
	measure_exits();
	measure_devices();
	measure_doorbells();
	measure_coalesced();
	measure_invalidation();
	measure_slots();
	measure_live_entries();
	measure_full_bus();
	return 0;
}
