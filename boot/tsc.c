/* SPDX-License-Identifier: MIT */
#include "boot/tsc.h"

#include <stdbool.h>

#include "boot/cpu.h"
#include "boot/tsc_rate.h"

enum { PIT_CHANNEL2 = 0x42, PIT_COMMAND = 0x43, PIT_CHANNEL2_ONE_SHOT = 0xB0 /* both bytes, mode 0 */ };
enum { PORT_B = 0x61, PORT_B_GATE2 = 1, PORT_B_SPEAKER = 2, PORT_B_OUT2 = 0x20 };
enum { PIT_HZ = 1193182, MEASURES_PER_SECOND = 100 };
enum { LEAF_TSC_RATIO = 0x15, LEAF_FREQUENCIES = 0x16 };

enum { MSR_TSC_ADJUST = 0x3B, LEAF_EXTENDED_FEATURES = 7, FEATURE_TSC_ADJUST = 1 << 1 /* EBX */ };

/* Of a TSC whose frequency is unknown: a delay is rather too long than too short. */
#define FASTEST_HZ 5000000000ull
/* Longer no TSC counts while it is measured. */
#define MEASURE_MOST (2 * FASTEST_HZ / MEASURES_PER_SECOND)

uint64_t tsc_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* 0: there is no PIT, or its clock stands still, as platforms of Intel's since about 2017 have it to save power. */
static uint64_t measure(void)
{
	const uint16_t count = PIT_HZ / MEASURES_PER_SECOND;
	uint8_t port_b = io_read8(PORT_B) & (uint8_t) ~(PORT_B_SPEAKER | PORT_B_GATE2);
	uint64_t start;
	bool done = false;

	io_write8(PORT_B, port_b | PORT_B_GATE2);
	io_write8(PIT_COMMAND, PIT_CHANNEL2_ONE_SHOT);
	io_write8(PIT_CHANNEL2, (uint8_t)count);
	io_write8(PIT_CHANNEL2, (uint8_t)(count >> 8));
	start = tsc_read();
	/* Mode 0 takes OUT low with the command, so that a port reading all ones ends at once and tells itself apart.
	 */
	if (io_read8(PORT_B) & PORT_B_OUT2)
		return 0;
	while (!done && tsc_read() - start < MEASURE_MOST)
		done = io_read8(PORT_B) & PORT_B_OUT2;
	return done ? (tsc_read() - start) * MEASURES_PER_SECOND : 0;
}

uint64_t tsc_measured_hz(void)
{
	static uint64_t hz;
	static bool measured;

	if (!measured)
		hz = measure();
	measured = true;
	return hz;
}

static struct cpuid leaf_or_none(uint32_t leaf)
{
	return cpu_id(0).eax >= leaf ? cpu_id(leaf) : (struct cpuid){0};
}

uint64_t tsc_said_hz(void)
{
	return tsc_rate_of(leaf_or_none(LEAF_TSC_RATIO), leaf_or_none(LEAF_FREQUENCIES));
}

/* What is measured comes first: CPUID of an emulated CPU says the rate of the model's, at which its TSC does not count.
 */
uint64_t tsc_hz(void)
{
	return tsc_measured_hz() ? tsc_measured_hz() : tsc_said_hz();
}

void tsc_delay(unsigned microseconds)
{
	uint64_t hz = tsc_hz() ? tsc_hz() : FASTEST_HZ;
	uint64_t begin = tsc_read(), ticks = hz / 1000000 * microseconds;

	while (tsc_read() - begin < ticks)
		cpu_relax();
}

static bool has_adjust(void)
{
	return cpu_id(0).eax >= LEAF_EXTENDED_FEATURES && cpu_id(LEAF_EXTENDED_FEATURES).ebx & FEATURE_TSC_ADJUST;
}

uint64_t tsc_adjustment(void)
{
	return has_adjust() ? msr_read(MSR_TSC_ADJUST) : 0;
}

void tsc_adjust(uint64_t adjustment)
{
	if (has_adjust() && msr_read(MSR_TSC_ADJUST) != adjustment)
		msr_write(MSR_TSC_ADJUST, adjustment);
}
