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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#include "tools/kvm_bench/measure.h"

/* Each on a page of its own. A BELL is not decoded, a DECODED_BELL is; nobody claims USER. */
enum {
	BELL0_AT = 0xe0000000,
	BELL1_AT = 0xe0008000,
	DECODED_BELL_AT = 0xe0001000,
	USER_AT = 0xe0002000,
	COALESCED_AT = 0xe0003000,
	FILLERS_AT = 0xe1000000,
};

enum {
	OFFSET = 0x10, /* of the accesses, see READ */
	RING_ROUND = 80,
	ELEMENTS = 64,     /* of SEND */
	SOME_DEVICES = 16, /* no more than those that are there anyway */
	MORE_DEVICES = 100,
	BUS_DEVICES = 1000,
	SYMBOLS_PORT = 0xe9,
};

static int bell0, bell1, decoded_bell;

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
	measure("kvm_mmio_read8_ticks", ORDER_READ8, LAPIC_AT, LAPIC_AT, empty_ticks);
	measure("kvm_mmio_test32_ticks", ORDER_TEST, LAPIC_AT, LAPIC_AT, empty_ticks);
	measure("kvm_lapic_eoi_ticks", ORDER_WRITE, LAPIC_EOI_AT, LAPIC_EOI_AT, empty_ticks);
	measure("kvm_mmio_cold_rip_ticks", ORDER_COLD_READ, LAPIC_AT, LAPIC_AT, empty_ticks);
	measure("kvm_mmio_page_end_ticks", ORDER_SITE_READ, LAPIC_AT, 0, empty_ticks);
	measure("kvm_mmio_straddling_code_ticks", ORDER_SITE_READ, LAPIC_AT, 2, empty_ticks);
	check(vm.user_exits == 0, "a device that KVM should serve came to userspace");
	measure("kvm_embedder_read_ticks", ORDER_READ, USER_AT, USER_AT, empty_ticks);
	check(vm.user_exits == SAMPLES + WARM_UP, "not every access of userspace's came there");
	measure("kvm_embedder_write_ticks", ORDER_WRITE, USER_AT, USER_AT, empty_ticks);
}

/* Accesses in a row, each of which exits. The APIC's ID register is 0, so that polls go on; stores there change
 * nothing. */
static void measure_rows(void)
{
	measure_each("kvm_clustered_store_ticks", ORDER_STORES, IOAPIC_AT, 16);
	measure_each("kvm_clustered_made_store_ticks", ORDER_MADE_STORES, IOAPIC_AT, 16);
	measure_each("kvm_read_loop_per_iteration_ticks", ORDER_READ_LOOP, LAPIC_AT, TURNS);
	measure_each("kvm_poll_loop_per_iteration_ticks", ORDER_POLL_LOOP, LAPIC_AT, TURNS);
	measure_each("kvm_poll_memory_per_iteration_ticks", ORDER_POLL_MEMORY, LAPIC_AT, TURNS);
	check(vm.user_exits == 0, "a device that KVM should serve came to userspace");
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
	for (uint32_t n = 0; n < SAMPLES; n++) {
		uint32_t ticks = *vm_order(&vm, ORDER_SEND_64, COALESCED_AT, COALESCED_AT, 1) - empty_ticks;

		collected[n] = (ticks + ELEMENTS - 1) / ELEMENTS;
		check(vm.coalesced == ELEMENTS && vm.user_exits == 0, "not every element went to the ring");
	}
	report("kvm_rep_movsd_64_per_element_ticks", collected, SAMPLES, 0);
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
		{"kvm_mmio_read8", ORDER_TRACE_READ8, LAPIC_AT},
		{"kvm_mmio_test32", ORDER_TRACE_TEST, LAPIC_AT},
		{"kvm_lapic_eoi", ORDER_TRACE_WRITE, LAPIC_EOI_AT},
		{"kvm_stores_16", ORDER_TRACE_STORES, IOAPIC_AT},
		{"kvm_doorbell", ORDER_TRACE_WRITE, BELL0_AT},
		{"kvm_coalesced_write32", ORDER_TRACE_WRITE, COALESCED_AT},
		{"kvm_embedder_read32", ORDER_TRACE_READ, USER_AT},
		{"kvm_embedder_write32", ORDER_TRACE_WRITE, USER_AT},
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
	measure_rows();
	measure_doorbells();
	measure_coalesced();
	measure_invalidation();
	measure_slots();
	measure_logs();
	measure_live_entries();
	measure_full_bus();
	return 0;
}
