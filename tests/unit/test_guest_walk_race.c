/* SPDX-License-Identifier: MIT */
/* The walk's accessed and dirty flags while another CPU changes the same entry. */
#define _GNU_SOURCE /* REG_EFL */
#include "tests/unit/guest_memory.h"
#include "tests/unit/stepping.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <trapline.h>
#include <ucontext.h>

#include <cmocka.h>

enum { PML4 = 0x1000, PT = 0x4000, TF = 0x100, STRIDE = 97 };

static const struct guest_paging paging = {
	.cr0 = PG | WP,
	.cr3 = PML4,
	.cr4 = PAE,
	.efer = LMA | NXE,
	.maxphyaddr = 39,
};

static uint64_t *entry_at(uint64_t gpa)
{
	return (uint64_t *)(void *)(ram + gpa);
}

static uint64_t *leaf(void)
{
	return entry_at(PT);
}

/* SIGTRAP after each instruction: after the one with number `change_at` the other CPU changes the leaf. */
static volatile unsigned steps, change_at;

static void step(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (++steps < change_at)
		return;
	/* It counts in the available bits, and clears the flags, as a guest's kernel does when it reclaims pages. */
	*leaf() = (*leaf() + BIT(52)) & ~(uint64_t)(A | D);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TF;
}

/*
 * A change by another CPU at a moment of the walk, which moves on by STRIDE instructions from one walk to the next. A
 * flag set by a plain read, change and write would take back what was changed between the read and the write; an entry
 * read twice might be used in two forms.
 */
static void loses_no_update_of_another_cpu(void **context)
{
	struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	unsigned ok = 0, retries = 0;
	struct guest_walk walk;

	(void)context;
	for (unsigned table = PML4; table < PT; table += 4096)
		*entry_at(table) = (table + 4096) | ALL | A;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	for (change_at = 1;; change_at += STRIDE) {
		enum guest_walk_status status;
		bool changed;

		*leaf() = ALL;
		steps = 0;
		STEPPING_BEGIN();
		status = guest_walk(guest_map(), &paging, 0x123, GUEST_WRITE, &walk);
		STEPPING_END();
		changed = steps == change_at;

		assert_true(status == GUEST_WALK_OK || status == GUEST_WALK_RETRY);
		assert_int_equal(*leaf() >> 52, changed);
		if (status == GUEST_WALK_OK)
			assert_int_equal(walk.gpa, 0x123);
		/* What the walk rests on is either what is there, or seen to have changed. */
		if (status == GUEST_WALK_OK && guest_walk_holds(&walk))
			assert_int_equal(*leaf() & (A | D), A | D);
		if (status == GUEST_WALK_RETRY)
			assert_int_equal(*leaf() & (A | D), 0);
		ok += status == GUEST_WALK_OK;
		retries += status == GUEST_WALK_RETRY;
		if (!changed)
			break;
	}
	print_message("%u instructions; of the walks %u went through, %u are to be tried again\n", steps, ok, retries);
	/* Without a change it goes through; with one between the read and the exchange it does not. */
	assert_true(ok > 1 && retries > 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(loses_no_update_of_another_cpu)};

	return cmocka_run_group_tests(tests, guest_memory_start, guest_memory_stop);
}
