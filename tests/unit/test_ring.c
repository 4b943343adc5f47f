/* SPDX-License-Identifier: MIT */
/* A ring of coalesced writes: what goes in comes out, once, in order, and before any read. See test_ring_threads.c,
 * too. */
#define _GNU_SOURCE
#include "mmio/ring.h"

#include "mmio/dispatch.h"
#include "tests/unit/engine_guest.h"
#include "tests/unit/stepping.h"
#include <signal.h>
#include <ucontext.h>

enum { WITH_CALLBACK_AT = 0x500000, ALONE_AT = 0x501000, PAGE = 0x1000, LANES = 3, LANE = 4, ROUNDS = 20000 };
enum { FLAG_TF = 1 << 8, EVERY = 7 /* instructions: fewer than there are from one lane's head to the next */ };

static struct tl_ring *ring, *ring_alone;
static struct tl_mmio_options options, options_alone;
static struct tl_mmio asked[64];
static unsigned calls, fail_at;
static int contexts[2];

static enum tl_status device(struct tl_mmio *access)
{
	asked[calls++] = *access;
	if (calls == fail_at)
		return TL_DEVICE_ERROR;
	access->data = 0x77;
	return TL_OK;
}

static int start(void **context)
{
	struct tl_range range = mmio_range(WITH_CALLBACK_AT, PAGE);

	engine_guest_start(context);
	ring = options.ring = tl_ring_create(LANES, LANE);
	ring_alone = options_alone.ring = tl_ring_create(LANES, LANE);
	range.access = device;
	range.options = &options;
	range.context = &contexts[0];
	range_add(range);
	range = mmio_range(ALONE_AT, PAGE);
	range.options = &options_alone;
	range.context = &contexts[1];
	range_add(range);
	return 0;
}

static int stop(void **context)
{
	tl_ring_destroy(ring);
	tl_ring_destroy(ring_alone);
	return engine_guest_stop(context);
}

static int reset(void **context)
{
	struct tl_coalesced left;

	engine_reset(context);
	while (tl_ring_take(ring, &left, 1) || tl_ring_take(ring_alone, &left, 1))
		;
	calls = fail_at = 0;
	return 0;
}

static enum mmio_progress dispatch(gpa_t gpa, unsigned size, bool write, uint64_t data)
{
	struct mmio_environment env = engine_environment();

	return mmio_dispatch(&env, map_find(env.map, gpa), gpa, size, write, &data);
}

static void numbers_out_of_range_are_refused(void **context)
{
	size_t pages = hosted.pages_out;
	struct tl_ring *largest;

	(void)context;
	assert_null(tl_ring_create(0, LANE));
	assert_null(tl_ring_create(TL_MAX_CPUS + 1, LANE));
	assert_null(tl_ring_create(1, 0));
	assert_null(tl_ring_create(1, 1));
	assert_null(tl_ring_create(1, 24));
	assert_null(tl_ring_create(1, 131072));
	hosted_fail_at(1);
	assert_null(tl_ring_create(1, LANE));
	hosted_fail_at(0);
	assert_int_equal(hosted.pages_out, pages);
	largest = tl_ring_create(TL_MAX_CPUS, 2);
	assert_non_null(largest);
	assert_true(ring_put(largest, TL_MAX_CPUS - 1, 1, 2, 4));
	tl_ring_destroy(largest);
	assert_int_equal(hosted.pages_out, pages);
}

static void a_lane_takes_so_many_and_no_more(void **context)
{
	struct tl_coalesced taken[LANE + 1];

	(void)context;
	assert_true(ring_is_empty(ring));
	for (unsigned i = 0; i < LANE; i++)
		assert_true(ring_put(ring, 1, 8 * i, ~i, 1u << (i & 3)));
	assert_false(ring_put(ring, 1, 99, 99, 1));
	/* The other lanes are their CPUs' own; and a CPU without a lane has none. */
	assert_true(ring_put(ring, 2, 0x100, 5, 4));
	assert_false(ring_put(ring, LANES, 99, 99, 1));
	assert_false(ring_is_empty(ring));
	assert_int_equal(tl_ring_take(ring, taken, 2), 2);
	/* Two places are free again. */
	assert_true(ring_put(ring, 1, 0x108, 6, 4));
	assert_true(ring_put(ring, 1, 0x110, 7, 4));
	assert_false(ring_put(ring, 1, 99, 99, 1));
	assert_int_equal(tl_ring_take(ring, taken + 2, 3), 3);
	for (unsigned i = 0; i < LANE; i++) {
		assert_int_equal(taken[i].offset, 8 * i);
		assert_int_equal(taken[i].data, (uint64_t)~i);
		assert_int_equal(taken[i].size, 1u << (i & 3));
		assert_int_equal(taken[i].cpu, 1);
	}
	assert_int_equal(taken[LANE].cpu, 2);
	assert_int_equal(tl_ring_take(ring, taken, LANE + 1), 2);
	assert_int_equal(taken[1].data, 7);
	assert_true(ring_is_empty(ring));
	assert_int_equal(tl_ring_take(ring, taken, 1), 0);
}

/* Lanes are merged into the order of the writes. */
static void what_was_first_comes_first(void **context)
{
	uint64_t put = 0, taken = 0, full = 0;

	(void)context;
	random_seed(5);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct tl_coalesced writes[LANES * LANE];
		size_t count;

		for (uint64_t i = random_below(6); i > 0; i--) {
			if (ring_put(ring, (unsigned)random_below(LANES), put, put, 8))
				put++;
			else
				full++;
		}
		count = tl_ring_take(ring, writes, random_below(5));
		for (size_t i = 0; i < count; i++, taken++)
			assert_int_equal(writes[i].data, taken);
	}
	assert_true(full > 1000 && put > ROUNDS);
	while (taken < put) {
		struct tl_coalesced write;

		assert_int_equal(tl_ring_take(ring, &write, 1), 1);
		assert_int_equal(write.data, taken++);
	}
	assert_true(ring_is_empty(ring));
}

static volatile unsigned steps, put_at;

/* After one instruction of the drainer: two CPUs write, the second because it has seen that the first did. */
static void step(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (steps++ != put_at)
		return;
	ring_put(ring, 0, 1, 1, 8);
	ring_put(ring, 1, 2, 2, 8);
	/* The rest need not be stepped. */
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TF;
}

/* A write that comes after another is never taken before it, wherever the drainer is when they come. */
static void writes_that_come_during_a_drain_keep_their_order(void **context)
{
	struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	unsigned met = 0;

	(void)context;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	for (put_at = 0;; put_at += EVERY) {
		struct tl_coalesced writes[4];
		size_t count, total;

		steps = 0;
		assert_true(ring_put(ring, 2, 0, 0, 8));
		STEPPING_BEGIN();
		count = tl_ring_take(ring, writes, 4);
		STEPPING_END();
		assert_true(count >= 1);
		if (steps <= put_at)
			break;
		met += count > 1;
		total = count + tl_ring_take(ring, writes + count, 4 - count);
		assert_int_equal(total, 3);
		for (size_t i = 0; i < total; i++)
			assert_int_equal(writes[i].data, i);
	}
	assert_true(put_at > 100 && met > 20);
}

/* Stamped before the other CPU's write, but only now in its lane. */
static void step_late(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (steps++ != put_at)
		return;
	ring_put(ring, 0, 0, 0, 2);
	ring->lanes[0].entries[(atomic_load(&ring->lanes[0].head) - 1) & ring->mask].tsc = 1;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TF;
}

/* A drain serves what was there when it began, each once, whatever else comes. */
static void a_drain_meets_an_older_write(void **context)
{
	const struct map_range *range = map_find(map_now(), WITH_CALLBACK_AT);
	struct sigaction action = {.sa_sigaction = step_late, .sa_flags = SA_SIGINFO};
	unsigned older_first = 0;

	(void)context;
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	for (put_at = 0;; put_at += EVERY) {
		struct tl_mmio access = {0};
		enum tl_status status;

		steps = calls = 0;
		assert_true(ring_put(ring, 1, 8, 0, 2));
		STEPPING_BEGIN();
		status = ring_drain(ring, range, &access);
		STEPPING_END();
		assert_int_equal(status, TL_OK);
		if (steps <= put_at)
			break;
		assert_int_equal(calls == 2 || asked[0].offset == 8, true);
		older_first += calls == 2;
		assert_int_equal(ring_drain(ring, range, &access), TL_OK);
		assert_int_equal(calls, 2);
		assert_int_equal(asked[0].offset + asked[1].offset, 8);
	}
	assert_true(older_first > 10);
}

/* What a drainer holds is another's to take only when it is done. */
static void one_drainer_at_a_time(void **context)
{
	struct tl_coalesced write;

	(void)context;
	assert_true(ring_put(ring, 0, 0, 0, 8));
	assert_false(atomic_flag_test_and_set(&ring->draining));
	assert_int_equal(tl_ring_take(ring, &write, 1), 0);
	atomic_flag_clear(&ring->draining);
	assert_int_equal(tl_ring_take(ring, &write, 1), 1);
}

static void expect_device(unsigned number, uint64_t offset, bool write, uint64_t data)
{
	assert_true(number < calls);
	assert_int_equal(asked[number].gpa, WITH_CALLBACK_AT + offset);
	assert_int_equal(asked[number].offset, offset);
	assert_int_equal(asked[number].write, write);
	assert_int_equal(asked[number].size, 2);
	assert_int_equal(asked[number].data, data);
	assert_ptr_equal(asked[number].context, &contexts[0]);
}

/* Writes wait in the ring; a read, or an overflow, serves them first, in order. */
static void a_read_comes_after_the_writes(void **context)
{
	(void)context;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(dispatch(WITH_CALLBACK_AT + 0x10 * i, 2, true, 0x990000 + i), MMIO_DONE);
	assert_int_equal(calls, 0);
	assert_int_equal(guest.stats.coalesced, 3);
	/* Another range's ring is another's. */
	assert_int_equal(dispatch(ALONE_AT, 2, false, 0), MMIO_EMBEDDER);
	assert_int_equal(calls, 0);
	assert_int_equal(dispatch(WITH_CALLBACK_AT + 0x10, 2, false, 0), MMIO_DONE);
	assert_int_equal(calls, 4);
	for (unsigned i = 0; i < 3; i++)
		expect_device(i, 0x10 * i, true, i);
	expect_device(3, 0x10, false, 0);
	assert_int_equal(dispatch(WITH_CALLBACK_AT + 0x10, 2, false, 0), MMIO_DONE);
	assert_int_equal(calls, 5);
}

static void a_write_that_does_not_fit_comes_after_the_others(void **context)
{
	(void)context;
	for (unsigned i = 0; i <= LANE; i++)
		assert_int_equal(dispatch(WITH_CALLBACK_AT + i, 2, true, i), MMIO_DONE);
	assert_int_equal(calls, LANE + 1);
	for (unsigned i = 0; i <= LANE; i++)
		expect_device(i, i, true, i);
	assert_int_equal(guest.stats.coalesced, LANE);
}

static void an_error_of_a_drain_ends_the_access(void **context)
{
	struct tl_coalesced left[LANE];

	(void)context;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(dispatch(WITH_CALLBACK_AT + i, 2, true, i), MMIO_DONE);
	fail_at = 2;
	assert_int_equal(dispatch(WITH_CALLBACK_AT, 2, false, 0), MMIO_DEVICE_ERROR);
	assert_int_equal(calls, 2);
	expect_device(1, 1, true, 1);
	/* What was not served is still there. */
	assert_int_equal(tl_ring_take(ring, left, LANE), 1);
	assert_int_equal(left[0].offset, 2);
}

/* Without a callback it is the embedder who drains, before it is asked for the access itself. */
static void the_embedder_drains_its_ring(void **context)
{
	struct tl_coalesced taken[LANE];

	(void)context;
	assert_int_equal(dispatch(ALONE_AT + 8, 4, true, 3), MMIO_DONE);
	assert_int_equal(dispatch(ALONE_AT, 4, false, 0), MMIO_DRAIN);
	assert_ptr_equal(guest.access.context, &contexts[1]);
	assert_int_equal(guest.access.gpa, ALONE_AT);
	assert_int_equal(tl_ring_take(ring_alone, taken, LANE), 1);
	assert_int_equal(dispatch(ALONE_AT, 4, false, 0), MMIO_EMBEDDER);
	for (unsigned i = 0; i < LANE; i++)
		assert_int_equal(dispatch(ALONE_AT, 4, true, i), MMIO_DONE);
	assert_int_equal(dispatch(ALONE_AT, 4, true, 8), MMIO_DRAIN);
	assert_int_equal(tl_ring_take(ring_alone, taken, LANE), LANE);
	assert_int_equal(dispatch(ALONE_AT, 4, true, 9), MMIO_DONE);
	assert_int_equal(tl_ring_take(ring_alone, taken, LANE), 1);
	assert_int_equal(taken[0].data, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers_out_of_range_are_refused, reset),
		cmocka_unit_test_setup(a_lane_takes_so_many_and_no_more, reset),
		cmocka_unit_test_setup(what_was_first_comes_first, reset),
		cmocka_unit_test_setup(writes_that_come_during_a_drain_keep_their_order, reset),
		cmocka_unit_test_setup(a_drain_meets_an_older_write, reset),
		cmocka_unit_test_setup(one_drainer_at_a_time, reset),
		cmocka_unit_test_setup(a_read_comes_after_the_writes, reset),
		cmocka_unit_test_setup(a_write_that_does_not_fit_comes_after_the_others, reset),
		cmocka_unit_test_setup(an_error_of_a_drain_ends_the_access, reset),
		cmocka_unit_test_setup(the_embedder_drains_its_ring, reset),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
