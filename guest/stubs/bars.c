/* SPDX-License-Identifier: MIT */
/*
 * A machine of 1,000 devices whose BARs move: what that costs by each policy of what a commit makes stale (invalidate=
 * on the hypervisor's command line). One vCPU moves a device, reads a register of each device, and moves the next one;
 * another vCPU reads registers all the time. tools/bench compares the three.
 */
#include "guest/stubs/lib.h"
#include "guest/stubs/libsmp.h"
#include "guest/stubs/ticks.h"

enum { DEVICES = 1000, MOVES = 100, FILLERS_AT = 0x90000000, FILLER_STEP = 0x2000, MOVED_TO = 0x00400000 };

/* Those whose BARs move, each between two places. */
static struct {
	enum abi_device_id device;
	uint64_t address;
} moved[] = {
	{DEVICE_BANK0, DEVICE_BANK0_AT}, {DEVICE_BANK1, DEVICE_BANK1_AT}, {DEVICE_BANK2, DEVICE_BANK2_AT},
	{DEVICE_BANK3, DEVICE_BANK3_AT}, {DEVICE_MOVER, DEVICE_MOVER_AT},
};

enum { NR_MOVED = sizeof(moved) / sizeof(moved[0]) };

static uint32_t moves[MOVES], rounds[MOVES], stall[1];
static uint64_t fillers, empty;
static volatile bool over;
static volatile uint64_t driven;
static volatile uint32_t worst_of_other;

static void report(const char *name, uint32_t *samples, uint64_t count)
{
	CHECK(vmcall(HC_SAMPLES, (uint64_t)name, (uint64_t)samples, count, 0) != HC_FAILED);
}

static uint32_t later(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

/* Reads a register of each device; the ticks of all, and of the longest. */
static uint32_t read_all(uint32_t *worst)
{
	uint32_t sum = 0, ticks;

	for (uint64_t i = 0; i < fillers + NR_MOVED; i++) {
		uint64_t at = i < fillers ? FILLERS_AT + i * FILLER_STEP : moved[i - fillers].address;

		ticks = TICKS(READ, at) - (uint32_t)empty;
		*worst = later(*worst, ticks);
		sum += ticks;
	}
	return sum;
}

/* The other vCPU's devices stay where they are. */
static void drive(void)
{
	uint32_t worst = 0;

	for (uint64_t i = 0; !over; i = i + 1 < fillers ? i + 1 : 0) {
		uint32_t ticks = TICKS(READ, FILLERS_AT + i * FILLER_STEP) - (uint32_t)empty;

		if (driven++ >= fillers)
			worst = later(worst, ticks);
	}
	worst_of_other = worst;
}

static void move_bars(void)
{
	uint64_t before;

	while (driven <= fillers)
		smp_pause();
	before = lib_stats().stale;
	for (unsigned n = 0; n < MOVES; n++) {
		unsigned i = n % NR_MOVED;

		moved[i].address ^= MOVED_TO;
		moves[n] = (uint32_t)vmcall(HC_TIME_EDIT, EDIT_MOVE, moved[i].device, moved[i].address, 0);
		CHECK(moves[n] != (uint32_t)HC_FAILED);
		stall[0] = later(stall[0], moves[n]);
		rounds[n] = read_all(&stall[0]);
	}
	over = true;
	before = lib_stats().stale - before;
	report("bars_move_ticks", moves, MOVES);
	report("bars_read_all_ticks", rounds, MOVES);
	moves[0] = (uint32_t)before;
	report("bars_stale", moves, 1);
}

static void run(unsigned index)
{
	uint32_t worst = 0;

	if (index == 0)
		read_all(&worst);
	smp_barrier();
	if (index == 0)
		move_bars();
	else
		drive();
}

int main(const struct mb1_info *info)
{
	(void)info;
	CHECK(smp_vcpus() > 1);
	fillers = DEVICES - lib_stats().ranges;
	CHECK_EQUAL(vmcall(HC_GROW, DEVICES, 0, 0, 0), 0);
	for (unsigned n = 0; n < 2; n++)
		empty = TICKS(EMPTY, 0);
	smp_run(run);
	stall[0] = later(stall[0], worst_of_other);
	report("bars_stall_ticks", stall, 1);
	return 0;
}
