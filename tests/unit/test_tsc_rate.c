/* SPDX-License-Identifier: MIT */
/* The TSC's rate, of the leaves that CPUs have them. */
#include "boot/tsc_rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_rate_is_of_the_leaves_that_say_it(void **context)
{
	static const struct {
		struct cpuid ratio, frequencies;
		uint64_t hz;
	} rows[] = {
		/* A crystal of 38.4 MHz: more exact than the base frequency. */
		{{.eax = 2, .ebx = 126, .ecx = 38400000}, {.eax = 2400}, 2419200000},
		/* The product has more than 32 bits. */
		{{.eax = 2, .ebx = 250, .ecx = 38400000}, {0}, 4800000000},
		/* Skylake does not say its crystal's rate. */
		{{.eax = 2, .ebx = 292}, {.eax = 3500, .ebx = 3900, .ecx = 100}, 3500000000},
		{{0}, {.eax = 3500 | 0xabcd0000}, 3500000000},
		/* What has no denominator or numerator is no ratio. */
		{{.ebx = 126, .ecx = 38400000}, {.eax = 2400}, 2400000000},
		{{.eax = 2, .ecx = 38400000}, {0}, 0},
		{{0}, {0}, 0},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(tsc_rate_of(rows[i].ratio, rows[i].frequencies), rows[i].hz);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(the_rate_is_of_the_leaves_that_say_it)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
