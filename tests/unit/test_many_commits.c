/* SPDX-License-Identifier: MIT */
/*
 * A device that moves a million times: at each commit the entries of all other devices are still fresh. A wrap of the
 * tag is the one thing that makes them stale, once each, and happens every 2^19 commits.
 */
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { COMMITS = 1000000, OTHERS = 15, PAGE = 0x1000 };
enum { MOVER_AT = 0xd0000000, MOVER_TO = 0xd0001000, OTHERS_AT = 0xe0000000 };

static gpa_t other_at(unsigned i)
{
	return OTHERS_AT + (gpa_t)i * PAGE;
}

static enum mmio_verdict verdict_on(const struct ept_walk *walk)
{
	const struct map_range *range;

	return check_mmio_spte(map_now(), atomic_load(walk->slot), &range);
}

/* Where each device's entry stands, fresh. */
static void touch_others(const tl_range_id ids[OTHERS], struct ept_walk walks[OTHERS])
{
	for (unsigned i = 0; i < OTHERS; i++) {
		expect_mmio(other_at(i), MMU_READ, ids[i], ids[i], 1);
		walks[i] = walk_to(other_at(i));
	}
}

static void leave_the_others_fresh(void **context)
{
	uint64_t stale = 0, wraps, before = vm->wraps;
	struct ept_walk walks[OTHERS], mover_walk;
	tl_range_id others[OTHERS], mover;

	(void)context;
	mover = range_add(mmio_range(MOVER_AT, PAGE));
	for (unsigned i = 0; i < OTHERS; i++)
		others[i] = range_add(mmio_range(other_at(i), PAGE));
	touch_others(others, walks);
	for (unsigned n = 0; n < COMMITS; n++) {
		gpa_t from = n & 1 ? MOVER_TO : MOVER_AT, to = n & 1 ? MOVER_AT : MOVER_TO;

		wraps = vm->wraps;
		expect_mmio(from, MMU_READ, mover, mover, 1);
		mover_walk = walk_to(from);
		assert_int_equal(range_move(mover, to), TL_OK);
		/* The one that moved has not left an entry that still says where it was. */
		assert_int_equal(verdict_on(&mover_walk), MMIO_INVALID);
		for (unsigned i = 0; i < OTHERS; i++)
			stale += vm->wraps == wraps && verdict_on(&walks[i]) != MMIO_EMULATE;
		if (vm->wraps != wraps)
			touch_others(others, walks);
	}
	assert_int_equal(stale, 0);
	print_message("%u commits, %lu wraps\n", COMMITS, (unsigned long)(vm->wraps - before));
	assert_in_range(vm->wraps - before, COMMITS >> MMIO_TAG_BITS, (COMMITS >> MMIO_TAG_BITS) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(leave_the_others_fresh)};

	return cmocka_run_group_tests(tests, vm_setup, vm_teardown);
}
