/* SPDX-License-Identifier: MIT */
/* What Trapline relies on and only a CPU itself can show: checked with a guest of a few instructions. Included by
 * trapline.h. */
#ifndef TRAPLINE_SELFTEST_H
#define TRAPLINE_SELFTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tl_check {
	TL_CHECK_VMCS,         /* a VMCS keeps what is written to it, and is the current one when it is said to be */
	TL_CHECK_MISCONFIG_4K, /* an MMIO entry of each size exits, and the exit says the very address */
	TL_CHECK_MISCONFIG_2M, /* */
	TL_CHECK_MISCONFIG_1G, /* */
	TL_CHECK_LENGTH,       /* the exit's instruction length, as far as it is used */
	TL_CHECK_CACHED_MISCONFIG, /* a misconfigured translation is not cached: it is made present without a flush */
	TL_CHECK_CACHED_ABSENT,    /* the same of one that is not present */
	TL_CHECK_INVEPT,           /* what was present is not used after INVEPT: pages and pointers to tables */
	TL_CHECK_EPT_ACCESSED_DIRTY,
	TL_CHECK_EPT_EXECUTE_ONLY,
	TL_CHECK_PML,
	TL_CHECK_PREEMPTION_TIMER, /* its rate, against the TSC's */
	TL_CHECK_INTERRUPTS,       /* a kick's exit, which acknowledges the interrupt where that is asked for */
	TL_CHECK_INVARIANT_TSC,    /* CPUID promises one rate for good */
	TL_CHECK_EXITS,            /* many of them, each for its reason; how long they take */
	TL_NR_CHECKS
};

enum tl_verdict { TL_VERDICT_OK, TL_VERDICT_FAIL, TL_VERDICT_ABSENT };

struct tl_check_result {
	enum tl_verdict verdict;
	const char *text;         /* what was seen, or why the check is not for this CPU: constant */
	uint64_t expected, found; /* TL_VERDICT_FAIL */
};

struct tl_selftest {
	struct tl_check_result check[TL_NR_CHECKS];
	/* Of the CPU's time stamp counter: out of the guest, into C with all registers saved, and back; the median. */
	uint64_t exit_ticks, misconfiguration_ticks;
	/* How long the preemption timer took for 1,000,000 ticks of the TSC, as it should count them. */
	uint64_t timer_ticks;
	/* Of how many changes that were not flushed the guest still saw the old translation. */
	unsigned stale_seen, stale_possible;
	bool saves_resume_flag; /* RFLAGS.RF is 1 after a misconfiguration (SDM vol. 3, 28.3) */
};

/*
 * Runs all checks on the calling CPU. TL_OK: they were run, whatever their verdicts. Errors: TL_NO_MEMORY, TL_CPU_DOWN.
 * Context: host, CPU up. It takes some milliseconds, with interrupts off for one at most.
 */
enum tl_status tl_selftest(struct tl_selftest *report);

/* The check's name, of letters, digits and hyphens. Context: any. Never NULL. */
const char *tl_check_name(enum tl_check check);

/*
 * What to tell of the CPU in a report: its CPUID words and the MSRs that say what it can do, by their SDM names. false:
 * there is no fact of this number. Context: host, CPU up.
 */
bool tl_cpu_fact(size_t index, const char **name, uint64_t *value);

/*
 * Whether host memory from `physical` on lies where MMIO entries point a CPU with the L1 terminal fault, so that
 * tl_map_add() refuses it. Precondition: size > 0. Context: any, a CPU up.
 */
bool tl_memory_is_l1tf_target(uint64_t physical, uint64_t size);

#endif
