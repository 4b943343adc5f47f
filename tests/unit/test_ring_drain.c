/* SPDX-License-Identifier: MIT */
/* When a coalesced write that is drained counts as taken. */
#include "mmio/ring.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NR_CPUS = 3, ENTRIES = 4 };

static struct tl_ring *ring;
static uint64_t served[64];
static size_t nr_served, fail_at;

static enum tl_status serve(struct tl_mmio *access)
{
	assert_true(access->write);
	/* Another CPU that looks meanwhile must wait: its read may not overtake this write. */
	assert_false(ring_is_empty(ring));
	served[nr_served++] = access->data;
	return nr_served == fail_at ? TL_DEVICE_ERROR : TL_OK;
}

static const struct map_range range = {.start = 0x1000, .last = 0x1fff, .access = serve};

static int setup(void **context)
{
	(void)context;
	hosted_start();
	ring = tl_ring_create(NR_CPUS, ENTRIES);
	assert_non_null(ring);
	nr_served = fail_at = 0;
	return 0;
}

static int teardown(void **context)
{
	(void)context;
	tl_ring_destroy(ring);
	assert_int_equal(hosted.pages_out, 0);
	return 0;
}

static void a_write_is_taken_when_it_has_been_served(void **context)
{
	struct tl_mmio access;

	(void)context;
	for (unsigned i = 0; i < 6; i++)
		assert_true(ring_put(ring, i % 2, 0, i, 4));
	assert_int_equal(ring_drain(ring, &range, &access), TL_OK);
	assert_true(ring_is_empty(ring));
	assert_int_equal(nr_served, 6);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(served[i], i);
}

static void an_error_leaves_the_others(void **context)
{
	struct tl_mmio access;

	(void)context;
	for (unsigned i = 0; i < 4; i++)
		assert_true(ring_put(ring, 0, 0, i, 4));
	fail_at = 2;
	assert_int_equal(ring_drain(ring, &range, &access), TL_DEVICE_ERROR);
	assert_int_equal(nr_served, 2);
	assert_int_equal(ring_drain(ring, &range, &access), TL_OK);
	assert_int_equal(nr_served, 4);
	assert_int_equal(served[3], 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_is_taken_when_it_has_been_served),
		TEST(an_error_leaves_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
