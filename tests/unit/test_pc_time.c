/* SPDX-License-Identifier: MIT */
/* Where a PC has its time from: all 64 bits of the TSC. */
#include "guest/pc/pc.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void ticks_are_those_of_the_tsc(void **context)
{
	uint64_t before, now, after;

	(void)context;
	for (unsigned i = 0; i < 1000; i++) {
		before = __builtin_ia32_rdtsc();
		now = pc_host_ticks();
		after = __builtin_ia32_rdtsc();
		assert_in_range(now, before, after);
	}
	/* Else the half that counts most would not be seen. */
	assert_true(after >> 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ticks_are_those_of_the_tsc)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
