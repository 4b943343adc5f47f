/* SPDX-License-Identifier: MIT */
/*
 * A PC's board with a hostile guest: any accesses to any registers of its interrupt controllers and timers, by two
 * processors, with any time between them. Nothing is accessed beyond a device; no lock stays taken; timers expire no
 * more often than the host grants; a vector that a processor takes is one that its priorities let through.
 */
#include "guest/devices/local_apic.h"
#include "guest/pc/machine.h"
#include "tests/fuzz/fuzz.h"
#include <string.h>

enum { CPUS = 2, MOST_STEPS = 100, BOARD_TIMERS = 6, FIRST_VECTOR = 16, HERTZ = 1000000000, MOST_EXPIRIES = 100000 };

static struct machine machine;
static struct local_apic apics[CPUS];
static struct fuzz_input input;
static uint64_t board_time;
static uint8_t vga_memory[VGA_TEXT_SIZE] __attribute__((aligned(4096)));
static unsigned current;

static uint64_t now(void *context)
{
	(void)context;
	return board_time;
}

static void told(struct local_apic *apic)
{
	fuzz_require(apic == &apics[0] || apic == &apics[1]);
}

static void reset(struct local_apic *apic)
{
	told(apic);
	local_apic_reset(apic);
}

static void startup(struct local_apic *apic, uint8_t vector)
{
	(void)vector;
	told(apic);
}

static struct local_apic *of(struct tl_vcpu *vcpu)
{
	(void)vcpu;
	return &apics[current];
}

static void put(void *context, uint8_t byte)
{
	(void)context, (void)byte;
	fuzz_require(atomic_load(&machine.lock.held));
}

static void end(void *context, enum ending_kind kind, uint32_t code)
{
	(void)context, (void)kind, (void)code;
	fuzz_require(atomic_load(&machine.lock.held));
}

static void start(void)
{
	const struct clock clock = {.now = now, .hz = HERTZ};
	const struct machine_parts parts = {.memory_below_4g = 64 << 20,
					    .nr_cpus = CPUS,
					    .unix_time = 1000000000,
					    .vga_memory = vga_memory,
					    .put = put,
					    .ending = {end, NULL}};

	memset(&machine, 0, sizeof(machine));
	board_time = HERTZ;
	machine.clock = clock;
	machine.bus.of = of;
	machine.bus.init = reset;
	machine.bus.startup = startup;
	machine.bus.interrupt = machine.bus.nmi = machine.bus.moved = told;
	fuzz_require(machine_init(&machine, &parts));
	for (unsigned i = 0; i < CPUS; i++)
		local_apic_init(&apics[i], &machine.bus, i, !i, &clock, 36);
}

static void do_port(void)
{
	static const uint16_t port[] = {0x20, 0x21, 0xA0,  0xA1,  0x4D0, 0x4D1, 0x40,  0x41,  0x42, 0x43, 0x61,
					0x70, 0x71, 0x600, 0x602, 0x604, 0x608, 0x3F8, 0x3F9, 0x60, 0x64};
	uint8_t how = fuzz_take8(&input), which = fuzz_take8(&input);
	uint16_t at = which < 0x80 ? port[which % (sizeof(port) / sizeof(port[0]))] : fuzz_take16(&input);
	unsigned size = 1u << how % 3;

	if (how & 0x80)
		ports_read(&machine.ports, at, size);
	else
		ports_write(&machine.ports, at, size,
			    (uint32_t)fuzz_take(&input, size) & (UINT32_MAX >> (32 - 8 * size)));
}

static void do_range(tl_mmio_fn access, void *context, uint64_t at, uint64_t range)
{
	uint8_t how = fuzz_take8(&input);
	uint64_t offset = fuzz_take16(&input) % range;
	struct tl_mmio mmio = {.size = 1 + how % 8, .write = how & 0x80, .context = context};

	/* Most are what a driver does. */
	if (how & 0x40) {
		mmio.size = 4;
		offset &= ~(uint64_t)(how & 0x20 ? 15 : 3);
	}
	if (offset + mmio.size > range)
		offset = range - mmio.size;
	mmio.offset = offset;
	mmio.gpa = at + offset;
	if (mmio.write)
		mmio.data = fuzz_take(&input, mmio.size);
	fuzz_require(access(&mmio) == TL_OK);
}

static void do_msr(void)
{
	uint8_t how = fuzz_take8(&input), which = fuzz_take8(&input);
	uint32_t msr = how & 2 ? MSR_X2APIC_FIRST + which : how & 4 ? MSR_APIC_BASE : MSR_TSC_DEADLINE;
	struct local_apic *apic = &apics[current];
	uint64_t value = 0;

	if (!(how & 1)) {
		local_apic_read_msr(apic, msr, &value);
		return;
	}
	value = fuzz_take(&input, how & 8 ? 8 : 4);
	/* A deadline that comes, and a mode that is one. */
	if (msr == MSR_TSC_DEADLINE && how & 0x10)
		value += board_time;
	if (msr == MSR_APIC_BASE && how & 0x10)
		value = LOCAL_APIC_AT | (value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC));
	local_apic_write_msr(apic, msr, value);
}

/* The host is asked no more often than each timer's shortest period allows, and what was late is one. */
static void pass(uint64_t ticks)
{
	uint64_t until = board_time + ticks, shortest = clock_shortest(&machine.clock);
	uint64_t most = BOARD_TIMERS * (2 + ticks / shortest), next;

	for (uint64_t i = 0; (next = clock_next(&machine.clock)) <= until; i++) {
		fuzz_require(i < most);
		board_time = next > board_time ? next : board_time;
		machine_expire(&machine);
	}
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		struct clock *clock = &apics[cpu].clock;
		uint64_t at = until - ticks;

		for (uint64_t i = 0; clock_next(clock) <= until; i++) {
			fuzz_require(i < 2 + ticks / shortest);
			at = clock_next(clock) > at ? clock_next(clock) : at;
			board_time = at;
			clock_expire(clock, at);
		}
	}
	board_time = until;
}

static void do_pass(void)
{
	uint64_t ticks = fuzz_take(&input, 1 + fuzz_take8(&input) % 5);
	uint64_t most = MOST_EXPIRIES / BOARD_TIMERS * clock_shortest(&machine.clock);

	/* More than that is one leap, which an idle guest makes. */
	if (ticks <= most) {
		pass(ticks);
		return;
	}
	board_time += ticks;
	machine_expire(&machine);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		clock_expire(&apics[cpu].clock, board_time);
}

static void do_take(void)
{
	struct local_apic *apic = &apics[current];
	bool pending = local_apic_pending(apic);
	unsigned taken = local_apic_read_cr8(apic);
	int vector = local_apic_acknowledge(apic);

	fuzz_require(pending == (vector >= 0));
	if (vector >= 0 && !atomic_load(&apic->pin[0]))
		fuzz_require(vector >= FIRST_VECTOR && vector < 256 && (unsigned)vector / 16 > taken);
}

static void step(void)
{
	uint8_t what = fuzz_take8(&input);

	current = what >> 7;
	switch (what % 8) {
	case 0:
		do_port();
		break;
	case 1:
		do_range(local_apic_access, &machine.bus, LOCAL_APIC_AT, LOCAL_APIC_SIZE);
		break;
	case 2:
		do_range(io_apic_access, &machine.io_apic, IO_APIC_AT, 0x50);
		break;
	case 3:
		do_range(hpet_access, &machine.hpet, HPET_AT, 0x180);
		break;
	case 4:
		do_msr();
		break;
	case 5:
		do_pass();
		break;
	case 6:
		do_take();
		break;
	default:
		if (what & 8)
			serial_input(&machine.serial, what);
		else if (what & 16)
			local_apic_write_cr8(&apics[current], what >> 4 & 7);
		else
			acpi_pm_press_button(&machine.pm);
		break;
	}
	fuzz_require(!atomic_load(&machine.lock.held));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = (struct fuzz_input){data, size};
	start();
	for (unsigned i = 0; i < MOST_STEPS && input.left; i++)
		step();
	return 0;
}
