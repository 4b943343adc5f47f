/* SPDX-License-Identifier: MIT */
/*
 * What one exit costs, in ticks between two readings of the time-stamp counter around it, less those of an empty pair.
 * With the word `trace` it brackets single warm exits with magic breakpoints (XCHG BX, BX) instead, for a trace of
 * instructions: after each line `trace: NAME` TRACED pairs of them, of which the last is the warmest.
 */
#include "guest/stubs/lib.h"

enum { SAMPLES = 2000, WARM_UP = 64, TRACED = 6, GROWN_RANGES = 1000 };

static uint32_t samples[SAMPLES];

/* What is measured. The address is in RSI; ZERO makes RAX 0, which both VMCALL and CPUID want. */
#define EMPTY  ""
#define ZERO   "xor %%eax, %%eax"
#define VMCALL ZERO "\n\tvmcall"
#define CPUID  ZERO "\n\tcpuid"
#define READ   "mov 0x10(%%rsi), %%r9d"
#define WRITE  "mov %%r9d, 0x10(%%rsi)"

#define TICKS(instructions, address)                                                 \
	({                                                                           \
		uint32_t ticks_;                                                     \
                                                                                     \
		__asm__ volatile("rdtsc\n\t"                                         \
				 "mov %%eax, %%r8d\n\t" instructions "\n\t"          \
				 "rdtsc\n\t"                                         \
				 "sub %%r8d, %%eax"                                  \
				 : "=&a"(ticks_)                                     \
				 : "S"(address)                                      \
				 : "rbx", "rcx", "rdx", "r8", "r9", "memory", "cc"); \
		ticks_;                                                              \
	})

/* `prepare` comes before each sample and is not measured; `i` counts the samples. Returns the median, base and all. */
#define MEASURE(name, base, instructions, address, prepare)         \
	({                                                          \
		for (uint32_t n = 0; n < WARM_UP + SAMPLES; n++) {  \
			uint32_t i = n < WARM_UP ? n : n - WARM_UP; \
                                                                    \
			prepare;                                    \
			samples[i] = TICKS(instructions, address);  \
		}                                                   \
		report(name, base);                                 \
	})

#define TRACE(name, instructions, address, prepare)                                           \
	do {                                                                                  \
		lib_print("trace: " name);                                                    \
		for (unsigned i = 0; i < TRACED; i++) {                                       \
			prepare;                                                              \
			__asm__ volatile("xor %%eax, %%eax\n\t"                               \
					 "xchg %%bx, %%bx\n\t" instructions "\n\t"            \
					 "xchg %%bx, %%bx"                                    \
					 :                                                    \
					 : "S"(address)                                       \
					 : "rax", "rbx", "rcx", "rdx", "r9", "memory", "cc"); \
		}                                                                             \
	} while (0)

static uint64_t report(const char *name, uint64_t base)
{
	uint64_t median = vmcall(HC_SAMPLES, (uint64_t)name, (uint64_t)samples, SAMPLES, base);

	CHECK(median != HC_FAILED);
	return median;
}

static void invalidate(void)
{
	CHECK_EQUAL(lib_edit(EDIT_INVALIDATE, DEVICE_BANK0, 0), 0);
}

/* First, while there are no other MMIO entries than those that are asked for. */
static void measure_invalidation(void)
{
	static const uint64_t live[] = {1, 1000, 50000};
	uint64_t touched = 0;

	for (unsigned i = 0; i < sizeof(live) / sizeof(live[0]); i++) {
		for (; touched < live[i]; touched++)
			read8(DEVICE_HUGE_AT + (touched << 12));
		CHECK_EQUAL(vmcall(HC_TIME_INVALIDATE, live[i], 0, 0, 0), 0);
	}
}

static void measure(void)
{
	uint64_t pair, zero_pair;

	measure_invalidation();
	pair = MEASURE("rdtsc_pair_ticks", 0, EMPTY, 0, );
	zero_pair = MEASURE("rdtsc_pair_zero_ticks", 0, ZERO, 0, );
	MEASURE("vmcall_ticks", zero_pair, VMCALL, 0, );
	MEASURE("cpuid_ticks", zero_pair, CPUID, 0, );
	MEASURE("mmio_read32_ticks", pair, READ, DEVICE_BANK0_AT, );
	MEASURE("mmio_write32_ticks", pair, WRITE, DEVICE_BANK0_AT, );
	MEASURE("mmio_alternating_pages_ticks", pair, READ, i & 1 ? DEVICE_BANK1_AT : DEVICE_BANK0_AT, );
	MEASURE("stale_total_ticks", pair, READ, DEVICE_BANK0_AT, invalidate());
	MEASURE("mmio_embedder_read32_ticks", pair, READ, DEVICE_EMBEDDER_AT, );
	CHECK_EQUAL(vmcall(HC_TIME_COMMITS, 0, 0, 0, 0), 0);
	CHECK_EQUAL(vmcall(HC_GROW, GROWN_RANGES, 0, 0, 0), 0);
	MEASURE("mmio_read32_1000_ranges_ticks", pair, READ, DEVICE_BANK0_AT, );
}

static void trace(void)
{
	TRACE("vmcall", "vmcall", 0, );
	TRACE("mmio_read32", READ, DEVICE_BANK0_AT, );
	TRACE("mmio_write32", WRITE, DEVICE_BANK0_AT, );
	TRACE("stale_read32", READ, DEVICE_BANK0_AT, invalidate());
}

int main(const struct multiboot_info *info)
{
	if (lib_word(info, "trace"))
		trace();
	else
		measure();
	return 0;
}
