/* SPDX-License-Identifier: MIT */
/* Completing an instruction in software (vmx/skip.h), against the SDM's words: no emulator shows all of it. */
#include "vmx/skip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Every combination of what decides: the short way may be taken only where the long way changes RIP alone. */
static void test_short_way_is_the_long_way(void **state)
{
	static const uint64_t rips[] = {0, 0x1000, 0xfffffff1, 0xffffffff, 0xffffffff81000000, 0xfffffffffffffff1};
	unsigned short_ways = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(rips) / sizeof(rips[0]); i++)
		for (uint64_t length = 1; length <= 15; length++)
			for (unsigned bits = 0; bits < 64; bits++) {
				struct skip before = {
					.rip = rips[i],
					.rflags = (bits & 1 ? RFLAGS_TF : 0) | (bits & 2 ? RFLAGS_RF : 0) | RFLAGS_IF,
					.interruptibility = (bits & 4 ? INTERRUPTIBILITY_STI : 0) |
							    (bits & 8 ? INTERRUPTIBILITY_MOV_SS : 0) |
							    INTERRUPTIBILITY_NMI,
				};
				bool armed = bits & 16, code_64 = bits & 32;
				uint64_t slow = before.rflags & (RFLAGS_TF | (armed ? RFLAGS_RF : 0));
				struct skip after = before;

				if (!code_64 && rips[i] >> 32)
					continue;
				skip_slow(&after, length, code_64, 0);
				if (!skip_is_simple(before.rip + length, length, slow, before.interruptibility))
					continue;
				short_ways++;
				assert_int_equal(after.rip, before.rip + length);
				/* Without a breakpoint RF does nothing, and may stay. */
				assert_int_equal(after.rflags | RFLAGS_RF, before.rflags | RFLAGS_RF);
				if (armed)
					assert_int_equal(after.rflags, before.rflags);
				assert_int_equal(after.interruptibility, before.interruptibility);
				assert_int_equal(after.pending_debug, 0);
			}
	assert_true(short_ways > 100);
}

static void test_rip_is_32_bits_wide_outside_64_bit_mode(void **state)
{
	struct skip skip = {.rip = 0xfffffffe};

	(void)state;
	skip_slow(&skip, 4, false, 0);
	assert_int_equal(skip.rip, 2);
	skip = (struct skip){.rip = 0xfffffffe};
	skip_slow(&skip, 4, true, 0);
	assert_int_equal(skip.rip, 0x100000002);
	/* 16-bit code runs on past 64 KiB; it is the limit that stops it. */
	skip = (struct skip){.rip = 0xfffe};
	skip_slow(&skip, 4, false, 0);
	assert_int_equal(skip.rip, 0x10002);
}

static void test_single_step(void **state)
{
	struct skip skip = {.rip = 0x1000, .rflags = RFLAGS_TF};

	(void)state;
	skip_slow(&skip, 3, true, 0);
	assert_int_equal(skip.pending_debug, PENDING_DEBUG_BS);
	assert_int_equal(skip.rflags, RFLAGS_TF);
	/* With BTF only branches trap. */
	skip = (struct skip){.rip = 0x1000, .rflags = RFLAGS_TF};
	skip_slow(&skip, 3, true, DEBUGCTL_BTF);
	assert_int_equal(skip.pending_debug, 0);
	/* What was pending stays. */
	skip = (struct skip){.rip = 0x1000, .rflags = RFLAGS_TF, .pending_debug = 1};
	skip_slow(&skip, 3, true, 0);
	assert_int_equal(skip.pending_debug, PENDING_DEBUG_BS | 1);
}

static void test_shadows_end_and_nmi_blocking_stays(void **state)
{
	struct skip skip = {.rip = 0x1000, .interruptibility = INTERRUPTIBILITY_SHADOW | INTERRUPTIBILITY_NMI};

	(void)state;
	skip_slow(&skip, 3, true, 0);
	assert_int_equal(skip.interruptibility, INTERRUPTIBILITY_NMI);
}

static void test_resume_flag_is_cleared(void **state)
{
	struct skip skip = {.rip = 0x1000, .rflags = RFLAGS_RF | RFLAGS_IF};

	(void)state;
	skip_slow(&skip, 3, true, 0);
	assert_int_equal(skip.rflags, RFLAGS_IF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_way_is_the_long_way),
		cmocka_unit_test(test_rip_is_32_bits_wide_outside_64_bit_mode),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_shadows_end_and_nmi_blocking_stays),
		cmocka_unit_test(test_resume_flag_is_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
