/* SPDX-License-Identifier: MIT */
/* Exits for which there is no reason any more: one is nothing, the same again with nothing changed stops the guest. */
#include "tests/unit/vcpu_fixture.h"

#include "mmu/ept.h"
#include "vmx/capability.h"
#include "vmx/cpu.h"
#include "vmx/exit_reason.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { NR_VCPUS = 3, PAGE_AT = 5 * 4096, OTHER_PAGE_AT = 6 * 4096, READ = 0x181, WRITE = 0x182, NR_RACES = 2000 };

static struct tl_vcpu *vcpus[NR_VCPUS];
static struct tl_exit left[NR_VCPUS];

static unsigned index_of(const struct tl_vcpu *vcpu)
{
	unsigned i = 0;

	while (vcpus[i] != vcpu)
		i++;
	return i;
}

/* An exit on the vCPU's CPU, which is its index. */
static enum vcpu_action exit_for(struct tl_vcpu *vcpu, uint64_t reason, gpa_t gpa, uint64_t qualification)
{
	enum vcpu_action action;

	hosted_cpu = index_of(vcpu);
	set_field(VMCS_EXIT_REASON, reason);
	set_field(VMCS_GUEST_PHYSICAL_ADDRESS, gpa);
	set_field(VMCS_EXIT_QUALIFICATION, qualification);
	action = vcpu_exit_fast(vcpu);
	if (action == VCPU_FULL)
		action = vcpu_exit(vcpu);
	return action;
}

static enum vcpu_action violation(struct tl_vcpu *vcpu, gpa_t gpa, uint64_t qualification)
{
	return exit_for(vcpu, EXIT_REASON_EPT_VIOLATION, gpa, qualification);
}

/* One that finds an ordinary entry there. */
static enum vcpu_action misconfiguration(struct tl_vcpu *vcpu, gpa_t gpa)
{
	return exit_for(vcpu, EXIT_REASON_EPT_MISCONFIGURATION, gpa, READ);
}

static void other_exit(struct tl_vcpu *vcpu)
{
	vcpu->gpr[TL_RAX] = 0;
	assert_int_equal(exit_for(vcpu, EXIT_REASON_VMCALL, 0, 0), VCPU_RESUME);
}

static void expect_stopped(unsigned vcpu, gpa_t gpa)
{
	assert_int_equal(left[vcpu].reason, TL_EXIT_STOPPED);
	assert_int_equal(left[vcpu].stop.why, TL_STOP_SPURIOUS);
	assert_int_equal(left[vcpu].stop.gpa, gpa);
	assert_int_equal(left[vcpu].stop.code, walk_to(gpa).entry);
	memset(&left[vcpu], 0, sizeof(left[vcpu]));
}

static int start(void **context)
{
	enum tl_status status;

	vcpu_start(context);
	vcpus[0] = guest_vcpu;
	guest_vcpu->exit = &left[0];
	for (hosted_cpu = 1; hosted_cpu < NR_VCPUS; hosted_cpu++) {
		vmx_cpu[hosted_cpu] = (struct vmx_cpu){.up = true};
		vcpus[hosted_cpu] = tl_vcpu_create(vm, &status);
		assert_non_null(vcpus[hosted_cpu]);
		vcpus[hosted_cpu]->exit = &left[hosted_cpu];
		grace_enter(&vcpus[hosted_cpu]->reader, hosted_cpu);
	}
	/* Pages are mapped one by one. */
	mmu_cpu.ept_level = 1;
	for (unsigned i = 0; i < NR_VCPUS; i++)
		assert_int_equal(violation(vcpus[i], 0, READ), VCPU_RESUME);
	hosted_cpu = 0;
	return 0;
}

static int stop(void **context)
{
	for (hosted_cpu = 1; hosted_cpu < NR_VCPUS; hosted_cpu++) {
		grace_leave(&vcpus[hosted_cpu]->reader, hosted_cpu);
		assert_int_equal(tl_vcpu_destroy(vcpus[hosted_cpu]), TL_OK);
	}
	hosted_cpu = 0;
	mmu_cpu.ept_level = 3;
	return vcpu_stop(context);
}

typedef enum vcpu_action (*exit_fn)(struct tl_vcpu *vcpu, gpa_t gpa);

static enum vcpu_action read_violation(struct tl_vcpu *vcpu, gpa_t gpa)
{
	return violation(vcpu, gpa, READ);
}

static const exit_fn kinds[] = {read_violation, misconfiguration};
enum { NR_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void map_page(gpa_t gpa)
{
	assert_int_equal(violation(vcpus[0], gpa, READ), VCPU_RESUME);
	expect_leaf(gpa, 1, EPT_RWX, guest_ram + gpa);
}

static void the_second_one_stops_the_guest(void **context)
{
	(void)context;
	map_page(PAGE_AT);
	for (unsigned i = 0; i < NR_KINDS; i++) {
		other_exit(vcpus[0]);
		assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
		assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_LEAVE);
		expect_stopped(0, PAGE_AT);
	}
	/* What the CPU was told of by a misconfiguration it has to forget by itself: only violations promise that. */
	hosted.nr_flushes = 0;
	other_exit(vcpus[0]);
	assert_int_equal(misconfiguration(vcpus[0], PAGE_AT), VCPU_RESUME);
	assert_int_equal(hosted.nr_flushes, 1);
}

/* Another address, another exit between, another entry, another map: each may be the reason. */
static void whatever_changes_begins_again(void **context)
{
	ept_entry_t entry;

	(void)context;
	map_page(PAGE_AT);
	map_page(OTHER_PAGE_AT);
	entry = walk_to(PAGE_AT).entry;
	for (unsigned i = 0; i < NR_KINDS; i++)
		for (unsigned j = 0; j < 8; j++) {
			other_exit(vcpus[0]);
			assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
			assert_int_equal(kinds[i](vcpus[0], OTHER_PAGE_AT), VCPU_RESUME);
			assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
			atomic_store(walk_to(PAGE_AT).slot, entry ^ EPT_ACCESSED);
			assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
			atomic_store(walk_to(PAGE_AT).slot, entry);
			assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
			grace_raise(vm);
			assert_int_equal(kinds[i](vcpus[0], PAGE_AT), VCPU_RESUME);
		}
	assert_int_equal(kinds[0](vcpus[0], PAGE_AT), VCPU_LEAVE);
	expect_stopped(0, PAGE_AT);
	/* Nothing stands at either of these. */
	other_exit(vcpus[0]);
	assert_int_equal(misconfiguration(vcpus[0], 40 * PAGE_SIZE), VCPU_RESUME);
	assert_int_equal(misconfiguration(vcpus[0], 41 * PAGE_SIZE), VCPU_RESUME);
}

/* What one vCPU runs into is not held against another one, and does not excuse it. */
static void each_vcpu_has_its_own(void **context)
{
	(void)context;
	map_page(PAGE_AT);
	for (unsigned i = 0; i < NR_KINDS; i++) {
		for (unsigned v = 0; v < NR_VCPUS; v++)
			other_exit(vcpus[v]);
		for (unsigned v = 0; v < NR_VCPUS; v++)
			assert_int_equal(kinds[i](vcpus[v], PAGE_AT), VCPU_RESUME);
		other_exit(vcpus[1]);
		for (unsigned v = 0; v < NR_VCPUS; v++)
			assert_int_equal(kinds[i](vcpus[v], PAGE_AT), v == 1 ? VCPU_RESUME : VCPU_LEAVE);
		expect_stopped(0, PAGE_AT);
		expect_stopped(2, PAGE_AT);
	}
}

/* ---- At once: all of them meet a page that is missing, one maps it, and the others have exited for nothing ---- */

static pthread_barrier_t barrier;
static atomic_uint nr_stopped, nr_spurious;

static void *race(void *context)
{
	struct tl_vcpu *vcpu = context;
	uint64_t qualification = index_of(vcpu) % 2 ? WRITE : READ;

	set_field(VMCS_GUEST_CS_ACCESS_RIGHTS, 0xa09b);
	for (unsigned i = 0; i < NR_RACES; i++) {
		gpa_t gpa = (1 + i % 60) * PAGE_SIZE;
		uint64_t exits = vcpu->last_retry.exits;

		/* The first one takes the page away, when the others are in their guests. */
		pthread_barrier_wait(&barrier);
		if (vcpu == vcpus[0]) {
			ept_zap_present(vm, gpa, gpa);
			vm_request_flush(vm);
			grace_raise(vm);
		}
		pthread_barrier_wait(&barrier);
		if (violation(vcpu, gpa, qualification) != VCPU_RESUME)
			atomic_fetch_add(&nr_stopped, 1);
		atomic_fetch_add(&nr_spurious, vcpu->last_retry.exits != exits);
		if (!ept_is_present(walk_to(gpa).entry))
			atomic_fetch_add(&nr_stopped, 1);
	}
	return NULL;
}

static void racing_vcpus_all_go_on(void **context)
{
	pthread_t threads[NR_VCPUS];

	(void)context;
	nr_stopped = nr_spurious = 0;
	pthread_barrier_init(&barrier, NULL, NR_VCPUS);
	for (unsigned i = 0; i < NR_VCPUS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, race, vcpus[i]), 0);
	for (unsigned i = 0; i < NR_VCPUS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	hosted_cpu = 0;
	print_message("%u exits for nothing\n", nr_spurious);
	assert_int_equal(nr_stopped, 0);
	/* Who lost by the compare-and-exchange is not among them. */
	assert_true(nr_spurious > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_second_one_stops_the_guest),
		TEST(whatever_changes_begins_again),
		TEST(each_vcpu_has_its_own),
		TEST(racing_vcpus_all_go_on),
	};

	/* A wait that never ends is a failure, too. */
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
