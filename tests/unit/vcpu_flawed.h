/* SPDX-License-Identifier: MIT */
/*
 * A CPU that runs the guest of the self-test: it walks the EPT in memory, caches translations until INVEPT, sets
 * accessed and dirty flags, logs pages, counts its timer down, and can be told to do one of these things wrong.
 */
#ifndef UNIT_VCPU_FLAWED_H
#define UNIT_VCPU_FLAWED_H

#include "tests/unit/mock/vmx/asm.h"

enum flaw {
	FLAW_NONE,
	FLAW_ADDRESS_4K, /* the misconfigured entry's level: only the page of the address is reported */
	FLAW_ADDRESS_2M,
	FLAW_ADDRESS_1G,
	FLAW_LENGTH_OF_BEFORE, /* the exit's instruction length is that of the exit before */
	FLAW_CACHES_MISCONFIG,
	FLAW_CACHES_ABSENT,
	FLAW_IGNORES_INVEPT_SINGLE,
	FLAW_IGNORES_INVEPT_ALL,
	FLAW_NO_ACCESSED,
	FLAW_NO_DIRTY,
	FLAW_WALKS_CLEAN, /* the guest's page tables do not become dirty by being walked */
	FLAW_EXECUTE_ONLY_READS,
	FLAW_EXECUTE_ONLY_EXITS,
	FLAW_PML_SILENT,
	FLAW_PML_OTHER_PAGE,
	FLAW_PML_NEVER_FULL,
	FLAW_TIMER_SLOW,
	FLAW_TIMER_FAST,
	FLAW_NEVER_ACKNOWLEDGES,
	FLAW_MISSES_KICKS,
	FLAW_TSC_STANDS,
	FLAW_ONE_VMCS,
	FLAW_VMPTRST_WRONG,
	FLAW_ODD_EXITS, /* one in a hundred VMCALLs exits for another reason */
	FLAW_NO_ENTRY,
	NR_FLAWS
};

/* Resets the CPU: one that has everything. */
void flawed_cpu_start(enum flaw which);

/* Turns what not each CPU has off again. */
void flawed_cpu_be_old(void);

#endif
