/* SPDX-License-Identifier: MIT */
/* Riders see whatever must not happen, and nothing else: accesses that come twice, late, or from where they are not. */
#define _GNU_SOURCE /* REG_EFL */
#include "guest/rider.h"
#include "mmu/map.h"
#include "mmu/running.h"
#include "tests/unit/hosted.h"
#include "tests/unit/stepping.h"
#include "tests/unit/vcpu_platform.h"
#include "vmx/exit.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

enum { TF = 0x100, HERE = 0xa0000000, THERE = 0xa0100000, OTHER = 0xa0200000 };

static struct platform_vcpu *vcpu;
static struct rider *rider;

static int start(void **context)
{
	(void)context;
	platform_start(&(struct guest_options){.vcpus = 2}, 1);
	vcpu = &platform->vcpu[0];
	rider = &platform->rider[2];
	return 0;
}

static int stop(void **context)
{
	(void)context;
	platform_stop();
	return 0;
}

static const struct map *map_now(void)
{
	return atomic_load(&platform->vm->map);
}

static uint64_t written(unsigned index, unsigned place, uint64_t number)
{
	return (uint64_t)index << ABI_RIDE_VCPU_SHIFT | (uint64_t)place << ABI_RIDE_PLACE_SHIFT | number;
}

/* An access of a vCPU's, through the range that a snapshot has there. */
static enum tl_status access_by(struct platform_vcpu *by, const struct map *map, gpa_t gpa, bool write, uint64_t *data)
{
	const struct map_range *range = map_find(map, gpa);
	struct tl_mmio access = {.gpa = gpa,
				 .offset = gpa - range->start,
				 .size = 8,
				 .write = write,
				 .data = write ? *data : 0,
				 .context = range->context,
				 .vcpu = by->vcpu};
	enum tl_status status = range->access(&access);

	if (!write)
		*data = access.data;
	return status;
}

static enum tl_status write_by(struct platform_vcpu *by, gpa_t gpa, uint64_t data)
{
	return access_by(by, map_now(), gpa, true, &data);
}

static void expect_fault(const char *what)
{
	assert_non_null(strstr(platform->fault, what));
	platform->fault[0] = '\0';
	atomic_flag_clear(&platform->faulted);
}

static uint64_t edit(enum abi_edit how, uint64_t address)
{
	return rider_edit(vcpu, how, rider->number, address);
}

static void counts_what_each_vcpu_does(void **context)
{
	uint64_t data = 0;
	struct abi_rider report;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	assert_int_equal(write_by(vcpu, HERE + 8 * 5, written(0, 5, 1)), TL_OK);
	assert_int_equal(write_by(vcpu, HERE + 8 * 7, written(0, 7, 9)), TL_OK);
	assert_int_equal(write_by(&platform->vcpu[1], HERE, written(1, 0, 3)), TL_OK);
	assert_int_equal(access_by(vcpu, map_now(), HERE, false, &data), TL_OK);
	assert_int_equal(data, written(0, 7, 9));
	report = rider_report(rider);
	assert_int_equal(report.writes, 3);
	assert_int_equal(report.reads, 1);
	assert_int_equal(report.live, 1);
	assert_int_equal(report.releases, 0);
	assert_int_equal(riders_accesses(platform), 4);
}

static void sees_what_comes_twice_late_or_astray(void **context)
{
	uint64_t data = 0;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	assert_int_equal(write_by(vcpu, HERE, written(0, 0, 4)), TL_OK);
	assert_int_equal(write_by(vcpu, HERE, written(0, 0, 4)), TL_DEVICE_ERROR);
	expect_fault("comes twice or after a later one");
	assert_int_equal(write_by(vcpu, HERE, written(0, 0, 3)), TL_DEVICE_ERROR);
	expect_fault("comes twice or after a later one");
	assert_int_equal(write_by(vcpu, HERE, written(1, 0, 5)), TL_DEVICE_ERROR);
	expect_fault("is another vCPU's");
	assert_int_equal(write_by(vcpu, HERE + 8, written(0, 0, 5)), TL_DEVICE_ERROR);
	expect_fault("was meant for another register");
	assert_int_equal(access_by(vcpu, map_now(), HERE + 4, false, &data), TL_DEVICE_ERROR);
	expect_fault("is none that a guest makes");
	/* None of them counts. */
	assert_int_equal(riders_accesses(platform), 1);
	assert_int_equal(write_by(vcpu, HERE, written(0, 0, 5)), TL_OK);
}

/* A vCPU that still holds the map of before. */
static void sees_what_comes_by_an_older_map(void **context)
{
	uint64_t data = 0;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	assert_int_equal(access_by(vcpu, map_now(), HERE, false, &data), TL_OK);
	for (unsigned i = 0; i < 2; i++) {
		/* Its ranges as they were; what the commit reuses is another map. */
		struct map_range old = *map_find(map_now(), HERE);
		struct tl_mmio access = {.gpa = HERE, .size = 8, .context = old.context, .vcpu = vcpu->vcpu};

		assert_int_equal(edit(i ? EDIT_REMOVE : EDIT_MOVE, i ? 0 : THERE), TL_OK);
		assert_int_equal(old.access(&access), TL_DEVICE_ERROR);
		expect_fault("comes from where it is no longer");
		if (!i) {
			assert_int_equal(access_by(vcpu, map_now(), THERE, false, &data), TL_OK);
			assert_int_equal(edit(EDIT_MOVE, HERE), TL_OK);
		}
	}
	assert_int_equal(rider_report(rider).releases, 1);
	assert_int_equal(rider_report(rider).live, 0);
}

/* Committed inside a callback: until it is completed from both places, then from the new one alone. */
static void a_pending_move_may_come_from_both_places(void **context)
{
	struct grace_reader *reader = &vcpu->vcpu->reader;
	struct map_range old;
	struct tl_mmio access;
	uint64_t data = 0;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	old = *map_find(map_now(), HERE);
	access = (struct tl_mmio){.gpa = HERE, .size = 8, .context = old.context, .vcpu = platform->vcpu[1].vcpu};
	grace_enter(reader, 0);
	assert_int_equal(edit(EDIT_MOVE, THERE), TL_PENDING);
	assert_int_equal(old.access(&access), TL_OK);
	assert_int_equal(access_by(vcpu, map_now(), THERE, false, &data), TL_OK);
	/* Completed before the vCPU's next instruction, which is when it edits again. */
	assert_int_equal(vcpu_attention(vcpu->vcpu), VCPU_RESUME);
	grace_leave(reader, 0);
	assert_int_equal(rider_edit(vcpu, EDIT_INVALIDATE, 0, 0), TL_OK);
	assert_int_equal(old.access(&access), TL_DEVICE_ERROR);
	expect_fault("comes from where it is no longer");
	assert_int_equal(access_by(vcpu, map_now(), THERE, false, &data), TL_OK);
}

static void a_pending_removal_ends_with_its_release(void **context)
{
	struct grace_reader *reader = &vcpu->vcpu->reader;
	struct map_range old;
	struct tl_mmio access;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	old = *map_find(map_now(), HERE);
	access = (struct tl_mmio){.gpa = HERE, .size = 8, .context = old.context, .vcpu = platform->vcpu[1].vcpu};
	grace_enter(reader, 0);
	assert_int_equal(edit(EDIT_REMOVE, 0), TL_PENDING);
	assert_int_equal(rider_report(rider).live, 1);
	assert_int_equal(old.access(&access), TL_OK);
	assert_int_equal(vcpu_attention(vcpu->vcpu), VCPU_RESUME);
	grace_leave(reader, 0);
	assert_int_equal(rider_report(rider).live, 0);
	assert_int_equal(rider_report(rider).releases, 1);
	assert_int_equal(old.access(&access), TL_DEVICE_ERROR);
	expect_fault("comes from where it is no longer");
	/* A release too many. */
	old.release(old.context);
	expect_fault("was released more often than removed");
	atomic_store(&rider->live, 0);
}

/* SIGTRAP after each instruction: after the one with number `ends_at` a commit that moved the rider returns. */
static volatile unsigned steps, ends_at;

static void step(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	if (++steps < ends_at)
		return;
	atomic_store(&rider->from[0], THERE);
	atomic_store(&rider->from[1], THERE);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~TF;
}

/* No callback may run when the commit that took the address returns, at whatever instruction of it that is. */
static void sees_a_commit_that_returns_too_early(void **context)
{
	struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	unsigned before = 0, during = 0;

	(void)context;
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	for (ends_at = 1;; ends_at++) {
		uint64_t data = 0;
		enum tl_status status;

		atomic_store(&rider->from[0], HERE);
		atomic_store(&rider->from[1], HERE);
		steps = 0;
		STEPPING_BEGIN();
		status = access_by(vcpu, map_now(), HERE, false, &data);
		STEPPING_END();
		if (steps < ends_at)
			break;
		if (strstr(platform->fault, "comes from where it is no longer"))
			before++;
		else if (strstr(platform->fault, "still ran when the commit that ended it returned"))
			during++;
		assert_int_equal(status, platform->fault[0] ? TL_DEVICE_ERROR : TL_OK);
		platform->fault[0] = '\0';
		atomic_flag_clear(&platform->faulted);
	}
	assert_true(before > 0 && during > 0);
}

static void refuses_what_makes_no_sense(void **context)
{
	struct tl_mmio astray;
	uint64_t data = 0;

	(void)context;
	assert_int_equal(edit(EDIT_REMOVE, 0), HC_FAILED);
	assert_int_equal(edit(EDIT_MOVE, THERE), HC_FAILED);
	assert_int_equal(edit(EDIT_ADD, HERE), TL_OK);
	assert_int_equal(edit(EDIT_ADD, THERE), HC_FAILED);
	assert_int_equal(edit(EDIT_RESIZE, 1), HC_FAILED);
	assert_int_equal(rider_edit(vcpu, EDIT_ADD, ABI_RIDERS, OTHER), HC_FAILED);
	/* What the commit refuses leaves the rider where it is, and no one else where there is none. */
	assert_int_equal(rider_edit(vcpu, EDIT_ADD, 3, OTHER), TL_OK);
	assert_int_equal((int64_t)edit(EDIT_MOVE, OTHER), TL_OVERLAP);
	astray = (struct tl_mmio){.gpa = OTHER, .size = 8, .context = rider, .vcpu = vcpu->vcpu};
	assert_int_equal(map_find(map_now(), HERE)->access(&astray), TL_DEVICE_ERROR);
	expect_fault("comes from where it is no longer");
	assert_int_equal(access_by(vcpu, map_now(), HERE, false, &data), TL_OK);
	assert_int_equal((int64_t)rider_edit(vcpu, EDIT_ADD, 4, OTHER), TL_OVERLAP);
	assert_int_equal(rider_report(&platform->rider[4]).live, 0);
	assert_int_equal(rider_edit(vcpu, EDIT_ADD, 4, THERE), TL_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counts_what_each_vcpu_does),
		TEST(sees_what_comes_twice_late_or_astray),
		TEST(sees_what_comes_by_an_older_map),
		TEST(a_pending_move_may_come_from_both_places),
		TEST(a_pending_removal_ends_with_its_release),
		TEST(sees_a_commit_that_returns_too_early),
		TEST(refuses_what_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
