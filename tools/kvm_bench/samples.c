/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "tools/kvm_bench/measure.h"

struct vm vm;
uint32_t collected[SAMPLES + WARM_UP];
uint32_t empty_ticks, zero_ticks;

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t less(uint32_t ticks, uint32_t base)
{
	return ticks > base ? ticks - base : 0;
}

uint32_t report(const char *name, uint32_t *samples, uint32_t count, uint32_t base)
{
	qsort(samples, count, sizeof(samples[0]), compare);
	printf("bench: %s %u %u %u\n", name, less(samples[0], base), less(samples[count / 2], base),
	       less(samples[count * 99 / 100], base));
	fflush(stdout);
	return samples[count / 2];
}

void report_curve(const char *what, uint32_t number, uint32_t count, uint32_t base)
{
	static char name[64];

	snprintf(name, sizeof(name), "kvm_curve_%s_%u", what, number);
	report(name, collected, count, base);
}

uint32_t measure(const char *name, enum order_kind kind, uint64_t at, uint64_t other, uint32_t base)
{
	uint32_t *samples = vm_order(&vm, kind, at, other, SAMPLES + WARM_UP);

	return report(name, samples + WARM_UP, SAMPLES, base);
}

void measure_each(const char *name, enum order_kind kind, uint64_t at, uint32_t number)
{
	uint32_t *samples = vm_order(&vm, kind, at, at, SAMPLES + WARM_UP) + WARM_UP;

	for (uint32_t n = 0; n < SAMPLES; n++)
		samples[n] = (less(samples[n], empty_ticks) + number - 1) / number;
	report(name, samples, SAMPLES, 0);
}

void check(bool condition, const char *sentence)
{
	if (condition)
		return;
	printf("kvm-bench: %s.\n", sentence);
	exit(1);
}
