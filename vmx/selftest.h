/* SPDX-License-Identifier: MIT */
/* The checks of the self-test: selftest_ept.c has those of translations, selftest_cpu.c the others. */
#ifndef VMX_SELFTEST_H
#define VMX_SELFTEST_H

#include "vmx/selftest_guest.h"

/* Each leaves the guest fit for the next one. */
typedef struct tl_check_result selftest_check(struct selftest_guest *guest, struct tl_selftest *report);

selftest_check check_misconfig_4k, check_misconfig_2m, check_misconfig_1g, check_length, check_cached_misconfig,
	check_cached_absent, check_invept, check_accessed_dirty, check_execute_only, check_pml;
selftest_check check_vmcs, check_preemption_timer, check_interrupts, check_invariant_tsc, check_exits;

static inline struct tl_check_result verdict_ok(const char *text)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_OK, .text = text};
}

static inline struct tl_check_result verdict_absent(const char *why)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_ABSENT, .text = why};
}

static inline struct tl_check_result verdict_fail(const char *what, uint64_t expected, uint64_t found)
{
	return (struct tl_check_result){.verdict = TL_VERDICT_FAIL, .text = what, .expected = expected, .found = found};
}

/* Whether the guest's run from `code` with RDI ends for that reason; where not, *result says so. */
bool selftest_exits(const struct selftest_guest *guest, unsigned code, gpa_t rdi, uint32_t reason,
		    struct tl_check_result *result);

#endif
