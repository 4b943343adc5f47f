/* SPDX-License-Identifier: MIT */
/*
 * A ring with vCPUs as threads: two fill it, and what empties it is slow. Nothing is lost, and what came after another
 * write, by the guest's own lock, is served after it.
 */
#include "mmio/dispatch.h"
#include "mmio/ring.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/vm_fixture.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

enum { PRODUCERS = 2, LANE = 16, WRITES = 10000, CALLBACK_AT = 0x500000, ALONE_AT = 0x501000, PAGE = 0x1000 };

struct vcpu {
	unsigned cpu;
	gpa_t gpa;
	bool locks; /* the guest's own lock around each write: then all writes have one order */
	struct grace_reader reader;
	struct vcpu_stats stats;
	unsigned drains;
};

static struct tl_ring *ring, *ring_alone;
static struct tl_mmio_options options, options_alone;
static pthread_mutex_t guest_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t next_ticket; /* under guest_lock */
static _Atomic unsigned running;

/* Of what was served. A write that finds its lane full is served beside those that others drain. */
static _Atomic uint64_t served, out_of_order;
static uint64_t per_cpu[PRODUCERS];

/* Data: the number of the write; offset: 8 for each CPU. */
static void serve(uint64_t number, uint64_t offset, bool one_order)
{
	uint64_t expected = one_order ? served : per_cpu[offset / 8];

	out_of_order += number != expected;
	served++;
	per_cpu[offset / 8]++;
	if (served % 512 == 0)
		nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static _Atomic bool one_order_now;

static enum tl_status device(struct tl_mmio *access)
{
	if (access->write)
		serve(access->data, access->offset, one_order_now);
	return TL_OK;
}

static void write_one(struct vcpu *vcpu, uint64_t number)
{
	struct tl_mmio access;
	struct mmio_environment env = {
		.map = map_now(), .vm = vm, .reader = &vcpu->reader, .access = &access, .stats = &vcpu->stats};
	gpa_t gpa = vcpu->gpa + 8ull * vcpu->cpu;
	const struct map_range *range = map_find(env.map, gpa);

	/* As the embedder does: what is to be drained is drained, and the vCPU runs on. */
	while (mmio_dispatch(&env, range, gpa, 8, true, &number) != MMIO_DONE) {
		vcpu->drains++;
		while (!ring_is_empty(ring_alone))
			sched_yield();
	}
}

static void *produce(void *argument)
{
	struct vcpu *vcpu = argument;

	hosted_cpu = vcpu->cpu;
	grace_enter(&vcpu->reader, vcpu->cpu);
	for (uint64_t i = 0; i < WRITES; i++) {
		if (vcpu->locks) {
			pthread_mutex_lock(&guest_lock);
			write_one(vcpu, next_ticket++);
			pthread_mutex_unlock(&guest_lock);
		} else {
			write_one(vcpu, i);
		}
	}
	grace_leave(&vcpu->reader, vcpu->cpu);
	running--;
	return NULL;
}

static struct vcpu vcpus[PRODUCERS];
static pthread_t threads[PRODUCERS];

static void begin(gpa_t gpa, bool locks)
{
	next_ticket = 0;
	served = out_of_order = 0;
	running = PRODUCERS;
	one_order_now = locks;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		per_cpu[i] = 0;
		vcpus[i] = (struct vcpu){.cpu = i, .gpa = gpa, .locks = locks};
		grace_reader_add(&vcpus[i].reader, vm);
		assert_int_equal(pthread_create(&threads[i], NULL, produce, &vcpus[i]), 0);
	}
}

static void end(void)
{
	uint64_t coalesced = 0;

	for (unsigned i = 0; i < PRODUCERS; i++) {
		pthread_join(threads[i], NULL);
		grace_reader_remove(&vcpus[i].reader);
		assert_int_equal(per_cpu[i], WRITES);
		coalesced += vcpus[i].stats.coalesced;
	}
	assert_int_equal(served, PRODUCERS * WRITES);
	assert_int_equal(out_of_order, 0);
	assert_true(coalesced > WRITES / 2);
}

/* The vCPU whose lane is full drains all lanes through the callback, which is slow; and goes on by itself at the end.
 */
static void drained_through_the_callback(bool locks)
{
	struct tl_mmio access = {0};
	const struct map_range *range = map_find(map_now(), CALLBACK_AT);

	begin(CALLBACK_AT, locks);
	while (running)
		sched_yield();
	assert_int_equal(ring_drain(ring, range, &access), TL_OK);
	end();
}

static void the_callback_sees_each_cpus_writes_in_order(void **context)
{
	(void)context;
	drained_through_the_callback(false);
}

static void the_callback_sees_synchronised_writes_in_order(void **context)
{
	(void)context;
	drained_through_the_callback(true);
}

/* A consumer that takes a few at a time, and sleeps. */
static void taken_by_a_slow_consumer(bool locks)
{
	unsigned drains = 0;
	size_t count;

	begin(ALONE_AT, locks);
	do {
		struct tl_coalesced writes[7];
		bool last = !running;

		count = tl_ring_take(ring_alone, writes, 7);
		for (size_t i = 0; i < count; i++)
			serve(writes[i].data, writes[i].offset, locks);
		if (last && count == 0)
			break;
		/* The vCPUs may need this thread's processor. */
		if (count == 0)
			sched_yield();
	} while (true);
	end();
	for (unsigned i = 0; i < PRODUCERS; i++)
		drains += vcpus[i].drains;
	assert_true(drains > 10);
}

static void the_embedder_takes_each_cpus_writes_in_order(void **context)
{
	(void)context;
	taken_by_a_slow_consumer(false);
}

static void the_embedder_takes_synchronised_writes_in_order(void **context)
{
	(void)context;
	taken_by_a_slow_consumer(true);
}

static int start(void **context)
{
	struct tl_range range = mmio_range(CALLBACK_AT, PAGE);

	vm_setup(context);
	ring = options.ring = tl_ring_create(PRODUCERS, LANE);
	ring_alone = options_alone.ring = tl_ring_create(PRODUCERS, LANE);
	range.access = device;
	range.options = &options;
	range_add(range);
	range = mmio_range(ALONE_AT, PAGE);
	range.options = &options_alone;
	range_add(range);
	return 0;
}

static int stop(void **context)
{
	tl_ring_destroy(ring);
	tl_ring_destroy(ring_alone);
	return vm_teardown(context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_callback_sees_each_cpus_writes_in_order),
		cmocka_unit_test(the_callback_sees_synchronised_writes_in_order),
		cmocka_unit_test(the_embedder_takes_each_cpus_writes_in_order),
		cmocka_unit_test(the_embedder_takes_synchronised_writes_in_order),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
