/* SPDX-License-Identifier: MIT */
/* Accesses that are served in the exit of one before them: which, how many, and what ends them. */
#include "tests/unit/vcpu_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE = 4096, STORES = 12, INSN = 3, MOST = 16, BREAKPOINT_0 = 0x401 };

/* mov [rdi + 4 * n], eax. */
static void put_stores(gva_t at, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const uint8_t insn[INSN] = {0x89, 0x47, (uint8_t)(4 * i)};

		put_code(at + INSN * i, insn, sizeof(insn));
	}
}

/* The run once, each access with an exit of its own: then it is known. Returns with nothing logged. */
static void learn(gva_t at, unsigned count)
{
	uint64_t clustered = guest_vcpu->reader.stats.clustered;

	put_stores(at, count);
	for (unsigned run = 0; run < 2; run++)
		for (unsigned i = 0; i < count; i++) {
			set_field(VMCS_GUEST_RIP, at + INSN * i);
			/* Inside of a delivery nothing is clustered; here the shadow of STI prevents it. */
			set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
			assert_int_equal(exit_at(DEVICE_LINEAR + 4 * i), VCPU_RESUME);
			assert_int_equal(field(VMCS_GUEST_RIP), at + INSN * (i + 1));
		}
	assert_int_equal(guest_vcpu->reader.stats.clustered, clustered);
	device_log.count = 0;
}

/* `served` accesses are served in the exit of the one at `first`, in order. */
static void expect_run_and(enum vcpu_action action, gva_t at, unsigned first, unsigned served)
{
	uint64_t clustered = guest_vcpu->reader.stats.clustered;

	set_field(VMCS_GUEST_RIP, at + INSN * first);
	assert_int_equal(exit_at(DEVICE_LINEAR + 4 * first), action);
	assert_int_equal(field(VMCS_GUEST_RIP), at + INSN * (first + served));
	assert_int_equal(field(VMCS_ENTRY_INTERRUPTION_INFORMATION), 0);
	assert_int_equal(device_log.count, served);
	for (unsigned i = 0; i < served; i++) {
		assert_int_equal(device_log.access[i].offset, 4 * (first + i));
		assert_true(device_log.access[i].write);
	}
	assert_int_equal(guest_vcpu->reader.stats.clustered - clustered, served - 1);
	device_log.count = 0;
}

static void expect_run(gva_t at, unsigned first, unsigned served)
{
	expect_run_and(VCPU_RESUME, at, first, served);
}

static void run_is_served_in_one_exit(void **context)
{
	(void)context;
	learn(CODE, STORES);
	expect_run(CODE, 0, STORES);
	expect_run(CODE, 0, STORES);
	expect_run(CODE, 5, STORES - 5);
	expect_run(CODE, STORES - 1, 1);
}

/* A guest cannot keep the host busy: what is pending there is taken after so many. */
static void run_is_bounded(void **context)
{
	(void)context;
	learn(CODE, 2 * MOST);
	expect_run(CODE, 0, MOST);
	expect_run(CODE, MOST, MOST);
}

static void run_ends_with_its_page(void **context)
{
	gva_t at = CODE + PAGE - INSN * 5;

	(void)context;
	learn(at, STORES);
	expect_run(at, 0, 5);
	expect_run(at, 5, STORES - 5);
	/* One of them across both pages. */
	learn(at + 1, STORES);
	expect_run(at + 1, 0, 4);
	expect_run(at + 1, 4, 1);
	expect_run(at + 1, 5, STORES - 5);
}

static void run_goes_on_in_another_device(void **context)
{
	static const uint8_t code[] = {0x89, 0x07, 0x89, 0x06, 0x89, 0x07}; /* mov [rdi], eax; mov [rsi], eax */

	(void)context;
	guest_vcpu->gpr[TL_RSI] = OTHER_LINEAR;
	put_code(CODE, code, sizeof(code));
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI);
	expect_kept(CODE, DEVICE_LINEAR, CODE + 2);
	expect_kept(CODE + 2, OTHER_LINEAR, CODE + 4);
	expect_kept(CODE + 4, DEVICE_LINEAR, CODE + 6);
	device_log.count = 0;
	expect_served(CODE, DEVICE_LINEAR, CODE + 6);
	assert_int_equal(device_log.access[1].gpa, OTHER_AT);
	/* Whose entry is stale: it has an exit of its own, which searches the map. */
	assert_int_equal(range_resize(other_id, PAGE), TL_OK);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
	expect_served(CODE + 2, OTHER_LINEAR, CODE + 6);
	/* Whose page is another one by now: it has an exit of its own, which walks. */
	guest_ptes[OTHER_LINEAR / PAGE] = guest_ptes[DEVICE_LINEAR / PAGE] + PAGE;
	expect_served(CODE, DEVICE_LINEAR, CODE + 2);
}

/* mov [rip + n], eax twice, on a page that is mapped in two places, which share their places in the cache. */
static void successor_is_that_of_its_address(void **context)
{
	enum { LENGTH = 6, ALIAS = CODE + 8 * PAGE, FAR_LINEAR = DEVICE_LINEAR + 8 * PAGE };
	uint8_t code[2 * LENGTH] = {0x89, 0x05, 0, 0, 0, 0, 0x89, 0x05, 0, 0, 0, 0};

	(void)context;
	assert_ptr_equal(decode_cache_find(guest_vcpu, CODE + LENGTH), decode_cache_find(guest_vcpu, ALIAS + LENGTH));
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t distance = DEVICE_LINEAR - (CODE + LENGTH * (i + 1));

		memcpy(code + LENGTH * i + 2, &distance, sizeof(distance));
	}
	put_code(CODE, code, sizeof(code));
	guest_ptes[ALIAS / PAGE] = guest_ptes[CODE / PAGE];
	guest_ptes[FAR_LINEAR / PAGE] = guest_ptes[OTHER_LINEAR / PAGE];
	expect_served(CODE, DEVICE_LINEAR, CODE + LENGTH);
	expect_served(CODE + LENGTH, DEVICE_LINEAR, CODE + 2 * LENGTH);
	expect_served(CODE, DEVICE_LINEAR, CODE + 2 * LENGTH);
	expect_served(ALIAS + LENGTH, FAR_LINEAR, ALIAS + 2 * LENGTH);
	assert_int_equal(device_log.access[device_log.count - 1].gpa, OTHER_AT);
	expect_served(CODE, DEVICE_LINEAR, CODE + LENGTH);
}

/* Whatever else is to be done after one instruction. */
static void single_instructions_have_exits_of_their_own(void **context)
{
	const struct tl_event event = {.type = TL_EVENT_INTERRUPT, .vector = 0x30};

	(void)context;
	learn(CODE, STORES);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_TF);
	expect_run(CODE, 0, 1);
	set_field(VMCS_GUEST_RFLAGS, 2);
	set_field(VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_MOV_SS);
	expect_run(CODE, 0, 1);
	/* A breakpoint may be on any of them. Not every CPU saves RF as 1. */
	dr_write_dr7(guest_vcpu, BREAKPOINT_0);
	expect_run(CODE, 0, 1);
	dr_write_dr7(guest_vcpu, 0x400);
	expect_run(CODE, 0, STORES);
	/* Interrupts are off, so it waits for its window. */
	assert_int_equal(tl_vcpu_inject(guest_vcpu, &event), TL_OK);
	expect_run(CODE, 0, 1);
	assert_true(guest_vcpu->events & EVENT_QUEUED);
	expect_run(CODE, 1, 1);
}

static void inject_at_third(struct tl_mmio *access)
{
	const struct tl_event event = {.type = TL_EVENT_INTERRUPT, .vector = 0x30};

	if (access->offset == 8)
		assert_int_equal(tl_vcpu_inject(access->vcpu, &event), TL_OK);
}

static void event_ends_a_run(void **context)
{
	(void)context;
	learn(CODE, STORES);
	device_log.on_access = inject_at_third;
	set_field(VMCS_GUEST_RIP, CODE);
	set_field(VMCS_GUEST_RFLAGS, 2 | RFLAGS_IF);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_RESUME);
	assert_int_equal(device_log.count, 3);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 3 * INSN);
	expect_injected(0x30);
}

static void kick_at_third(struct tl_mmio *access)
{
	if (access->offset == 8)
		tl_vcpu_kick(access->vcpu);
}

static void kick_at_first(struct tl_mmio *access)
{
	if (access->offset == 0)
		tl_vcpu_kick(access->vcpu);
}

static void kick_ends_a_run(void **context)
{
	(void)context;
	learn(CODE, STORES);
	device_log.on_access = kick_at_third;
	expect_run_and(VCPU_LEAVE, CODE, 0, 3);
	/* What ended it says nothing about the instructions: they are still known. */
	device_log.on_access = kick_at_first;
	expect_run_and(VCPU_LEAVE, CODE, 0, 1);
	device_log.on_access = NULL;
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	expect_run(CODE, 0, STORES);
}

static void remove_other_at_third(struct tl_mmio *access)
{
	if (access->offset == 8)
		assert_int_equal(range_remove(other_id), TL_PENDING);
}

/* The rest is served under the new map. */
static void commit_ends_a_run(void **context)
{
	(void)context;
	learn(CODE, STORES);
	device_log.on_access = remove_other_at_third;
	expect_run(CODE, 0, 3);
	assert_null(guest_vcpu->reader.pending);
	expect_run(CODE, 3, STORES - 3);
}

static void rewrite_fifth_at_third(struct tl_mmio *access)
{
	static const uint8_t nops[] = {0x90, 0x90, 0x90};

	if (access->offset == 8)
		put_code(CODE + 4 * INSN, nops, sizeof(nops));
}

static void rewritten_code_ends_a_run(void **context)
{
	(void)context;
	learn(CODE, STORES);
	device_log.on_access = rewrite_fifth_at_third;
	expect_run(CODE, 0, 4);
}

static void fail_at_third(struct tl_mmio *access)
{
	device_log.status = access->offset == 8 ? TL_INVALID_ARGUMENT : TL_OK;
}

/* The guest is stopped at the instruction that failed; those before it are done. */
static void device_that_fails_ends_a_run(void **context)
{
	uint64_t fresh;

	(void)context;
	learn(CODE, STORES);
	fresh = guest_vcpu->reader.stats.fresh;
	device_log.on_access = fail_at_third;
	set_field(VMCS_GUEST_RIP, CODE);
	assert_int_equal(exit_at(DEVICE_LINEAR), VCPU_LEAVE);
	assert_int_equal(vcpu_left.stop.why, TL_STOP_DEVICE);
	assert_int_equal(vcpu_left.stop.rip, CODE + 2 * INSN);
	assert_int_equal(field(VMCS_GUEST_RIP), CODE + 2 * INSN);
	assert_int_equal(guest_vcpu->reader.stats.fresh - fresh, 3);
}

/* The place of the second store in the cache is taken by an instruction elsewhere: same low bits, other address. */
static void forgotten_successor_ends_a_run(void **context)
{
	const uint8_t load[] = {0x8b, 0x07};
	gva_t other = CODE + 0x100;

	(void)context;
	learn(CODE, STORES);
	while (decode_cache_find(guest_vcpu, other) != decode_cache_find(guest_vcpu, CODE + INSN))
		other++;
	put_code(other, load, sizeof(load));
	expect_kept(other, DEVICE_LINEAR, other + sizeof(load));
	device_log.count = 0;
	expect_run(CODE, 0, 1);
}

static void pages_are_walked_once_more_in_each_run(void **context)
{
	(void)context;
	learn(CODE, STORES);
	expect_run(CODE, 0, STORES);
	/* The device's page is the other device's from now on. */
	guest_ptes[DEVICE_LINEAR / PAGE] = (guest_ptes[20] & (PAGE - 1)) | OTHER_AT;
	expect_run(CODE, 0, STORES);
	assert_int_equal(device_log.access[0].gpa, OTHER_AT);
	assert_int_equal(device_log.access[STORES - 1].gpa, OTHER_AT + 4 * (STORES - 1));
}

static void range_may_be_left_out(void **context)
{
	static const struct tl_mmio_options options = {.no_clustering = true};
	struct tl_range range = mmio_range(DEVICE_AT, 2 * PAGE);

	(void)context;
	range.access = map_now()->ranges[device_id].access;
	range.options = &options;
	assert_int_equal(range_remove(device_id), TL_PENDING);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	device_id = range_add(range);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	learn(CODE, STORES);
	expect_run(CODE, 0, 1);
	expect_run(CODE, 1, 1);
}

/* What one vCPU remembers is no other's. */
static void vcpus_share_nothing(void **context)
{
	struct tl_vcpu *first = guest_vcpu;
	struct tl_state state;
	enum tl_status status;

	(void)context;
	learn(CODE, STORES);
	assert_int_equal(tl_vcpu_get(first, &state), TL_OK);
	grace_leave(&first->reader, 0);
	guest_vcpu = tl_vcpu_create(vm, &status);
	assert_non_null(guest_vcpu);
	assert_int_equal(tl_vcpu_set(guest_vcpu, &state), TL_OK);
	guest_vcpu->exit = &vcpu_left;
	grace_enter(&guest_vcpu->reader, 0);
	assert_int_equal(vcpu_attention(guest_vcpu), VCPU_RESUME);
	expect_run(CODE, 0, 1);
	grace_leave(&guest_vcpu->reader, 0);
	assert_int_equal(tl_vcpu_destroy(guest_vcpu), TL_OK);
	guest_vcpu = first;
	assert_int_equal(tl_vcpu_set(guest_vcpu, &state), TL_OK);
	grace_enter(&guest_vcpu->reader, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, vcpu_start, vcpu_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(run_is_served_in_one_exit),
		CASE(run_is_bounded),
		CASE(run_ends_with_its_page),
		CASE(run_goes_on_in_another_device),
		CASE(successor_is_that_of_its_address),
		CASE(single_instructions_have_exits_of_their_own),
		CASE(event_ends_a_run),
		CASE(kick_ends_a_run),
		CASE(commit_ends_a_run),
		CASE(rewritten_code_ends_a_run),
		CASE(device_that_fails_ends_a_run),
		CASE(forgotten_successor_ends_a_run),
		CASE(pages_are_walked_once_more_in_each_run),
		CASE(range_may_be_left_out),
		CASE(vcpus_share_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
