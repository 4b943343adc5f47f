/* SPDX-License-Identifier: MIT */
/* A store of 64 bytes at once, on a CPU that has AVX-512: the device sees eight writes. */
#include "guest/stubs/bench/bench.h"

enum { CR4_OSFXSR = 1 << 9, CR4_OSXSAVE = 1 << 18, XCR0_AVX512 = 0xe7 };

void measure_vectors(void)
{
	uint64_t cr4;

	__asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_OSFXSR | CR4_OSXSAVE));
	__asm__ volatile("xsetbv" : : "a"(XCR0_AVX512), "d"(0), "c"(0));
	SAMPLE(TICKS(EMPTY, 0));
	rdtsc_pair = report_some("vector_rdtsc_pair_ticks", SAMPLES, 0);
	write64(DEVICE_PLAIN0_AT, 0);
	__asm__ volatile("vpternlogd $0xff, %zmm0, %zmm0, %zmm0");
	SAMPLE(TICKS(STORE_64_BYTES, DEVICE_PLAIN0_AT));
	for (unsigned at = 0; at < 64; at += 8)
		CHECK_EQUAL(read64(DEVICE_PLAIN0_AT + at), UINT64_MAX);
	report_some("mmio_store64_avx512_ticks", SAMPLES, rdtsc_pair);
}
