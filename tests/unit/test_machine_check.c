/* SPDX-License-Identifier: MIT */
/* Which machine checks are survived: every combination of the bits that say so. SDM vol. 3, table 16-6. */
#include "boot/machine_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define VALID MCI_STATUS_VALID

static void what_the_processor_says(void **context)
{
	(void)context;
	assert_true(machine_check_may_return(0));
	assert_true(machine_check_may_return(MCG_STATUS_RIPV));
	assert_true(machine_check_may_return(MCG_STATUS_MCIP | MCG_STATUS_RIPV));
	assert_false(machine_check_may_return(MCG_STATUS_MCIP));
}

static void what_is_survived(void **context)
{
	(void)context;
	assert_true(machine_check_bank_is_harmless(0));
	/* Without VALID nothing else means anything. */
	assert_true(machine_check_bank_is_harmless(~MCI_STATUS_VALID));
	/* Corrected, also several. */
	assert_true(machine_check_bank_is_harmless(VALID | 0x150));
	assert_true(machine_check_bank_is_harmless(VALID | MCI_STATUS_OVER | 0x150));
	/* Not corrected, but nobody has used the data (UCNA, SRAO). */
	assert_true(machine_check_bank_is_harmless(VALID | MCI_STATUS_UC | 0x150));
}

static void what_is_not(void **context)
{
	static const uint64_t reasons[] = {MCI_STATUS_PCC, MCI_STATUS_ACTION, MCI_STATUS_OVER};

	(void)context;
	for (unsigned mask = 1; mask < 8; mask++) {
		uint64_t status = VALID | MCI_STATUS_UC | 0x150;

		for (unsigned i = 0; i < 3; i++)
			status |= mask >> i & 1 ? reasons[i] : 0;
		assert_false(machine_check_bank_is_harmless(status));
	}
	assert_false(machine_check_bank_is_harmless(MCI_STATUS_VALID | MCI_STATUS_PCC));
	assert_false(machine_check_bank_is_harmless(UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_processor_says),
		cmocka_unit_test(what_is_survived),
		cmocka_unit_test(what_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
