/* SPDX-License-Identifier: MIT */
/* The self-test's checks pass on a CPU that does all as the SDM says, and each fails on one that does not. */
#include "tests/unit/hosted.h"
#include "tests/unit/vcpu_flawed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <trapline.h>

#include <cmocka.h>

enum { BITMAP_PAGES = 4 };

_Thread_local struct mock_cpu mock_cpu;

/* Which check is to notice. */
static const enum tl_check noticed_by[NR_FLAWS] = {
	[FLAW_ADDRESS_4K] = TL_CHECK_MISCONFIG_4K,
	[FLAW_ADDRESS_2M] = TL_CHECK_MISCONFIG_2M,
	[FLAW_ADDRESS_1G] = TL_CHECK_MISCONFIG_1G,
	[FLAW_LENGTH_OF_BEFORE] = TL_CHECK_LENGTH,
	[FLAW_CACHES_MISCONFIG] = TL_CHECK_CACHED_MISCONFIG,
	[FLAW_CACHES_ABSENT] = TL_CHECK_CACHED_ABSENT,
	[FLAW_IGNORES_INVEPT_SINGLE] = TL_CHECK_INVEPT,
	[FLAW_IGNORES_INVEPT_ALL] = TL_CHECK_INVEPT,
	[FLAW_NO_ACCESSED] = TL_CHECK_EPT_ACCESSED_DIRTY,
	[FLAW_NO_DIRTY] = TL_CHECK_EPT_ACCESSED_DIRTY,
	[FLAW_WALKS_CLEAN] = TL_CHECK_EPT_ACCESSED_DIRTY,
	[FLAW_EXECUTE_ONLY_READS] = TL_CHECK_EPT_EXECUTE_ONLY,
	[FLAW_EXECUTE_ONLY_EXITS] = TL_CHECK_EPT_EXECUTE_ONLY,
	[FLAW_PML_SILENT] = TL_CHECK_PML,
	[FLAW_PML_OTHER_PAGE] = TL_CHECK_PML,
	[FLAW_PML_NEVER_FULL] = TL_CHECK_PML,
	[FLAW_TIMER_SLOW] = TL_CHECK_PREEMPTION_TIMER,
	[FLAW_TIMER_FAST] = TL_CHECK_PREEMPTION_TIMER,
	[FLAW_NEVER_ACKNOWLEDGES] = TL_CHECK_INTERRUPTS,
	[FLAW_MISSES_KICKS] = TL_CHECK_INTERRUPTS,
	[FLAW_TSC_STANDS] = TL_CHECK_INVARIANT_TSC,
	[FLAW_ONE_VMCS] = TL_CHECK_VMCS,
	[FLAW_VMPTRST_WRONG] = TL_CHECK_VMCS,
	[FLAW_ODD_EXITS] = TL_CHECK_EXITS,
	[FLAW_NO_ENTRY] = TL_CHECK_EXITS,
};

static struct tl_selftest run(enum flaw flaw, bool old)
{
	struct tl_selftest report;

	flawed_cpu_start(flaw);
	if (old)
		flawed_cpu_be_old();
	assert_int_equal(tl_selftest(&report), TL_OK);
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);
	return report;
}

static void a_good_cpu_passes(void **state)
{
	struct tl_selftest report = run(FLAW_NONE, false);

	(void)state;
	for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
		if (report.check[i].verdict != TL_VERDICT_OK)
			print_error("%s: %s\n", tl_check_name((enum tl_check)i), report.check[i].text);
		assert_int_equal(report.check[i].verdict, TL_VERDICT_OK);
	}
	assert_true(report.stale_seen > 0 && report.stale_seen <= report.stale_possible);
	assert_in_range(report.timer_ticks, 900000, 1100000);
	assert_in_range(report.exit_ticks, 500, 600);
}

/* Nothing fails for what is not there, and nothing that is not there passes. */
static void what_is_not_there_is_said(void **state)
{
	static const enum tl_check optional[] = {
		TL_CHECK_LENGTH,           TL_CHECK_EPT_ACCESSED_DIRTY, TL_CHECK_EPT_EXECUTE_ONLY, TL_CHECK_PML,
		TL_CHECK_PREEMPTION_TIMER, TL_CHECK_INTERRUPTS,         TL_CHECK_INVARIANT_TSC};
	struct tl_selftest report = run(FLAW_NONE, true);
	unsigned absent = 0;

	(void)state;
	for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
		assert_int_not_equal(report.check[i].verdict, TL_VERDICT_FAIL);
		absent += report.check[i].verdict == TL_VERDICT_ABSENT;
	}
	for (unsigned i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		assert_int_equal(report.check[optional[i]].verdict, TL_VERDICT_ABSENT);
	assert_int_equal(absent, sizeof(optional) / sizeof(optional[0]));
}

static void each_flaw_is_noticed(void **state)
{
	bool notices[TL_NR_CHECKS] = {false};

	(void)state;
	for (unsigned flaw = FLAW_NONE + 1; flaw < NR_FLAWS; flaw++) {
		struct tl_selftest report = run((enum flaw)flaw, false);
		const struct tl_check_result *result = &report.check[noticed_by[flaw]];

		if (result->verdict != TL_VERDICT_FAIL)
			print_error("flaw %u: %s says %s\n", flaw, tl_check_name(noticed_by[flaw]), result->text);
		assert_int_equal(result->verdict, TL_VERDICT_FAIL);
		assert_true(result->expected != result->found);
		notices[noticed_by[flaw]] = true;
	}
	for (unsigned i = 0; i < TL_NR_CHECKS; i++)
		assert_true(notices[i]);
}

/* A CPU whose lengths were wrong at start-up is not held to them. */
static void lengths_that_are_not_used_may_be_wrong(void **state)
{
	struct tl_selftest report = run(FLAW_LENGTH_OF_BEFORE, true);

	(void)state;
	assert_int_equal(report.check[TL_CHECK_LENGTH].verdict, TL_VERDICT_ABSENT);
}

/* Each line of the screen has 80 columns, 28 of which come before the text. */
static void texts_fit_the_screen(void **state)
{
	(void)state;
	for (unsigned flaw = FLAW_NONE; flaw < 2 * NR_FLAWS; flaw++) {
		struct tl_selftest report = run((enum flaw)(flaw % NR_FLAWS), flaw >= NR_FLAWS);

		for (unsigned i = 0; i < TL_NR_CHECKS; i++) {
			assert_in_range(strlen(report.check[i].text), 1, 80 - 28);
			assert_in_range(strlen(tl_check_name((enum tl_check)i)), 1, 17);
		}
	}
}

static void without_memory_it_is_refused(void **state)
{
	struct tl_selftest report;

	(void)state;
	flawed_cpu_start(FLAW_NONE);
	hosted_fail_at(1);
	assert_int_equal(tl_selftest(&report), TL_NO_MEMORY);
	assert_int_equal(hosted.pages_out, BITMAP_PAGES);
}

static void facts_have_names(void **state)
{
	const char *name, *seen[128];
	uint64_t value;
	size_t count = 0;

	(void)state;
	flawed_cpu_start(FLAW_NONE);
	for (; tl_cpu_fact(count, &name, &value); count++) {
		assert_true(count < 128);
		for (size_t i = 0; i < count; i++)
			assert_string_not_equal(name, seen[i]);
		seen[count] = name;
	}
	assert_true(count > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_cpu_passes),    cmocka_unit_test(what_is_not_there_is_said),
		cmocka_unit_test(each_flaw_is_noticed), cmocka_unit_test(lengths_that_are_not_used_may_be_wrong),
		cmocka_unit_test(texts_fit_the_screen), cmocka_unit_test(without_memory_it_is_refused),
		cmocka_unit_test(facts_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
